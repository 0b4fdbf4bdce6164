"""Books, terms, charges, reservations, proposals and gaps through the API."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from billing import gaps
from billing.actions import drafts
from billing.models import CapacityHour
from billing.policy import policy
from portal.audit import SYSTEM
from portal.models import User
from portal.permissions import Role
from tests.billing.invoicing import meter
from tests.billing.rows import NOVEMBER, Estate, at
from tests.billing.test_api import JsonClient
from tests.factories import user

pytestmark = pytest.mark.django_db


def client_of(somebody: User) -> APIClient:
    client = JsonClient()
    client.force_authenticate(somebody)
    return client


@pytest.fixture
def finance() -> APIClient:
    return client_of(user(Role.PLATFORM_FINANCE))


def made(answer: Any) -> dict[str, Any]:
    assert answer.status_code in (201, 202), answer.json()
    found: dict[str, Any] = answer.json()
    return found


def test_from_a_total_to_the_events_in_three_steps(finance: APIClient) -> None:
    estate = Estate()
    estate.price("12.5")
    estate.ended(at(10), at(70), milli=250, device=0)
    meter()
    invoice = made(finance.post("/api/v1/invoices/draft", {"tenant": str(estate.tenant.pk), "period": "2026-11"}))
    invoice = made(finance.post(f"/api/v1/invoices/{invoice['id']}/issue"))
    charges = finance.get("/api/v1/charges", {"invoice": invoice["id"]}).json()["results"]
    assert sum(Decimal(c["billed_cost"]) for c in charges) == Decimal(invoice["total"])
    used = [c for c in charges if c["category"] == "usage"]
    assert {(c["rule_version"], c["contracted_unit_price"], c["transaction_seq"]) for c in used} == {
        ("1", "12.500000", 1)
    }
    for charge in used:
        price = finance.get(f"/api/v1/prices/{charge['price_version']}").json()
        assert price["unit_price"] == charge["contracted_unit_price"]
        (record,) = finance.get("/api/v1/usage-records", {"charge": charge["id"]}).json()["results"]
        assert (record["id"], record["milli_seconds"]) == (charge["usage_records"][0], charge["milli_seconds"])
        assert len(record["event_ids"]) == 4
        (back,) = finance.get("/api/v1/charges", {"usage_record": record["id"]}).json()["results"]
        assert back["id"] == charge["id"]


def test_a_price_with_tiers_for_a_class_in_a_book(finance: APIClient) -> None:
    estate = Estate()
    made(finance.post("/api/v1/price-books", {"slug": "partners", "name": "Partners", "currency": "USD"}))
    body = {
        "flavor": estate.flavor.name, "book": "partners", "unit_price": "3", "tenant_class": "partner",
        "site": estate.site.slug, "slicing_mode": "exclusive", "service_class": "guaranteed", "tier_mode": "graduated",
        "tiers": [{"start": "100", "unit_price": "2.5"}], "minimum_seconds": 60, "step_seconds": 60,
        "valid_from": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    price = made(finance.post("/api/v1/prices", body, "json"))
    assert (price["currency"], price["book"], price["meter"]) == ("USD", "partners", "accelerator")
    assert price["tiers"] == [{"start": "100.000000000", "unit_price": "2.500000"}]
    for wrong, pointer in (
        ({"tier_mode": ""}, "/tier_mode"), ({"tiers": [{"start": "9", "unit_price": "1"}] * 2}, "/tiers"),
        ({"site": "nowhere"}, "/site"), ({"slicing_mode": "halved"}, "/slicing_mode"), ({"book": "none"}, "/book"),
        ({"currency": "CNY"}, "/currency"), ({"flavor": ""}, "/flavor"),
    ):  # fmt: skip
        answer = finance.post("/api/v1/prices", {**body, "service_class": "", **wrong}, "json")
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer), answer.json()
    cores = made(finance.post("/api/v1/prices", {"meter": "cpu", "unit_price": "0.1"}))
    assert (cores["flavor"], cores["meter"]) == ("", "cpu")
    term = {"tenant": str(estate.tenant.pk), "book": "partners", "tenant_class": "partner", "is_taxed": False}
    assert made(finance.post("/api/v1/billing-terms", term))["tenant_class"] == "partner"
    assert (
        made(finance.post("/api/v1/tax-rules", {"book": "partners", "name": "VAT", "rate": "0.06"}))["rate"]
        == "0.060000"
    )
    mine = client_of(user(Role.TENANT_FINANCE, estate.tenant))
    assert price["id"] in {p["id"] for p in mine.get("/api/v1/prices").json()["results"]}
    other = client_of(user(Role.TENANT_FINANCE, Estate().tenant))
    assert {p["book"] for p in other.get("/api/v1/prices").json()["results"]} == {"list-cny"}


def test_a_period_is_rated_again_and_approved(finance: APIClient) -> None:
    estate = Estate()
    estate.price("10")
    estate.ended(at(0), at(60))
    meter()
    drafts.draft(by=SYSTEM, tenant=estate.tenant, period=NOVEMBER, policy=policy())
    made(finance.post("/api/v1/price-books", {"slug": "next", "name": "Next", "currency": "CNY"}))
    price = {"flavor": estate.flavor.name, "book": "next", "unit_price": "8", "valid_from": "2026-01-01T00:00:00Z"}
    made(finance.post("/api/v1/prices", price))
    asked = {
        "tenant": str(estate.tenant.pk), "book": "next", "period_start": NOVEMBER.start.isoformat(),
        "period_end": NOVEMBER.end.isoformat(),
    }  # fmt: skip
    found = made(finance.post("/api/v1/proposals", asked))
    assert (found["was"], found["would_be"], found["state"]) == ("10.000000000000000", "8.000000000000000", "open")
    assert [line["difference"] for line in found["lines"]] == ["-2.000000000000000"]
    assert found["actions"] == ["approve", "drop"]
    approved = made(finance.post(f"/api/v1/proposals/{found['id']}/approve"))
    assert (approved["state"], approved["actions"]) == ("approved", [])
    again = finance.post(f"/api/v1/proposals/{found['id']}/drop")
    assert (again.status_code, again.json()["code"]) == (409, "illegal-transition")
    owner = client_of(user(Role.TENANT_FINANCE, estate.tenant))
    assert owner.get("/api/v1/proposals").status_code == 403


def test_a_reservation_a_gap_and_the_capacity(finance: APIClient) -> None:
    estate = Estate()
    body = {
        "tenant": str(estate.tenant.pk), "flavor": estate.flavor.name, "held_milli": 1000, "unit_price": "4",
        "start_at": at(0).isoformat(), "end_at": at(60).isoformat(),
    }  # fmt: skip
    reserved = made(finance.post("/api/v1/commitments", body))
    assert reserved["currency"] == "CNY"
    hours = finance.get(f"/api/v1/commitments/{reserved['id']}/hours").json()
    assert hours == {"reserved": "1.000000000", "used": "0.000000000", "unused": "0.000000000"}
    answer = finance.post("/api/v1/commitments", {**body, "end_at": at(61).isoformat()})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/end_at")
    estate.running(at(0), at(10))
    gaps.step(now=at(30))
    (gap,) = finance.get("/api/v1/usage-gaps", {"is_open": "true", "tenant": estate.tenant.pk}).json()["results"]
    assert (gap["site"], gap["end_at"], gap["proven_seconds"]) == (estate.site.slug, None, None)
    CapacityHour.objects.create(
        site="a", flavor_id=estate.flavor.pk, flavor="f", hour=at(0), capacity=9, work=2, reserved=3, idle=4
    )
    found = finance.get("/api/v1/capacity-hours", {"site": "a", "since": at(0) - timedelta(hours=1)}).json()["results"]
    assert [(h["capacity"], h["idle"]) for h in found] == [(9, 4)]
    assert client_of(user(Role.TENANT_FINANCE, estate.tenant)).get("/api/v1/capacity-hours").json()["results"] == []
