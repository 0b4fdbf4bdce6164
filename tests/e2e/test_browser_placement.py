"""Placement as people see it: why work waits, what would help, and how a pool is told to place."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import MARKS, look, opened, sign_in
from tests.e2e.product import Client, Product, until

pytestmark = MARKS


@pytest.fixture
def page(product: Product, admin: Client) -> Iterator[Page]:
    with opened(product, admin) as found:
        yield found


def test_from_why_it_waits_to_what_would_help(product: Product, admin: Client, page: Page) -> None:
    product.manage("seed_demo", "--workloads", "20")
    project = next(each for each in admin.get("/projects?limit=200")["results"] if each["name"] == "Risk models")
    pool = next(each for each in admin.get("/pools")["results"] if each["name"] == "Everything")
    body = {
        "name": "too-wide", "project": project["id"], "pool": pool["id"], "accelerators": 64, "cpu_milli": 100,
        "memory_mib": 64, "run_seconds": 5.0,
    }  # fmt: skip
    work = admin.post("/workloads", body)["id"]
    until(
        lambda: admin.get(f"/workloads/{work}/explanation").get("outcome") == "refused",
        seconds=240,
        what="the decision",
    )
    sign_in(product, page)
    page.goto(f"/workloads/{work}")
    expect(page.get_by_text("never fits: waiting does not help")).to_be_visible()
    expect(page.get_by_text(re.compile(r"it has \d+ of the 64 accelerators wanted, even when empty"))).to_be_visible()
    expect(page.get_by_role("list", name="Nodes left after each filter").get_by_role("listitem").last).to_contain_text(
        "0 left"
    )
    look(page, "why-not")
    # From there to what might be done about it; the answer comes while one chooses.
    page.get_by_role("link", name=re.compile("Try what would help")).click()
    expect(page.get_by_text("No change chosen yet")).to_be_visible()
    page.get_by_role("button", name="Add work").click()
    page.get_by_label("Accelerators").fill("64")
    expect(page.get_by_text("never fits", exact=True)).to_be_visible()
    page.get_by_label("Accelerators").fill("1")
    expect(page.get_by_text("would start", exact=True).first).to_be_visible()
    expect(page).to_have_url(re.compile("what-if.*accelerators"))
    page.reload()
    expect(page.get_by_text("would start", exact=True).first).to_be_visible()
    look(page, "what-if")


def test_a_pool_is_told_how_to_place(product: Product, admin: Client, page: Page) -> None:
    product.manage("seed_demo", "--workloads", "20")
    pool = next(each for each in admin.get("/pools")["results"] if each["name"] == "Everything")
    sign_in(product, page)
    page.get_by_role("link", name="Pools", exact=True).click()
    expect(page.get_by_role("heading", name="Pools", exact=True)).to_be_visible()
    page.get_by_role("link", name="Everything", exact=True).click()
    page.get_by_role("radio", name="Spread").check()
    page.get_by_role("radio", name="First come, first served").check()
    page.get_by_role("button", name="Save").click()
    found = until(lambda: changed_to(admin, pool["id"], "spread"), what="the pool")
    assert (found["queue_order"], found["version"]) == ("fifo", pool["version"] + 1)
    expect(page.get_by_text(re.compile("^Saved"))).to_be_visible()  # and the form is that of the new version
    expect(page.get_by_role("button", name="Save")).to_be_disabled()
    # Several aims, by their weights.
    page.get_by_role("radio", name="Several aims at once").check()
    page.get_by_label("Weight of Money, as a number").fill("0.5")
    look(page, "pool")
    page.get_by_role("button", name="Save").click()
    found = until(lambda: changed_to(admin, pool["id"], "utilisation:1+money:0.5"), what="the weights")
    # As it was, for those who come after.
    change = {"policy": pool["policy"], "queue_order": pool["queue_order"]}
    admin("PATCH", f"/pools/{pool['id']}", change, **{"If-Match": f'"{found["version"]}"'})
    expect(page.get_by_role("radio", name="Priority", exact=True)).to_be_checked()


def changed_to(admin: Client, pool: str, policy: str) -> Any:
    found = admin.get(f"/pools/{pool}")
    return found if found["policy"] == policy else None
