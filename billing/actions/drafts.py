"""Drafts: what a month's charges are worth, less what was asked for before. Rebuilt as usage comes in.

Whoever touches a tenant's invoices holds the tenant's row first, so a draft never counts what is just being
issued as outstanding.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Case, DecimalField, F, Max, OuterRef, Q, Subquery, Sum, Value, When
from django.db.models.functions import Now
from django.utils import timezone

from billing.actions import charges, commitments, settling
from billing.actions.rates import meter_unit, terms_of
from billing.models import Charge, ChargeCategory, Invoice, InvoiceLine, Mark, PriceVersion, TaxRule, UsageRecord
from billing.periods import Period, month_of
from billing.policy import Policy
from billing.rating import Item, Line, Meter, Names, outstanding, summed, tax_of, total_of
from billing.states import InvoiceState
from portal import audit, events
from portal.audit import SYSTEM, Actor
from portal.errors import Conflict
from portal.models import Tenant

_LATE = Mark.OVERLAP
_OF_INVOICES = (ChargeCategory.TAX, ChargeCategory.ADJUSTMENT)  # made by them, not asked for by them
_PRICED = (ChargeCategory.USAGE, ChargeCategory.PURCHASE)


@transaction.atomic
def draft(*, by: Actor, tenant: Tenant, period: Period, policy: Policy) -> Invoice:
    """The tenant's draft for a month, rebuilt from what is metered and not yet invoiced."""
    catch_up(tenant_id=tenant.pk, policy=policy)
    invoice = rebuild(by, tenant.pk, period, policy)
    if invoice is None:
        raise Conflict(f"{tenant.name} has used nothing in {period.label} that is not invoiced already.")
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
    """Bring a tenant's charges and drafts up to date: this month's, those that exist, and months with late usage."""
    mark = Mark.objects.take("drafts", tenant_id)
    if mark is None:
        return  # another worker is at it
    catch_up(tenant_id=tenant_id, policy=policy)
    fresh = UsageRecord.objects.filter(tenant_id=tenant_id, metered_at__gte=mark.at - _LATE)
    existing = Invoice.objects.filter(tenant_id=tenant_id, state=InvoiceState.DRAFT, refers_to=None)
    instants = {
        timezone.now(),
        *fresh.datetimes("start_at", "month", tzinfo=policy.zone),
        *existing.values_list("period_start", flat=True),
    }
    for period in sorted({month_of(at, policy.zone) for at in instants}, key=lambda p: p.start):
        for currency in sorted(currencies_of(tenant_id, period, policy)):
            rebuild(SYSTEM, tenant_id, period, policy, currency)
    Mark.objects.filter(pk=mark.pk).update(at=Now())


def catch_up(*, tenant_id: UUID, policy: Policy, until: datetime | None = None, period: Period | None = None) -> None:
    """Charge what is to be charged by now."""
    until = until or charges.closed_before(timezone.now())
    while charges.charge(tenant_id=tenant_id, policy=policy, until=until, period=period) == charges.AT_ONCE:
        pass
    while charges.rate_again(tenant_id=tenant_id, policy=policy) >= charges.AT_ONCE:
        pass
    settling.settle(tenant_id=tenant_id, policy=policy)


def rebuild(by: Actor, tenant_id: UUID, period: Period, policy: Policy, currency: str | None = None) -> Invoice | None:
    """Make the draft's lines what they should be now. None: there is no draft, and nothing to ask for."""
    tenant = Tenant.objects.select_for_update(no_key=True).get(pk=tenant_id)
    currency = currency or commitments.currency_of(tenant=tenant, at=period.start, policy=policy)
    lines = _outstanding(tenant_id, period, currency, policy)
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
                category=line.item.category,
                project_id=line.item.project_id,
                project=line.names.project,
                flavor_id=line.item.flavor_id,
                flavor=line.names.flavor,
                unit=line.names.unit,
                site=line.item.site,
                meter="" if line.item.meter == Meter.ACCELERATOR else line.item.meter,
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


def currencies_of(tenant_id: UUID, period: Period, policy: Policy) -> set[str]:
    here = Charge.objects.filter(tenant_id=tenant_id, billing_period_start=period.start)
    return {
        *here.order_by().values_list("currency", flat=True).distinct(),
        *(terms.currency for terms in terms_of(tenant_id, policy.currency, period.end)),
    }


def _outstanding(tenant_id: UUID, period: Period, currency: str, policy: Policy) -> list[Line]:
    """What the month's usage is worth, less what was asked for it already; and the tax on that."""
    asked = Invoice.objects.filter(tenant_id=tenant_id).exclude(state=InvoiceState.DRAFT)
    overlapping = asked.filter(period_start__lt=period.end, period_end__gt=period.start)
    if overlapping.exclude(period_start=period.start, period_end=period.end).exists():
        # The time zone of billing was changed: its usage would be asked for twice.
        raise Conflict(f"Parts of {period.label} are invoiced by another calendar.")
    posted = Charge.objects.filter(tenant_id=tenant_id, billing_period_start=period.start, currency=currency)
    worth = summed([*_charged(posted), *_to_be_charged(tenant_id, period, currency, policy)])
    lines = outstanding(worth, _invoiced(overlapping.filter(currency=currency)))
    return [*lines, *_taxes(tenant_id, period, currency, policy, total_of(line.cost for line in lines))]


_PRICE_ASKED = Case(  # what a commitment covers is paid for already
    When(Q(commitment_id=None) | Q(category=ChargeCategory.PURCHASE), then=F("contracted_unit_price")),
    default=Value(Decimal(0)),
    output_field=DecimalField(max_digits=18, decimal_places=6),
)


def _charged(posted: Any) -> Iterator[Line]:
    rows: Any = (
        posted.exclude(category__in=_OF_INVOICES)
        .order_by()
        .annotate(asked=_PRICE_ASKED)
        .values("project_id", "flavor_id", "site", "category", "meter", "price_version_id", "asked")
        .annotate(Max("project"), Max("flavor"), Max("unit"), amount=Sum("milli_seconds", output_field=_WHOLE),
                  hours=Sum("quantity"), cost=Sum("billed_cost"))
    )  # fmt: skip
    for row in rows:
        item = Item(row["project_id"], row["flavor_id"], row["site"], row["category"], row["meter"] or "accelerator")
        names = Names(row["project__max"], row["flavor__max"], _unit(row["meter"], row["unit__max"]))
        yield _line(
            item, names, row["price_version_id"], row["asked"], int(row["amount"]), row["hours"] or Decimal(0),
            row["cost"],
        )  # fmt: skip


_WHOLE: Any = DecimalField(max_digits=38, decimal_places=0)


def _to_be_charged(tenant_id: UUID, period: Period, currency: str, policy: Policy) -> Iterator[Line]:
    """What is metered, and whose hour is not over yet."""
    records = list(UsageRecord.objects.filter(tenant_id=tenant_id, charged_in=None).between(period.start, period.end))
    for _, made in charges.worth_of(tenant_id, records, policy):
        for charge in made:
            if charge.currency == currency and charge.billing_period_start == period.start:
                item = Item(charge.project_id, charge.flavor_id, charge.site, charge.category, charge.meter)
                names = Names(charge.project, charge.flavor, _unit(charge.meter, charge.unit))
                yield _line(
                    item, names, charge.price_version_id, charge.contracted_unit_price, charge.milli_seconds,
                    charge.quantity or Decimal(0), charge.billed_cost,
                )  # fmt: skip


def _line(
    item: Item, names: Names, price_id: UUID | None, price: Decimal | None, amount: int, hours: Decimal, cost: Decimal
) -> Line:
    if item.category in _PRICED:
        return Line(item, names, price_id, price, amount, hours)
    return Line(item, names, None, None, amount, hours, cost)


def _unit(meter: str, unit: str) -> str:
    """As lines name it: what a charge calls Accelerator-Hours is a device's."""
    return meter_unit(meter or Meter.ACCELERATOR, "core" if unit == "Core-Hours" else "device")


def _taxes(tenant_id: UUID, period: Period, currency: str, policy: Policy, base: Decimal) -> Iterator[Line]:
    """By the rules that hold when the month ends, on the exact sum of the lines."""
    terms = list(terms_of(tenant_id, policy.currency, period.end))[-1]
    if not base or terms.book_id is None or terms.currency != currency or not terms.is_taxed:
        return
    last = period.end
    rules = TaxRule.objects.filter(
        Q(valid_to=None) | Q(valid_to__gte=last), book_id=terms.book_id, valid_from__lt=last
    )  # fmt: skip
    for rule in rules.order_by("name", "id"):
        item = Item(None, None, "", ChargeCategory.TAX)
        yield Line(item, Names("", rule.name, ""), rule.pk, None, 0, Decimal(0), tax_of(base, rule.rate))


def _invoiced(invoices: Any) -> Iterable[Line]:
    rows: Any = (
        InvoiceLine.objects.filter(invoice__in=invoices)
        .exclude(category__in=_OF_INVOICES)
        .order_by()
        .values("project_id", "flavor_id", "site", "category", "meter", "price_id", "unit_price")
        .annotate(Max("project"), Max("flavor"), Max("unit"), amount=Sum("milli_seconds", output_field=_WHOLE),
                  hours=Sum("quantity"), asked=Sum("cost"))
    )  # fmt: skip
    for row in rows:
        item = Item(row["project_id"], row["flavor_id"], row["site"], row["category"], row["meter"] or "accelerator")
        names = Names(row["project__max"], row["flavor__max"], row["unit__max"])
        yield _line(item, names, row["price_id"], row["unit_price"], int(row["amount"]), row["hours"], row["asked"])


def _stored(lines: Any) -> list[Line]:
    return [
        Line(
            Item(line.project_id, line.flavor_id, line.site, line.category, line.meter or "accelerator"),
            Names(line.project, line.flavor, line.unit),
            line.price_id,
            line.unit_price,
            line.milli_seconds,
            line.quantity,
            None if line.category in _PRICED else line.cost,
        )
        for line in lines.order_by("position")
    ]
