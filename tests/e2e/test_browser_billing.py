"""The pages of billing in a real browser: every tab opens, and what they set stands in the API."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import MARKS, look, opened, sign_in
from tests.e2e.product import Client, Product

pytestmark = MARKS


@pytest.fixture
def page(product: Product, admin: Client) -> Iterator[Page]:
    with opened(product, admin) as found:
        yield found


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_role("dialog").get_by_role("combobox", name=label, exact=True).click()
    page.get_by_role("option", name=option, exact=True).click()


def test_prices_terms_and_reservations_are_set_in_the_pages(product: Product, admin: Client, page: Page) -> None:
    product.manage("seed_demo", "--workloads", "20")
    flavor = admin.get("/flavors?limit=1")["results"][0]["name"]
    tenant = admin.get("/tenants?limit=1")["results"][0]
    sign_in(product, page)
    page.goto("/billing")
    tabs = page.get_by_role("navigation", name="Billing").get_by_role("link")
    expect(tabs.first).to_be_visible()
    for name in tabs.all_inner_texts():
        tabs.get_by_text(name, exact=True).click()
        expect(tabs.get_by_text(name, exact=True)).to_have_attribute("aria-current", "page")
        expect(page.get_by_role("main").locator("[aria-busy], .mantine-Skeleton-root")).to_have_count(0)
        expect(page.get_by_role("alert")).to_have_count(0)
        look(page, f"billing {name}")

    page.goto("/billing?tab=books")
    page.get_by_role("button", name="Make a book").click()
    page.get_by_label("Name").fill("By the browser")
    page.get_by_label("Currency").fill("cny")
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_role("cell", name="by-the-browser")).to_be_visible()

    page.goto("/billing?tab=prices&book=by-the-browser")
    page.get_by_role("button", name="Set a price").click()
    choose(page, "Flavor", flavor)
    page.get_by_label("Price of an hour, CNY").fill("12.345678")
    page.get_by_role("button", name="Add a tier").click()
    page.get_by_label("From, hours of a month").fill("1000")
    page.get_by_label("Price from there on").fill("9.5")
    look(page, "billing new price")
    page.get_by_role("button", name="Set the price").click()
    expect(page.get_by_text("¥12.345678 per card and hour")).to_be_visible()
    (price,) = admin.get("/prices?book=by-the-browser")["results"]
    assert (price["flavor"], price["unit_price"], price["tier_mode"]) == (flavor, "12.345678", "graduated")
    assert price["tiers"] == [{"start": "1000.000000000", "unit_price": "9.500000"}]

    page.goto("/billing?tab=terms")
    page.get_by_role("button", name="Set terms").click()
    choose(page, "Tenant", tenant["name"])
    choose(page, "Price book", "By the browser (CNY)")
    choose(page, "Pays as", "partner")
    page.get_by_role("button", name="Set the terms").click()
    expect(page.get_by_role("row", name=tenant["name"]).first).to_contain_text("partner")
    term = admin.get(f"/billing-terms?tenant={tenant['id']}")["results"][0]
    assert (term["book"], term["tenant_class"], term["is_taxed"]) == ("by-the-browser", "partner", True)

    page.goto("/billing?tab=reservations")
    page.get_by_role("button", name="Sell a reservation").click()
    choose(page, "Tenant", tenant["name"])
    choose(page, "Flavor", flavor)
    page.get_by_label("How many").fill("2")
    page.get_by_label("Price of an hour of each").fill("8")
    page.get_by_role("button", name="Sell it").click()
    page.get_by_role("button", name=f"Hours of 2 × {flavor}").first.click()
    expect(page.get_by_text("hours reserved in all")).to_be_visible()
    look(page, "billing reservation")

    page.goto("/billing?tab=rerating")
    page.get_by_role("button", name="Try other prices").click()
    choose(page, "Tenant", tenant["name"])
    choose(page, "By the prices of", "By the browser (CNY)")
    page.get_by_role("button", name="Show the difference").click()
    expect(page.get_by_role("heading", name=f"Other prices for {tenant['name']}")).to_be_visible()
    look(page, "billing proposal")
    page.get_by_role("button", name="Drop").click()
    page.get_by_role("dialog").get_by_role("button", name="Drop").click()
    expect(page.get_by_text("Dropped").first).to_be_visible()


def test_a_template_is_made_changed_and_deleted(product: Product, admin: Client, page: Page) -> None:
    sign_in(product, page)
    page.goto("/catalogue")
    page.get_by_role("button", name="Make a template").click()
    page.get_by_label("Name").fill("Browser made")
    page.get_by_label("Says").fill('{"kind": "batch", "acelerators": 2}')
    page.get_by_role("dialog").get_by_role("button", name="Make the template").click()
    expect(page.get_by_text("A workload has no such field.", exact=True)).to_be_visible()
    page.get_by_label("Says").fill('{"kind": "batch", "accelerators": 2}')
    page.get_by_role("dialog").get_by_role("button", name="Make the template").click()
    row = page.get_by_role("row", name="Browser made")
    expect(row).to_contain_text("accelerators 2")
    row.get_by_role("button", name="Change").click()
    page.get_by_label("Says").fill('{"kind": "batch", "accelerators": 3}')
    page.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("accelerators 3")
    row.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)
    assert [each["is_archived"] for each in admin.get("/templates?slug=browser-made")["results"]] == [True]
