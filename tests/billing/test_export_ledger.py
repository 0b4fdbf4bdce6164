"""What stands in the ledger leaves as FOCUS, line items and card-hours: all of it, once, to the last digit."""

from collections import Counter
from decimal import Decimal

import pytest

from billing.exports.focus.check import check_rows
from billing.exports.ledger import query
from billing.exports.ledger.query import asked_for
from billing.exports.ledger.snapshots import FOCUS_1_2, FOCUS_1_4, HOURS, ITEMS, Reading, newest_seq, snapshots
from billing.models import Charge
from billing.rating import total_of
from federation.models import Allocation
from tests.billing import exporting
from tests.billing.exporting import HUB, as_text, busy_month, month, rows_of
from tests.billing.rows import Estate

pytestmark = pytest.mark.django_db


def kinds(rows: list) -> set[tuple[str, str | None, str | None]]:  # type: ignore[type-arg]  # of any rows
    return {(r["ChargeCategory"], r.get("PricingCategory"), r.get("CommitmentDiscountStatus")) for r in rows}


@pytest.mark.parametrize("kind", [FOCUS_1_2, FOCUS_1_4])
def test_all_kinds_of_charges_leave_and_our_checker_finds_nothing(kind: str) -> None:
    estate = Estate()
    issued = busy_month(estate)
    whole = month()
    found = [(s.dataset, list(as_text(s.dataset, list(s.rows(0))))) for s, _ in snapshots(kind, whole, HUB)]
    payable = {i.number: i.total for i in issued if i.number}
    wrong = [f"{v.row} {v}" for v in check_rows(found, is_whole=True, payable=payable)]
    assert wrong == []
    rows = rows_of(kind, whole)["CostAndUsage"]
    assert kinds(rows) == {
        ("Usage", "Standard", None), ("Usage", "Dynamic", None), ("Usage", "Committed", "Used"),
        ("Usage", "Committed", "Unused"), ("Purchase", "Committed", None), ("Credit", None, None),
        ("Tax", None, None), ("Adjustment", None, None),
    }  # fmt: skip
    assert {r.get("PricingUnit") for r in rows} == {
        "Accelerator-Hours", "Core-Hours", "GiB-Hours", "Kilowatt-Hours", None,
    }  # fmt: skip
    assert "Correction" in {r["ChargeClass"] for r in rows}
    for detail in rows_of(kind, whole).get("InvoiceDetail", []):
        is_note = str(detail["InvoiceId"]).startswith("CN")
        assert (detail["PaymentTerms"], detail["PaymentDueDate"] is None) == (
            ("As agreed", True) if is_note else ("Net 30 days", False)
        )


def test_sums_are_the_ledgers() -> None:
    estate = Estate()
    busy_month(estate)
    for kind, name, cost in ((FOCUS_1_4, "CostAndUsage", "BilledCost"), (ITEMS, "LineItems", "cost")):
        rows = rows_of(kind, month())[name]
        charges = Charge.objects.filter(tenant_id=estate.tenant.pk)
        billed = total_of(c.billed_cost for c in charges)
        assert total_of(r[cost] for r in rows) == billed  # type: ignore[misc]
    hours = rows_of(HOURS, month())["CardHours"]
    used = charges.filter(category="usage", meter="accelerator")
    assert sum(r["card_seconds"] for r in hours) * 1000 == sum(c.milli_seconds for c in used)  # type: ignore[misc]
    assert total_of(r["cost"] for r in hours) == total_of(c.billed_cost for c in used)  # type: ignore[misc]


def test_a_snapshot_stays_as_it_was_whatever_is_posted_later() -> None:
    estate = Estate()
    seqs, seen = [], []
    estate.price("10")
    for minutes in (0, 60, 120):
        estate.ended(exporting.at(minutes), exporting.at(minutes + 17))
        exporting.issue(estate)
        seqs.append(newest_seq())
        seen.append(rows_of(FOCUS_1_4, month()))
    busy_month_after = exporting.invoices.cancel(by=exporting.SYSTEM, invoice=exporting.Invoice.objects.first())
    assert busy_month_after is not None
    assert [rows_of(FOCUS_1_4, month(seq)) for seq in seqs] == seen
    exporting.forget_inventory()
    assert [rows_of(FOCUS_1_4, month(seq)) for seq in seqs] == seen


@pytest.mark.parametrize("at_once", [1, 3, 5000])
def test_reading_goes_on_at_any_place_and_gives_the_same(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "AT_ONCE", at_once)
    estate = Estate()
    busy_month(estate)
    whole = month()
    everything = list(asked_for(whole))
    lines = [row.line_id for row, _ in everything]
    assert max(Counter(lines).values()) == 1
    for count, (_, place) in list(enumerate(everything, 1))[:: 1 if at_once == 5000 else 9]:
        assert [row.line_id for row, _ in asked_for(whole, place)] == lines[count:]
        reading = Reading(whole, lambda asked: {"id": asked.line_id}, {count: place})
        assert [row["id"] for row in reading.rows(count)] == lines[count:]
        assert [row["id"] for row in Reading(whole, lambda a: {"id": a.line_id}).rows(count)] == lines[count:]


def test_a_tenant_gets_its_own_and_nothing_of_others() -> None:
    estate, other = Estate(), Estate()
    busy_month(estate)
    other.price("3")
    other.ended(exporting.at(0), exporting.at(60))
    exporting.issue(other)
    for kind in (FOCUS_1_4, ITEMS, HOURS):
        mine = rows_of(kind, month(tenant=other.tenant.pk))
        assert other.tenant.name in str(mine)
        assert estate.tenant.name not in str(mine)
        assert str(estate.tenant.pk) not in str(mine)


def test_what_has_no_price_yet_is_there_at_zero() -> None:
    estate = Estate()
    estate.ended(exporting.at(0), exporting.at(60))
    exporting.draft(estate)
    (row,) = rows_of(FOCUS_1_4, month())["CostAndUsage"]
    assert (row["BilledCost"], row["PricingQuantity"], row["InvoiceId"]) == (0, Decimal(1), None)
    assert str(row["SkuPriceId"]).startswith("price-none.")


def test_what_was_taken_back_before_an_invoice_asked_for_it_is_not_there() -> None:
    estate = Estate()
    estate.price("10")
    run = estate.ended(exporting.at(0), exporting.at(60))
    exporting.draft(estate)
    Allocation.objects.filter(pk=run.pk).update(ended_at=exporting.at(30), proof_at=exporting.at(30))
    exporting.draft(estate)
    assert Charge.objects.filter(reverses__isnull=False).exists()
    for is_issued in (False, True):
        if is_issued:
            exporting.issue(estate)
        rows = [r for r in rows_of(FOCUS_1_4, month())["CostAndUsage"] if r["ChargeCategory"] == "Usage"]
        assert [(r["PricingQuantity"], r["ChargeClass"], r["InvoiceId"] is not None) for r in rows] == [
            (Decimal("0.5"), None, is_issued)
        ]
