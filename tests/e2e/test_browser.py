"""A newcomer's journey in a real browser: the link that logs in once, the live picture, work sent and seen to run."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import MARKS, look, opened, sign_in
from tests.e2e.product import Client, Product, until

pytestmark = MARKS


@pytest.fixture
def page(product: Product, admin: Client) -> Iterator[Page]:
    with opened(product, admin) as found:
        yield found


def test_from_the_printed_link_to_work_that_has_run(product: Product, admin: Client, page: Page) -> None:
    product.manage("seed_demo", "--workloads", "20")
    link = product.manage("one_time_login").strip()
    page.goto(link)
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    # The live map shows the demo's sites, and the headline its 2,000 accelerators beside those of other tests.
    expect(page.get_by_text("Shanghai AI Centre").first).to_be_visible()
    expect(page.get_by_text(re.compile(r"^2,\d\d\d$")).first).to_be_visible()
    # The link has been used up.
    page.context.clear_cookies()
    page.goto("/login")
    page.goto(link)
    expect(page.get_by_text(re.compile("used already|too old")).first).to_be_visible()
    # A fresh one, and work is sent by the form.
    page.goto("/login")
    sign_in(product, page)
    page.goto("/workloads/new")
    page.get_by_label("Name").fill("from-the-browser")
    page.get_by_label("Project").first.click()
    page.get_by_role("option", name=re.compile("Risk models")).click()
    page.get_by_label("Pool").first.click()
    page.get_by_role("option", name="Everything").click()
    page.get_by_label("Command").fill("python\ntrain.py")
    page.get_by_label("Run time, minutes").fill("0.05")
    page.get_by_role("button", name="Would it run now?").click()
    expect(page.get_by_text("It would be placed now")).to_be_visible()
    look(page, "preview")
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


def test_running_work_is_looked_into(product: Product, admin: Client, page: Page) -> None:
    """Its log, a shell in it and the way to its port, under the content security policy of the built console."""
    product.manage("seed_demo", "--workloads", "20")
    project = next(each for each in admin.get("/projects?limit=200")["results"] if each["name"] == "Risk models")
    pool = next(each for each in admin.get("/pools")["results"] if each["name"] == "Everything")
    body = {
        "name": "looked-into", "project": project["id"], "pool": pool["id"], "kind": "inference", "accelerators": 1,
        "cpu_milli": 100, "memory_mib": 64, "ports": [8888], "run_seconds": 3600.0,
    }  # fmt: skip
    work = admin.post("/workloads", body)["id"]
    until(lambda: admin.get(f"/workloads/{work}")["state"] == "running", what="it to run")
    sign_in(product, page)
    page.goto(f"/workloads/{work}")
    expect(page.get_by_role("log", name="Logs")).to_contain_text("step")
    expect(page.get_by_text(f"python3 aquifer-forward {product.url} {work} 8888")).to_be_visible()
    page.set_viewport_size({"width": 1400, "height": 2600})  # a terminal draws only what of it can be seen
    # Styles that the policy refuses would leave the terminal without its rows and colours.
    page.get_by_role("button", name="Open a shell").click()
    rows = page.locator(".xterm-rows")
    expect(rows).to_contain_text("$")
    page.keyboard.type("stty size; echo from-the-keyboard\r")
    expect(rows).to_contain_text(re.compile(r"\d+ \d\d+"))
    expect(rows.get_by_text("from-the-keyboard", exact=True)).to_be_visible()
    # Filling the window keeps the keyboard in it; the documented key gives it back to the page.
    page.get_by_role("button", name="Fill the window").click()
    expect(page.locator(".xterm-helper-textarea")).to_be_focused()
    page.keyboard.type("stty size\r")
    expect(rows).to_contain_text(re.compile(r"\d+ 1\d\d"))
    page.keyboard.press("Control+m")
    expect(page.get_by_role("button", name="Close")).to_be_focused()
    page.locator(".xterm-helper-textarea").focus()
    page.keyboard.type("exit 3\r")
    expect(page.get_by_text("ended with exit code 3")).to_be_visible()
    page.get_by_role("button", name="Reopen").click()
    expect(rows).to_contain_text("$")
    noted = {entry["what"] for entry in admin.get("/audit-entries?target_type=workload")["results"]}
    assert {"shell.open", "shell.close"} <= noted
