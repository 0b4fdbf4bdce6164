"""Drafting, issuing and cancelling invoices.

Whoever touches a tenant's invoices holds the tenant's row first, so a draft never counts what is just being
issued as outstanding.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Max, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Now
from django.utils import timezone

from billing.models import Invoice, InvoiceLine, Mark, NumberSeries, PriceVersion, UsageRecord
from billing.periods import Period, month_of
from billing.policy import Policy
from billing.rating import Item, Line, Names, edges_of, outstanding, payable_of, rate, total_of
from billing.states import InvoiceState
from portal import audit, events
from portal.audit import SYSTEM, Actor
from portal.errors import Conflict, IllegalTransition
from portal.models import Tenant
from portal.transitions import move

_LATE = Mark.OVERLAP


@transaction.atomic
def draft(*, by: Actor, tenant: Tenant, period: Period, currency: str) -> Invoice:
    """The tenant's draft for a month, rebuilt from what is metered and not yet invoiced."""
    invoice = _rebuild(by, tenant.pk, period, currency)
    if invoice is None:
        raise Conflict(f"{tenant.name} has used nothing in {period.label} that is not invoiced already.")
    return invoice


@transaction.atomic
def issue(*, by: Actor, invoice: Invoice) -> Invoice:
    """Give the draft, as it stands, its number, round what is to be paid, and fix it for good."""
    invoice = _locked(invoice)
    if invoice.state != InvoiceState.DRAFT:
        raise IllegalTransition(f"This invoice is {invoice.state}; only a draft can be issued.")
    lines = list(invoice.lines.order_by("position"))
    if not lines:
        raise Conflict("There is nothing on this draft to ask for.")
    total = total_of(line.cost for line in lines)
    payable = payable_of(total)
    if payable != total:
        InvoiceLine.objects.create(
            invoice=invoice,
            position=lines[-1].position + 1,
            category=InvoiceLine.Category.ADJUSTMENT,
            cost=payable - total,
            currency=invoice.currency,
        )
    _number(by, invoice, "INV", payable, reason="Issued")
    return invoice


@transaction.atomic
def cancel(*, by: Actor, invoice: Invoice, message: str = "") -> Invoice:
    """Take an issued invoice back by a credit note that refers to it. The month can be drafted anew then."""
    invoice = _locked(invoice)
    if invoice.is_credit_note:
        raise Conflict("A credit note stays. Draft the month again to ask for its usage once more.")
    if invoice.state != InvoiceState.ISSUED:
        raise IllegalTransition(f"This invoice is {invoice.state}; only an issued one can be cancelled.")
    note = Invoice.objects.create(
        tenant_id=invoice.tenant_id,
        tenant=invoice.tenant,
        period_start=invoice.period_start,
        period_end=invoice.period_end,
        currency=invoice.currency,
        refers_to=invoice,
        total=-invoice.total,
    )
    lines = list(invoice.lines.order_by("position"))
    for line in lines:
        line.pk, line.invoice, line.created_at = InvoiceLine().pk, note, Now()
        line.milli_seconds, line.quantity, line.cost = -line.milli_seconds, -line.quantity, -line.cost
    InvoiceLine.objects.bulk_create(lines)
    _number(by, note, "CN", note.total, reason="Cancels", message=f"Cancels {invoice.number}. {message}".strip())
    move(invoice, InvoiceState.CANCELLED, by=by, reason="CancelledByCreditNote", message=message)
    audit.record(by=by, what="invoice.cancel", target=invoice, detail={"credit_note": note.number})
    return invoice


def due(limit: int = 500) -> list[UUID]:
    """Tenants with usage or prices newer than their drafts."""
    newest_usage = UsageRecord.objects.filter(tenant_id=OuterRef("pk")).order_by("-metered_at")
    newest_price = PriceVersion.objects.filter(Q(tenant=None) | Q(tenant=OuterRef("pk"))).order_by("-changed_at")
    marks = Mark.objects.filter(sweep="drafts", tenant_id=OuterRef("pk"))
    return list(
        Tenant.objects.annotate(
            used_at=Subquery(newest_usage.values("metered_at")[:1]),
            priced_at=Subquery(newest_price.values("changed_at")[:1]),
            drafted_at=Subquery(marks.values("at")[:1]),
        )
        .filter(used_at__isnull=False)
        .filter(Q(drafted_at=None) | Q(used_at__gt=F("drafted_at") - _LATE) | Q(priced_at__gt=F("drafted_at") - _LATE))
        .order_by(F("drafted_at").asc(nulls_first=True), "pk")
        .values_list("pk", flat=True)[:limit]
    )


@transaction.atomic
def refresh(*, tenant_id: UUID, policy: Policy) -> None:
    """Bring a tenant's drafts up to date: this month's, those that exist, and months with late usage."""
    mark = Mark.objects.take("drafts", tenant_id)
    if mark is None:
        return  # another worker is at it
    fresh = UsageRecord.objects.filter(tenant_id=tenant_id, metered_at__gte=mark.at - _LATE)
    drafts = Invoice.objects.filter(
        tenant_id=tenant_id, state=InvoiceState.DRAFT, refers_to=None, currency=policy.currency
    )
    instants = {
        timezone.now(),
        *fresh.datetimes("start_at", "month", tzinfo=policy.zone),
        *drafts.values_list("period_start", flat=True),
    }
    periods = {month_of(at, policy.zone) for at in instants}
    for period in sorted(periods, key=lambda p: p.start):
        _rebuild(SYSTEM, tenant_id, period, policy.currency)
    Mark.objects.filter(pk=mark.pk).update(at=Now())


def _rebuild(by: Actor, tenant_id: UUID, period: Period, currency: str) -> Invoice | None:
    tenant = Tenant.objects.select_for_update(no_key=True).get(pk=tenant_id)
    lines = _outstanding(tenant_id, period, currency)
    key: dict[str, Any] = {"tenant_id": tenant_id, "period_start": period.start, "currency": currency}
    invoice = Invoice.objects.filter(**key, state=InvoiceState.DRAFT, refers_to=None).first()
    if invoice is None:
        if not lines:
            return None
        invoice = Invoice.objects.create(**key, period_end=period.end, tenant=tenant.name)
        audit.record(by=by, what="invoice.draft", target=invoice, detail={"period": period.label})
    if lines != _stored(InvoiceLine.objects.filter(invoice=invoice)):
        invoice.lines.all().delete()
        InvoiceLine.objects.bulk_create(
            InvoiceLine(
                invoice=invoice,
                position=position,
                project_id=line.item.project_id,
                project=line.names.project,
                flavor_id=line.item.flavor_id,
                flavor=line.names.flavor,
                unit=line.names.unit,
                site=line.item.site,
                price_id=line.price_id,
                unit_price=line.unit_price,
                milli_seconds=line.milli_seconds,
                quantity=line.quantity,
                cost=line.cost,
                currency=currency,
            )
            for position, line in enumerate(lines, 1)
        )
        Invoice.objects.filter(pk=invoice.pk).update(
            total=total_of(line.cost for line in lines), tenant=tenant.name, version=F("version") + 1
        )
        invoice.refresh_from_db()
        events.publish("invoice", invoice.pk, tenant_id)
    return invoice


def _outstanding(tenant_id: UUID, period: Period, currency: str) -> list[Line]:
    """What the month's usage is worth, less what was asked for it already."""
    asked = Invoice.objects.filter(tenant_id=tenant_id).exclude(state=InvoiceState.DRAFT)
    overlapping = asked.filter(period_start__lt=period.end, period_end__gt=period.start)
    if overlapping.exclude(
        period_start=period.start, period_end=period.end, currency=currency
    ).exists():  # the currency or the time zone of billing was changed: its usage would be asked for twice
        raise Conflict(f"Parts of {period.label} are invoiced in another currency or by another calendar.")
    prices = [
        price.window()
        for price in PriceVersion.objects.for_tenant(tenant_id, currency).holding(period.start, period.end)
    ]
    edges = edges_of(prices, period.start, period.end)
    worth = rate(UsageRecord.objects.filter(tenant_id=tenant_id).cut_at(edges), prices)
    return outstanding(worth, _invoiced(overlapping))


def _invoiced(invoices: Any) -> Iterable[Line]:
    rows: Any = (
        InvoiceLine.objects.filter(invoice__in=invoices, category=InvoiceLine.Category.USAGE)
        .order_by()
        .values("project_id", "flavor_id", "site", "price_id", "unit_price")
        .annotate(Max("project"), Max("flavor"), Max("unit"), amount=Sum("milli_seconds"), hours=Sum("quantity"))
    )
    for row in rows:
        yield Line(
            Item(row["project_id"], row["flavor_id"], row["site"]),
            Names(row["project__max"], row["flavor__max"], row["unit__max"]),
            row["price_id"],
            row["unit_price"],
            int(row["amount"]),
            row["hours"],
        )


def _stored(lines: Any) -> list[Line]:
    return [
        Line(
            Item(line.project_id, line.flavor_id, line.site),
            Names(line.project, line.flavor, line.unit),
            line.price_id,
            line.unit_price,
            line.milli_seconds,
            line.quantity,
        )
        for line in lines.order_by("position")
    ]


def _locked(invoice: Invoice) -> Invoice:
    Tenant.objects.select_for_update(no_key=True).filter(pk=invoice.tenant_id).first()
    locked: Invoice = Invoice.objects.select_for_update().get(pk=invoice.pk)
    return locked


def _number(by: Actor, invoice: Invoice, prefix: str, total: Decimal, *, reason: str, message: str = "") -> None:
    """Issue: the next number of the month's series, with no gaps, in this very transaction."""
    series = f"{prefix}-{invoice.period}-"
    NumberSeries.objects.get_or_create(prefix=series)
    NumberSeries.objects.filter(prefix=series).update(last=F("last") + 1)
    number = str(NumberSeries.objects.get(prefix=series))
    move(
        invoice, InvoiceState.ISSUED, by=by, reason=reason, message=message,
        number=number, total=total, issued_at=timezone.now(),
    )  # fmt: skip
    audit.record(
        by=by,
        what="invoice.issue",
        target=invoice,
        detail={"number": number, "total": str(total), "currency": invoice.currency},
    )
