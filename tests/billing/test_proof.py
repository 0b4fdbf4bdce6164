"""From what an invoice comes to, by its lines and charges, to the changes of state of what ran."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from billing.actions import books, commitments, invoices
from billing.models import Invoice
from federation.models import Accelerator, Allocation, Node, Share, Workload
from portal.audit import SYSTEM
from portal.models import Project, Quota
from portal.permissions import Role
from tests.billing.invoicing import draft, issue
from tests.billing.rows import Estate, at
from tests.billing.test_api_ledger import client_of
from tests.factories import user

pytestmark = pytest.mark.django_db


def busy() -> Estate:
    """Two projects, a price that changes, a reservation, a tax, and a sum that has to be rounded."""
    estate = Estate()
    price = estate.price("1.234567", valid_to=at(0, hours=30))
    books.set_tax(
        by=SYSTEM, book=price.book, name="VAT", rate=Decimal("0.06"), valid_from=at(0) - timedelta(days=90)
    )  # fmt: skip
    estate.price("2.5", valid_from=at(0, hours=30))
    commitments.buy(
        by=SYSTEM, tenant=estate.tenant, flavor=estate.flavor, held_milli=500, unit_price=Decimal(1), currency="CNY",
        start=at(0), end=at(0, hours=3),
    )  # fmt: skip
    other = estate.project_named("Other")
    for hours, project in ((0, estate.project), (29, other), (40, estate.project)):
        estate.ended(at(7, hours=hours), at(95, hours=hours), milli=1000, project=project)
    return estate


def page(client: Any, address: str, **query: Any) -> list[dict[str, Any]]:
    answer = client.get(f"/api/v1/{address}", {"limit": "200", **query})
    assert answer.status_code == 200, answer.json()
    found = answer.json()
    rows: list[dict[str, Any]] = found["results"] if isinstance(found, dict) else found
    return rows


def walk(client: Any, invoice: Invoice) -> set[str]:
    """In three steps; at each of them the sum is that of the step before. The actors that it ends at."""
    lines = page(client, f"invoices/{invoice.pk}/lines")
    assert sum(Decimal(line["cost"]) for line in lines) == invoice.total
    seen: list[str] = []
    actors = set()
    if invoice.state == "draft":  # its tax is charged when it is issued
        lines = [line for line in lines if line["category"] != "tax"]
    for line in lines:
        charges = page(client, "charges", line=line["id"])
        assert sum(Decimal(c["billed_cost"]) for c in charges) == Decimal(line["cost"]), line
        seen += [c["id"] for c in charges]
        for charge in charges:
            assert charge["rule_version"]
            assert charge["category"] in {"tax", "adjustment"} or charge["price_version"] == line["price"]
            records = page(client, "usage-records", charge=charge["id"])
            assert {r["id"] for r in records} == set(charge["usage_records"])
            for record in records:
                events = page(client, f"usage-records/{record['id']}/events")
                assert [e["id"] for e in events] == record["event_ids"]
                assert [e["to_state"] for e in events] == ["starting", "active", "stopping", "released"]
                assert {e["object_id"] for e in events} == {record["allocation"]}
                assert all(e["at"] and e["effective_at"] for e in events)
                actors |= {e["by"] for e in events}
    assert len(seen) == len(set(seen)), "each on one line"
    asked = {c["id"] for c in page(client, "charges", invoice=invoice.pk)}
    assert set(seen) == asked or invoice.state == "draft"
    return actors


def test_three_steps_from_the_total_lead_to_the_events_with_equal_sums() -> None:
    estate = busy()
    invoice = issue(estate)
    lines = {line.category for line in invoice.lines.all()}
    assert lines == {"usage", "purchase", "tax", "adjustment"}
    for role, place in ((Role.PLATFORM_FINANCE, ()), (Role.TENANT_FINANCE, (estate.tenant,))):
        assert walk(client_of(user(role, *place)), invoice) == {SYSTEM.actor_name}


def test_they_do_when_all_inventory_is_gone() -> None:
    estate = busy()
    invoice = issue(estate)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        for model in (Share, Allocation, Workload, Accelerator, Node, Quota, Project):
            cursor.execute(f"DELETE FROM {model._meta.db_table}")  # noqa: S608
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")
    assert walk(client_of(user(Role.PLATFORM_FINANCE)), invoice) == {SYSTEM.actor_name}


def test_a_draft_leads_to_what_is_charged_and_not_asked_for() -> None:
    estate = busy()
    issue(estate)
    estate.ended(at(0, hours=50), at(30, hours=50))
    again = draft(estate)
    assert walk(client_of(user(Role.PLATFORM_FINANCE)), again) == {SYSTEM.actor_name}


def test_a_line_of_a_credit_note_leads_to_what_it_takes_back() -> None:
    estate = busy()
    invoice = issue(estate)
    invoices.cancel(by=SYSTEM, invoice=invoice)
    note = Invoice.objects.get(refers_to=invoice)
    client = client_of(user(Role.PLATFORM_FINANCE))
    for line in note.lines.filter(category="usage"):
        charges = page(client, "charges", line=line.pk)
        assert sum(Decimal(c["billed_cost"]) for c in charges) == -line.cost


def test_lines_and_events_of_others_are_not_to_be_had() -> None:
    estate = busy()
    invoice = issue(estate)
    stranger = client_of(user(Role.TENANT_FINANCE, Estate().tenant))
    line = invoice.lines.filter(category="usage").first()
    assert line is not None
    assert page(stranger, "charges", line=line.pk) == []
    record = page(client_of(user(Role.PLATFORM_FINANCE)), "usage-records", tenant=estate.tenant.pk)[0]
    assert stranger.get(f"/api/v1/usage-records/{record['id']}/events").status_code == 404
