"""A month on the ledger with every kind of charge, and what of it is read back for exports."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import connection

from billing.actions import books, commitments, invoices, ledger, prices
from billing.actions.ledger import Move
from billing.exports.focus.charges import Party
from billing.exports.focus.columns import Dataset, Row
from billing.exports.focus.text import plain
from billing.exports.ledger.query import Whole
from billing.exports.ledger.snapshots import newest_seq, snapshots
from billing.models import AccountKind, Charge, ChargeCategory, Invoice, TransactionKind
from billing.policy import policy
from billing.rating import RULE_VERSION, Meter
from federation.models import AcceleratorModel, Allocation
from portal.audit import SYSTEM
from tests.billing.invoicing import draft, issue
from tests.billing.rows import NOVEMBER, Estate, at

HUB = Party("hub", "Federation Hub")


def month(seq: int | None = None, tenant: Any = None) -> Whole:
    return Whole(NOVEMBER.start, NOVEMBER.end, newest_seq() if seq is None else seq, tenant)


def rows_of(kind: str, whole: Whole) -> dict[str, list[Row]]:
    return {snapshot.dataset.name: list(snapshot.rows(0)) for snapshot, _ in snapshots(kind, whole, HUB)}


def as_text(dataset: Dataset, rows: list[Row]) -> Iterator[dict[str, str | None]]:
    for row in rows:
        yield {column.name: plain(row.get(column.name)) for column in dataset.columns}


def busy_month(estate: Estate) -> list[Invoice]:
    """Two invoices and a credit note, and something that no invoice asks for yet."""
    estate.price("10")
    book = prices.default_book("CNY")
    for meter, unit_price in ((Meter.CPU, "0.05"), (Meter.MEMORY, "0.01"), (Meter.ENERGY, "0.6")):
        prices.set_price(
            by=SYSTEM, flavor=estate.flavor, unit_price=Decimal(unit_price), currency="CNY", book=book,
            valid_from=at(0) - timedelta(days=200), terms=prices.Terms(meter=meter),
        )  # fmt: skip
    AcceleratorModel.objects.filter(pk=estate.model.pk).update(power_watts=400)
    books.set_tax(by=SYSTEM, book=book, name="VAT", rate=Decimal("0.06"), valid_from=at(0) - timedelta(days=200))
    commitments.buy(
        by=SYSTEM, tenant=estate.tenant, flavor=estate.flavor, held_milli=500, unit_price=Decimal(4), currency="CNY",
        start=at(0), end=at(180),
    )  # fmt: skip
    estate.ended(at(0), at(47))
    late = estate.ended(at(60), at(73), milli=333)
    quota = estate.tenant.quotas.get()
    type(quota).objects.filter(pk=quota.pk).update(nominal_milli=500, borrowing_limit_milli=5000)
    estate.ended(at(300), at(331))
    first = issue(estate)
    Allocation.objects.filter(pk=late.pk).update(ended_at=at(66), proof_at=at(66))  # the site takes some back
    estate.ended(at(200), at(213))
    second = issue(estate)
    invoices.cancel(by=SYSTEM, invoice=second)
    third = issue(estate)
    credit(estate, Decimal("-1.5"))
    estate.ended(at(400), at(404))
    draft(estate)
    return [first, second, third]


def credit(estate: Estate, amount: Decimal) -> None:
    charge = Charge(
        category=ChargeCategory.CREDIT, tenant_id=estate.tenant.pk, tenant=estate.tenant.name,
        billing_period_start=NOVEMBER.start, billing_period_end=NOVEMBER.end, period_start=at(0), period_end=at(60),
        billed_cost=amount, effective_cost=amount, contracted_cost=amount, list_cost=amount, currency="CNY",
        rule_version=RULE_VERSION, description="For the outage of Tuesday",
    )  # fmt: skip
    ledger.post(
        by=SYSTEM, kind=TransactionKind.CREDIT, key=f"credit {charge.pk}", charges=[charge], tenant_id=estate.tenant.pk,
        moves=[
            Move(AccountKind.UNBILLED, amount, "CNY", estate.tenant.pk),
            Move(AccountKind.CREDIT, -amount, "CNY", estate.tenant.pk),
        ],
    )  # fmt: skip


def forget_inventory() -> None:
    """As an owner of the database could: what is exported is in the ledger."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for table in ("allocation", "workload", "accelerator", "node", "cluster", "site"):
            cursor.execute(f"DELETE FROM federation_{table}")  # noqa: S608 - tables of ours
        cursor.execute("SET LOCAL session_replication_role = origin")


__all__ = ["HUB", "as_text", "busy_month", "credit", "forget_inventory", "month", "policy", "rows_of"]
