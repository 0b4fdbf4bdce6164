"""Profiles, paper and payments as finance asks for them."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from billing.actions import invoices
from billing.policy import policy
from portal.audit import SYSTEM
from portal.permissions import Role
from tests.billing.invoicing import draft
from tests.billing.rows import Estate, at
from tests.billing.test_api import Sign, sign_in
from tests.paper import Read

__all__ = ["sign_in"]
pytestmark = pytest.mark.django_db


def test_from_a_profile_to_a_paid_invoice(sign_in: Sign) -> None:
    estate = Estate()
    estate.price("10")
    estate.ended(at(0), at(60))
    finance = sign_in(Role.PLATFORM_FINANCE)
    new = {"tenant": str(estate.tenant.pk), "legal_name": "华东计算所", "payment_terms_days": 10}
    wrong = finance.post("/api/v1/billing-profiles", {**new, "tax_id": "91110000600037341M"})
    assert (wrong.status_code, wrong.json()["errors"][0]["code"]) == (422, "not-a-tax-id")
    profile = finance.post("/api/v1/billing-profiles", {**new, "tax_id": "91110000600037341L"})
    assert profile.status_code == 201, profile.json()
    address = f"/api/v1/billing-profiles/{profile.json()['id']}"
    assert finance.patch(address, {"email": "a@b.example"}).status_code == 428
    changed = finance.patch(address, {"email": "a@b.example"}, headers={"If-Match": profile.headers["ETag"]})
    assert (changed.status_code, changed.json()["email"], changed.json()["legal_name"]) == (
        200, "a@b.example", "华东计算所",
    )  # fmt: skip
    nowhere = finance.patch(address, {"home_site": "nowhere"}, headers={"If-Match": changed.headers["ETag"]})
    assert nowhere.status_code == 422

    invoice = invoices.issue(by=SYSTEM, invoice=draft(estate), policy=policy())
    address = f"/api/v1/invoices/{invoice.pk}"
    body = finance.get(address).json()
    assert (body["state"], body["paid"], body["is_overdue"], body["actions"]) == (
        "issued", "0.00", False, ["cancel", "pay"],
    )  # fmt: skip
    assert (body["bill_to"]["legal_name"], body["bill_to"]["email"]) == ("华东计算所", "a@b.example")
    paper = finance.get(f"{address}/invoice.pdf", {"language": "zh"})
    assert (paper.status_code, paper.headers["Content-Type"]) == (200, "application/pdf")
    assert paper.headers["Content-Disposition"] == f'attachment; filename="{invoice.number}.pdf"'
    assert Read(paper.content).amount("价税合计 (CNY)") == 10
    assert finance.get(f"{address}/invoice.pdf", {"language": "fr"}).status_code == 422
    assert finance.get(f"{address}/fapiao.json").json()["价税合计大写"] == "壹拾元整"

    money = {"invoice": str(invoice.pk), "amount": "4.00", "received_on": "2026-12-01", "reference": "B-1"}
    first = finance.post("/api/v1/payments", money, headers={"Idempotency-Key": "b-1"})
    assert first.status_code == 201, first.json()
    assert finance.post("/api/v1/payments", money, headers={"Idempotency-Key": "b-1"}).json() == first.json()
    assert finance.get(address).json()["actions"] == ["pay"]
    assert finance.post("/api/v1/payments", {**money, "amount": "6.01"}).status_code == 422
    assert finance.post("/api/v1/payments", {**money, "amount": "6.00"}).status_code == 201
    body = finance.get(address).json()
    assert (body["state"], body["paid"], body["actions"]) == ("paid", "10.00", [])
    back = finance.post(f"/api/v1/payments/{first.json()['id']}/reverse", {"message": "Bounced"})
    assert (back.status_code, back.json()["actions"]) == (202, []), back.json()
    body = finance.get(address).json()
    assert (body["state"], body["paid"]) == ("issued", "6.00")
    found = finance.get("/api/v1/payments", {"invoice": str(invoice.pk)}).json()["results"]
    assert [(p["amount"], p["reverses"], p["actions"]) for p in found] == [
        ("-4.00", first.json()["id"], []), ("6.00", None, ["reverse"]), ("4.00", None, []),
    ]  # fmt: skip


@pytest.mark.parametrize("noun", ["payments", "billing-profiles"])
def test_a_tenants_finance_looks_and_changes_nothing(sign_in: Sign, noun: str) -> None:
    estate = Estate()
    estate.price("10")
    estate.ended(at(0), at(60))
    invoice = invoices.issue(by=SYSTEM, invoice=draft(estate), policy=policy())
    theirs: APIClient = sign_in(Role.TENANT_FINANCE, estate.tenant)
    assert theirs.get(f"/api/v1/{noun}").status_code == 200
    assert theirs.get(f"/api/v1/invoices/{invoice.pk}/invoice.pdf").status_code == 200
    bodies: dict[str, Any] = {
        "payments": {"invoice": str(invoice.pk), "amount": "4.00", "received_on": "2026-12-01", "reference": "B"},
        "billing-profiles": {"tenant": str(estate.tenant.pk), "legal_name": "X"},
    }
    assert theirs.post(f"/api/v1/{noun}", bodies[noun]).status_code == 403
    assert theirs.get(f"/api/v1/invoices/{invoice.pk}").json()["actions"] == []
