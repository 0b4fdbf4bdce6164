"""From rows of the ledger to charges of FOCUS."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

from billing.exports.focus.charges import Charge, ChargeKind, Commitment, Party, Period, Pricing, Resource, Tax, Unit
from billing.exports.ledger.query import Asked
from billing.models import InvoiceLine, TaxRule
from billing.rating import ZERO, Meter

_KINDS = {"credit": ChargeKind.CREDIT, "tax": ChargeKind.TAX, "adjustment": ChargeKind.ADJUSTMENT}
# What is consumed of each meter in a second, of which 3600 are the priced unit: milli-seconds, MiB-seconds, and
# milli-watt-seconds.
_CONSUMED: dict[str, tuple[Unit, Decimal]] = {
    Meter.CPU: (Unit.CORE, Decimal(1000)),
    Meter.MEMORY: (Unit.MEMORY, Decimal(1024)),
    Meter.ENERGY: (Unit.ENERGY, Decimal(1_000_000)),
}
_OF_CARDS = (Unit.ACCELERATOR, Decimal(1000))


@dataclass
class Reader:
    """Turns rows into charges. `hub` writes the invoices and owns what belongs to no site."""

    hub: Party
    lines: "LinesOfInvoices" = field(default_factory=lambda: LinesOfInvoices())

    def charge(self, row: Asked) -> Charge:
        kind = kind_of(row)
        is_priced = row.category in ("usage", "purchase")
        unit, per = _CONSUMED.get(row.meter, (Unit.CORE, Decimal(1000)) if row.unit == Unit.CORE.hours else _OF_CARDS)
        site = _party(row.site, row.site) if row.site else None
        is_metered = kind in (ChargeKind.ON_DEMAND, ChargeKind.SPOT, ChargeKind.COMMITTED_USED)
        is_committed = row.commitment_id is not None
        is_spread = is_committed and kind is not ChargeKind.PURCHASE
        return Charge(
            line_id=row.line_id,
            kind=kind,
            payer=_party(str(row.tenant_id), row.tenant),
            issuer=self.hub.name,
            provider=self.hub.name,
            host=site or self.hub,
            period=_period(row.billing_period_start, row.billing_period_end),
            start=row.period_start,
            end=row.period_end,
            currency=row.currency,
            cost=row.sign * (row.effective_cost if is_spread else row.billed_cost),
            description=row.description,
            invoice_id=row.invoice,
            invoice_line_id=None if row.invoice_id is None else self.lines.line_of(row),
            project=_party(str(row.project_id), row.project) if row.project_id else None,
            pricing=_pricing(row, unit) if is_priced else None,
            seconds=row.sign * row.milli_seconds / per if is_metered else None,
            site=site,
            pool_id=row.pool or None,
            resource=_resource(row),
            commitment=_commitment(row) if is_committed else None,
            is_inference=row.workload_kind == "inference",
            is_recurring=kind is ChargeKind.PURCHASE,
            is_correction=row.is_correction,
            corrects=row.corrects,
            tax=self.lines.tax(row.tax_rule_id) if kind is ChargeKind.TAX else None,
            tags=(("user", row.user),) if row.user else (),
        )  # fmt: skip


def kind_of(row: Asked) -> ChargeKind:
    if row.category == "purchase":
        return ChargeKind.PURCHASE
    if row.category != "usage":
        return _KINDS[row.category]
    if row.commitment_id is not None:
        return ChargeKind.COMMITTED_UNUSED if row.meter == Meter.RESERVATION else ChargeKind.COMMITTED_USED
    return ChargeKind.SPOT if row.pricing == "dynamic" else ChargeKind.ON_DEMAND


def _resource(row: Asked) -> Resource | None:
    if row.workload_id is None:
        return None
    return Resource(row.workload_kind or "work", str(row.workload_id), row.workload)


def _pricing(row: Asked, unit: Unit) -> Pricing:
    agreed = row.contracted_unit_price
    listed = row.list_unit_price if row.list_unit_price is not None else agreed
    return Pricing(
        sku_id=row.sku or row.flavor,
        meter=" ".join(filter(None, (row.model or row.flavor, row.slicing_mode, row.meter))),
        price_id=_price_id(row),
        unit=unit,
        quantity=row.sign * (row.quantity or ZERO),
        list_price=ZERO if listed is None else listed,
        agreed_price=ZERO if agreed is None else agreed,
        details=_details(row.model, row.slicing_mode, row.service_class, row.flavor),
    )


def _price_id(row: Asked) -> str:
    """One version of one price of one SKU. What is covered by a reservation has the reservation's price on the SKU of
    what was used; what has no price yet is told apart by its SKU.
    """
    if row.price_version_id is None:
        return f"none.{row.sku or row.flavor}"
    if row.commitment_id is not None and row.meter != Meter.RESERVATION:
        return f"{row.price_version_id}.{row.sku}"
    return f"{row.price_version_id}.{row.tier}" if row.tier else str(row.price_version_id)


@lru_cache(maxsize=4096)
def _details(model: str, mode: str, service_class: str, flavor: str) -> tuple[tuple[str, str | int | bool], ...]:
    told = {"InstanceType": flavor, "x_Model": model, "x_Mode": mode, "x_ServiceClass": service_class}
    return tuple((name, value) for name, value in told.items() if value)


@lru_cache(maxsize=65536)
def _party(id: str, name: str) -> Party:
    return Party(id, name)


@lru_cache(maxsize=1024)
def _period(start: Any, end: Any) -> Period:
    return Period(start, end)


@lru_cache(maxsize=4096)
def _reservation(id: str, flavor: str) -> Commitment:
    return Commitment(id, f"Reservation of {flavor}", id)


def _commitment(row: Asked) -> Commitment:
    return _reservation(str(row.commitment_id), row.flavor)


class LinesOfInvoices:
    """On which line of its invoice a charge stands. Keeps the lines of a few invoices: rows come tenant by tenant."""

    def __init__(self) -> None:
        self._of: Callable[[UUID], dict[Hashable, str]] = lru_cache(maxsize=32)(_lines_of)
        self.tax: Callable[[UUID | None], Tax] = lru_cache(maxsize=1024)(_tax)

    def line_of(self, row: Asked) -> str | None:
        assert row.invoice_id is not None
        return self._of(row.invoice_id).get(_key(row))


def _key(row: Asked) -> Hashable:
    if row.category == "tax":
        return row.category, row.tax_rule_id
    if row.category not in ("usage", "purchase"):
        return row.category, row.project_id, row.flavor_id, row.site
    is_covered = row.commitment_id is not None and row.category == "usage"
    price = ZERO if is_covered else row.contracted_unit_price
    meter = "" if row.meter == Meter.ACCELERATOR else row.meter
    return row.category, row.project_id, row.flavor_id, row.site, meter, row.price_version_id, price


def _lines_of(invoice_id: UUID) -> dict[Hashable, str]:
    found: dict[Hashable, str] = {}
    for line in InvoiceLine.objects.filter(invoice_id=invoice_id).order_by("position"):
        key: Hashable = line.category, line.project_id, line.flavor_id, line.site
        if line.category == "tax":
            key = line.category, line.price_id
        elif line.category in ("usage", "purchase"):
            key = line.category, line.project_id, line.flavor_id, line.site, line.meter, line.price_id, line.unit_price
        found.setdefault(key, str(line.pk))
    return found


def _tax(rule_id: UUID | None) -> Tax:
    assert rule_id is not None  # every tax is by a rule
    rule = TaxRule.objects.get(pk=rule_id)
    return Tax(rule.name, rule.rate)
