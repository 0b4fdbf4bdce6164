"""A newcomer's journey in a real browser: the link that logs in once, the live picture, work sent and seen to run."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.e2e.product import Client, Product, until

CHROMIUM = os.environ.get("AQUIFER_CHROMIUM") or shutil.which("chromium") or ""
DIST = Path(__file__).resolve().parents[2] / "frontend" / "dist" / "index.html"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.processes,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium on this machine"),
    pytest.mark.skipif(not DIST.exists(), reason="the console has not been built (./run builds it)"),
]


@pytest.fixture
def page(product: Product) -> Iterator[Page]:
    """A page whose console must stay free of errors."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        context = browser.new_context(base_url=product.url, locale="en-US", viewport={"width": 1400, "height": 900})
        context.set_default_timeout(120_000)
        found = context.new_page()
        errors: list[str] = []
        found.on("pageerror", lambda error: errors.append(str(error)))
        yield found
        found.screenshot(path=product.folder / "last-page.png")  # to look at when a test has failed
        assert not errors, errors
        browser.close()


def test_from_the_printed_link_to_work_that_has_run(product: Product, admin: Client, page: Page) -> None:
    expect.set_options(timeout=120_000)
    product.manage("seed_demo", "--workloads", "20")
    link = product.manage("one_time_login").strip()
    page.goto(link)
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    # The live map shows the demo's sites, and the headline its 2,000 accelerators.
    expect(page.get_by_text("Shanghai AI Centre").first).to_be_visible()
    expect(page.get_by_text(re.compile(r"2,0\d\d")).first).to_be_visible()
    # The link has been used up.
    page.context.clear_cookies()
    page.goto("/login")
    page.goto(link)
    expect(page.get_by_text(re.compile("used already|too old")).first).to_be_visible()
    # A fresh one, and work is sent by the form.
    page.goto("/login")
    page.goto(product.manage("one_time_login").strip())
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.goto("/workloads/new")
    page.get_by_label("Name").fill("from-the-browser")
    page.get_by_label("Project").first.click()
    page.get_by_role("option", name=re.compile("Risk models")).click()
    page.get_by_label("Pool").first.click()
    page.get_by_role("option", name="Everything").click()
    page.get_by_label("Command").fill("python\ntrain.py")
    page.get_by_label("Run time, minutes").fill("0.05")
    page.get_by_role("button", name=re.compile("Submit|Create|Queue")).click()
    expect(page.get_by_role("heading", name="from-the-browser")).to_be_visible()
    # Without reloading, the page follows it to its end.
    expect(page.get_by_text("Succeeded").first).to_be_visible(timeout=90_000)
    found = until(lambda: admin.get("/workloads?name=from-the-browser")["results"])
    assert found[0]["state"] == "succeeded"
    # The other language, without a reload.
    page.get_by_label("Language").click()
    page.get_by_text("简体中文").click()
    expect(page.get_by_text("概览").first).to_be_visible()
