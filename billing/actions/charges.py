"""From usage to the ledger: each record is charged once, when its hour is over, and what is posted stays.

Everything here may be repeated: it charges what is not charged yet, and rates again what had no price and has one now.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid5

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from billing import energy
from billing.actions import ledger
from billing.actions.ledger import Move, opposite
from billing.actions.rates import Rates, Terms, in_order
from billing.models import (
    AccountKind,
    Charge,
    ChargeCategory,
    Invoice,
    LedgerTransaction,
    Month,
    PriceVersion,
    TransactionKind,
    UsageRecord,
)
from billing.periods import Period, month_of
from billing.policy import Policy
from billing.rating import RULE_VERSION, ZERO, Meter, PriceWindow, product
from billing.rating.charges import Rated, pricing_of, unit_of
from billing.rating.money import plus
from billing.states import InvoiceState, MonthState
from portal.audit import SYSTEM, Actor
from portal.models import Tenant

AT_ONCE = 2000  # records in one transaction
SETTLE = timedelta(minutes=10)  # how long after its hour a record is charged: proof comes a little late as a rule


def closed_before(now: datetime) -> datetime:
    """Records that end by then are charged."""
    return (now - SETTLE).replace(minute=0, second=0, microsecond=0)


# That may be for a charge: whether one is, is found by rating.
PRICES = PriceVersion.objects.filter(
    Q(tenant=None) | Q(tenant_id=OuterRef("tenant_id")),
    Q(valid_to=None) | Q(valid_to__gt=OuterRef("period_start")),
    flavor_id=OuterRef("flavor_id"), meter=OuterRef("meter"), currency=OuterRef("currency"),
    valid_from__lt=OuterRef("period_end"),
)  # fmt: skip


@transaction.atomic
def charge(
    *, tenant_id: UUID, policy: Policy, until: datetime, by: Actor = SYSTEM, period: Period | None = None
) -> int:
    """Charge some of a tenant's records that end by `until`; how many there were. Less than AT_ONCE: those were all."""
    Tenant.objects.select_for_update(no_key=True).get(pk=tenant_id)
    due = UsageRecord.objects.filter(tenant_id=tenant_id, charged_in=None, end_at__lte=until)
    if period is not None:
        due = due.between(period.start, period.end)
    records = list(due.select_for_update().order_by("start_at", "id")[:AT_ONCE])
    if not records:
        return 0
    energy.measure(records)
    by_currency: dict[str, list[tuple[UsageRecord, list[Charge]]]] = defaultdict(list)
    for record, made in worth_of(tenant_id, records, policy):
        by_currency[made[0].currency].append((record, made))
    for currency, some in by_currency.items():
        posted = _post(by, tenant_id, currency, [c for _, made in some for c in made], [r.pk for r, _ in some])
        UsageRecord.objects.filter(pk__in=[r.pk for r, _ in some]).update(charged_in=posted.pk)
    return len(records)


def worth_of(
    tenant_id: UUID, records: Sequence[UsageRecord], policy: Policy
) -> Iterator[tuple[UsageRecord, list[Charge]]]:
    """What records that are not charged yet will be charged as, each with its charges."""
    if not records:
        return
    rates = Rates(tenant_id, policy, min(r.start_at for r in records), max(r.end_at for r in records))
    calendar = Calendar(tenant_id, policy)
    taken_back = charges_of(r.reverses_id for r in records if r.reverses_id is not None)
    for record in in_order(records):
        if record.reverses_id is not None:
            yield record, [answer(opposite(was), record, calendar) for was in taken_back[record.reverses_id]]
        else:
            terms = rates.terms_at(record.start_at)
            yield record, [new_charge(record, rated, terms, calendar) for rated in rates.rate(record)]


@transaction.atomic
def rate_again(*, tenant_id: UUID, policy: Policy, by: Actor = SYSTEM) -> int:
    """Reverse charges without a price for whose time there is one now, and charge their usage anew."""
    Tenant.objects.select_for_update(no_key=True).get(pk=tenant_id)
    unrated = (
        Charge.objects.live()
        .filter(tenant_id=tenant_id, category=ChargeCategory.USAGE, price_version_id=None)
        .filter(Exists(PRICES))
        .order_by("period_start", "id")[:AT_ONCE]
    )
    found = list(unrated)
    if not found:
        return 0
    records = UsageRecord.objects.in_bulk({pk for was in found for pk in was.usage_record_ids})
    rates = Rates(tenant_id, policy, min(c.period_start for c in found), max(c.period_end for c in found))
    calendar = Calendar(tenant_id, policy)
    done: list[Charge] = []
    for was in found:
        record = records[was.usage_record_ids[0]]
        rated = [
            r for r in rates.rate(record)
            if r.meter == was.meter and r.start >= was.period_start and r.end <= was.period_end
        ]  # fmt: skip
        if all(r.price is None for r in rated):
            continue
        terms = rates.terms_at(record.start_at)
        done += [answer(opposite(was), record, calendar), *(new_charge(record, r, terms, calendar) for r in rated)]
    for currency in {c.currency for c in done}:
        some = [c for c in done if c.currency == currency]
        _post(by, tenant_id, currency, some, [c.reverses_id for c in some if c.reverses_id])
    return len(done)


def new_charge(record: UsageRecord, rated: Rated, terms: Terms, calendar: "Calendar") -> Charge:
    """A charge that is not posted yet."""
    period = calendar.of(rated.start)
    price = rated.price
    unit = unit_of(rated.meter, record.unit)
    return Charge(
        category=ChargeCategory.USAGE,
        is_correction=calendar.is_invoiced(period),
        **{name: getattr(record, name) for name in _COPIED},
        tenant_class=terms.tenant_class,
        meter=rated.meter,
        sku=_sku(record, price, rated.meter),
        billing_period_start=period.start,
        billing_period_end=period.end,
        period_start=rated.start,
        period_end=rated.end,
        milli_seconds=rated.consumed,
        quantity=rated.quantity,
        unit=unit,
        tier=rated.tier,
        pricing=pricing_of(record.service_class),
        list_unit_price=rated.list_unit_price,
        contracted_unit_price=rated.unit_price,
        list_cost=rated.list_cost,
        contracted_cost=rated.cost,
        billed_cost=rated.cost,
        effective_cost=rated.cost,
        currency=terms.currency,
        price_version_id=price.id if price else None,
        list_price_version_id=rated.listed.id if rated.listed else None,
        rule_version=RULE_VERSION,
        usage_record_ids=[record.pk],
        description=_words(record, rated, unit, terms.currency),
    )


_COPIED = [
    "tenant_id", "tenant", "project_id", "project", "workload_id", "workload", "workload_kind", "allocation_id", "user",
    "site", "cluster", "pool", "node", "flavor_id", "flavor", "model", "slicing_mode", "service_class",
]  # fmt: skip


class Calendar:
    """The months of a tenant, and which of them it was asked to pay already, or are closed."""

    def __init__(self, tenant_id: UUID, policy: Policy) -> None:
        self._zone = policy.zone
        asked = Invoice.objects.filter(tenant_id=tenant_id).exclude(state=InvoiceState.DRAFT)
        closed = Month.objects.filter(state=MonthState.CLOSED)
        self.invoiced = {*asked.values_list("period_start", flat=True), *closed.values_list("period_start", flat=True)}

    def of(self, at: datetime) -> Period:
        return month_of(at, self._zone)

    def is_invoiced(self, period: Period) -> bool:
        return period.start in self.invoiced


def answer(charge: Charge, record: UsageRecord | None, calendar: Calendar) -> Charge:
    """What is posted anew belongs to the month of what was; it corrects it when that was invoiced."""
    charge.is_correction = charge.billing_period_start in calendar.invoiced
    if record is not None and record.reverses_id is not None:
        charge.usage_record_ids = [record.pk]
    return charge


def charges_of(records: Iterable[UUID | None]) -> dict[UUID, list[Charge]]:
    """The live charges of each record."""
    ids = [pk for pk in records if pk is not None]
    found: dict[UUID, list[Charge]] = defaultdict(list)
    if ids:
        for charge in Charge.objects.live().filter(usage_record_ids__overlap=ids).order_by("period_start", "id"):
            for pk in charge.usage_record_ids:
                found[pk].append(charge)
    return found


def _post(
    by: Actor, tenant_id: UUID, currency: str, charges: Sequence[Charge], about: Iterable[UUID], memo: str = ""
) -> LedgerTransaction:
    key = sha256("".join(sorted(pk.hex for pk in about)).encode()).hexdigest()
    return ledger.post(
        by=by,
        kind=TransactionKind.USAGE,
        key=f"usage {tenant_id} {currency} {key}",
        moves=moves_of(charges),
        charges=charges,
        tenant_id=tenant_id,
        memo=memo,
    )


def replace(
    by: Actor, tenant_id: UUID, old: Iterable[Charge], new: Iterable[Charge], calendar: Calendar, memo: str
) -> LedgerTransaction | None:
    """Reverse some charges and post others in their place. None: there is nothing to do."""
    undone = list(old)
    charges = [*(answer(opposite(was), None, calendar) for was in undone), *(answer(c, None, calendar) for c in new)]
    if not charges:
        return None
    (currency,) = {charge.currency for charge in charges}
    about = [was.pk for was in undone] or [uuid5(charge.pk, "made") for charge in charges]
    return _post(by, tenant_id, currency, charges, about, memo)


def copy_of(was: Charge, **changes: Any) -> Charge:
    """A charge like another, at another amount, with all costs computed anew."""
    kept = {f.attname: getattr(was, f.attname) for f in Charge._meta.concrete_fields if f.name not in _NEW}
    charge = Charge(**{**kept, "rule_version": RULE_VERSION, **changes})
    quantity = charge.quantity or ZERO
    charge.list_cost = product(quantity, charge.list_unit_price) if charge.list_unit_price is not None else ZERO
    cost = product(quantity, charge.contracted_unit_price) if charge.contracted_unit_price is not None else ZERO
    charge.contracted_cost = charge.billed_cost = charge.effective_cost = cost
    return charge


def at_own_price(some: Iterable[Charge]) -> Callable[[Charge], Charge]:
    """What a reservation covers, as it was before it did."""
    records = {pk for charge in some if charge.commitment_id is not None for pk in charge.usage_record_ids}
    before: dict[Any, Charge] = {}
    if records:
        rows = Charge.objects.filter(
            usage_record_ids__overlap=list(records), commitment_id=None, reverses=None, meter=Meter.ACCELERATOR,
            is_minimum=False,
        )  # fmt: skip
        before = {(c.usage_record_ids[0], c.period_start): c for c in rows.order_by("transaction__seq", "position")}
    return lambda c: c if c.commitment_id is None else before[c.usage_record_ids[0], c.period_start]


_NEW = {"id", "created_at", "transaction", "position", "reverses"}


def moves_of(some: Iterable[Charge]) -> list[Move]:
    """What a tenant used and was not asked for yet, against what the sites brought in; with reservations between."""
    sums: dict[tuple[AccountKind, UUID | None, str, str], Decimal] = defaultdict(lambda: ZERO)

    def add(kind: AccountKind, amount: Decimal, charge: Charge) -> None:
        is_ours = kind is AccountKind.REVENUE
        key = (kind, None if is_ours else charge.tenant_id, charge.site if is_ours else "", charge.currency)
        sums[key] = plus(sums[key], amount)

    for charge in some:
        add(AccountKind.UNBILLED, charge.billed_cost, charge)
        if charge.category == ChargeCategory.PURCHASE:
            add(AccountKind.COMMITMENT, -charge.billed_cost, charge)
        elif charge.commitment_id is not None:  # paid for already: it comes out of what was reserved
            add(AccountKind.COMMITMENT, charge.effective_cost, charge)
            add(AccountKind.REVENUE, -charge.effective_cost, charge)
        else:
            add(AccountKind.REVENUE, -charge.billed_cost, charge)
    return [Move(kind, amount, currency, tenant, site) for (kind, tenant, site, currency), amount in sums.items()]


def _sku(record: UsageRecord, price: PriceWindow | None, meter: Meter) -> str:
    """What is sold. One price is of one SKU, so what a price does not tell apart does not stand in it."""
    if price is None:
        parts = [record.flavor, meter, record.slicing_mode, record.service_class]
    else:
        flavor = record.flavor if price.flavor_id is not None else "any"
        parts = [flavor, meter, price.slicing_mode, price.service_class]
    return "/".join(part for part in parts if part)


def _words(record: UsageRecord, rated: Rated, unit: str, currency: str) -> str:
    what = " ".join(filter(None, [record.model or record.flavor, record.slicing_mode]))
    price = "no price" if rated.unit_price is None else f"{rated.unit_price} {currency}"
    return f"{what}, {record.workload}: {rated.quantity} {unit} at {price}"[:500]
