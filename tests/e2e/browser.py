"""What the tests in a real browser share: when they run, and a page whose console stays free of errors."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.e2e.product import Client, Product

CHROMIUM = os.environ.get("AQUIFER_CHROMIUM") or shutil.which("chromium") or ""
ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "frontend" / "dist" / "index.html"
MARKS = [
    pytest.mark.browser,
    pytest.mark.processes,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium on this machine"),
    pytest.mark.skipif(not DIST.exists(), reason="the console has not been built (./run builds it)"),
]
PATIENCE = 60_000  # milliseconds, on a machine that is busy with everything else


def look(page: Page, name: str) -> None:
    """A picture, for who wants to look at the pages of a run."""
    if folder := os.environ.get("AQUIFER_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@contextmanager
def opened(product: Product, admin: Client) -> Iterator[Page]:
    """A page of a browser that has never been here. The account outlives a test, and with it its language."""
    admin.post("/session/language", {"language": "en"})
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        context = browser.new_context(base_url=product.url, locale="en-US", viewport={"width": 1400, "height": 900})
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if "Content Security Policy" in said.text else None)
        yield page
        page.screenshot(path=product.folder / "last-page.png")  # to look at when a test has failed
        assert not errors, errors
        browser.close()


def sign_in(product: Product, page: Page) -> None:
    page.goto(product.manage("one_time_login").strip())
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
