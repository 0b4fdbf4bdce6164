"""Reservations: bought month by month, and spread hour by hour over the usage that they cover and what is left unused.

What is spread is compared with what should be, and the difference posted; so it may run at any time, and follows usage
that comes late. Of one hour the run that was granted first is covered first, in whatever order usage comes.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Case, Max, Min, Q, Sum, TextField, When
from django.db.models.functions import Cast, Collate, Concat, TruncHour
from django.utils import timezone

from billing.actions import charges, ledger
from billing.actions.charges import Calendar, closed_before, copy_of, moves_of
from billing.actions.rates import terms_of
from billing.models import Charge, ChargeCategory, Commitment, LedgerTransaction, TransactionKind
from billing.periods import Period, month_of
from billing.policy import Policy
from billing.rating import RULE_VERSION, ZERO, Meter, PricingModel, parts_of, product, total_of
from billing.rating.commitments import cover
from billing.rating.money import less, plus
from billing.rating.timeline import hours
from portal import audit
from portal.audit import SYSTEM, Actor
from portal.errors import Invalid
from portal.models import ResourceFlavor, Tenant

_SECOND = timedelta(seconds=1)
_LOOK_BACK = timedelta(days=70)  # beyond this an hour is left as it is


@transaction.atomic
def buy(
    *,
    by: Actor,
    tenant: Tenant,
    flavor: ResourceFlavor,
    held_milli: int,
    unit_price: Decimal,
    currency: str,
    start: datetime,
    end: datetime,
    site: str = "",
) -> Commitment:
    """So much of a flavor, paid for each hour from `start` until `end`, used or not."""
    for name, at in (("start_at", start), ("end_at", end)):
        if at.replace(minute=0, second=0, microsecond=0) != at:
            raise Invalid.field(name, "A reservation begins and ends on whole hours.", "not-an-hour")
    if end <= start:
        raise Invalid.field("end_at", "A reservation ends after it begins.", "ends-before-it-begins")
    bought: Commitment = Commitment.objects.create(
        tenant=tenant, flavor=flavor, held_milli=held_milli, unit_price=unit_price, currency=currency, site=site,
        start_at=start, end_at=end,
    )  # fmt: skip
    audit.record(by=by, what="commitment.buy", target=bought, detail={"flavor": flavor.name, "held_milli": held_milli})
    return bought


def currency_of(*, tenant: Tenant, at: datetime, policy: Policy) -> str:
    """In which currency a tenant pays at an instant."""
    terms = [t for t in terms_of(tenant.pk, policy.currency, at + _SECOND) if t.since is None or t.since <= at]
    return terms[-1].currency


def hours_of(commitment: Commitment) -> dict[str, Decimal]:
    """The hours of its term, and of those that are charged: how many covered usage, and how many nobody used."""
    mine = Charge.objects.filter(
        tenant_id=commitment.tenant_id, commitment_id=commitment.pk, category=ChargeCategory.USAGE
    )
    found = dict(mine.order_by().values_list("meter").annotate(Sum("quantity")))
    term = (commitment.end_at - commitment.start_at) // timedelta(hours=1)
    return {
        "reserved": Decimal(commitment.held_milli * term) / 1000,
        "used": found.get(Meter.ACCELERATOR) or ZERO,
        "unused": found.get(Meter.RESERVATION) or ZERO,
    }


@transaction.atomic
def settle(*, tenant_id: UUID, policy: Policy, by: Actor = SYSTEM, now: datetime | None = None) -> int:
    """Ask for the months that have begun, and spread the hours that are over; how many hours were put right."""
    tenant = Tenant.objects.select_for_update(no_key=True).get(pk=tenant_id)
    now = now or timezone.now()
    found = Commitment.objects.filter(tenant_id=tenant_id, start_at__lt=now, end_at__gt=now - _LOOK_BACK)
    done = 0
    ranked = list(found.select_related("flavor").order_by(Case(When(site="", then=1), default=0), "start_at", "id"))
    for place, commitment in enumerate(ranked, 1):
        slices = list(_slices(commitment, policy))
        _ask(by, tenant, commitment, slices, policy, now)
        later = [other.pk for other in ranked[place:]]
        done += _spread(by, tenant, commitment, later, slices, policy, closed_before(now))
    return done


_Slice = tuple[Period, datetime, datetime, int, Decimal]  # month, from, until, milli-seconds, quantity


def _slices(commitment: Commitment, policy: Policy) -> Iterator[_Slice]:
    """The hours of a term, cut where months end. Those of one month add up to its quantity to the last digit."""
    at = commitment.start_at
    while at < commitment.end_at:
        month = month_of(at, policy.zone)
        pieces = list(hours(at, min(month.end, commitment.end_at)))
        amounts = [(b - a) // _SECOND * commitment.held_milli for a, b in pieces]
        for (start, end), amount, quantity in zip(pieces, amounts, parts_of(amounts), strict=True):
            yield month, start, end, amount, quantity
        at = min(month.end, commitment.end_at)


def _ask(
    by: Actor, tenant: Tenant, commitment: Commitment, slices: list[_Slice], policy: Policy, now: datetime
) -> None:
    calendar = Calendar(tenant.pk, policy)
    for month in dict.fromkeys(month for month, *_ in slices if month.start <= now):
        key = f"commitment {commitment.pk} {month.label}"
        if LedgerTransaction.objects.filter(key=key).exists():
            continue
        mine = [piece for piece in slices if piece[0] == month]
        amount, quantity = sum(piece[3] for piece in mine), total_of(piece[4] for piece in mine)
        charge = _charge(tenant, commitment, month, calendar, mine[0][1], mine[-1][2], amount, quantity)
        charge.category = ChargeCategory.PURCHASE
        charge.list_unit_price, charge.list_cost = commitment.unit_price, charge.contracted_cost
        charge.billed_cost, charge.effective_cost = charge.contracted_cost, ZERO
        charge.description = f"Reserved: {charge.flavor}, {quantity} {charge.unit} in {month.label}"
        ledger.post(
            by=by, kind=TransactionKind.COMMITMENT, key=key, moves=moves_of([charge]), charges=[charge],
            tenant_id=tenant.pk,
        )  # fmt: skip


def _spread(
    by: Actor,
    tenant: Tenant,
    commitment: Commitment,
    later: list[UUID],
    slices: list[_Slice],
    policy: Policy,
    until: datetime,
) -> int:
    """Put right the hours that are not as they would be had all their usage come at once."""
    over = [piece for piece in slices if piece[2] <= until]
    if not over:
        return 0
    within = {"period_start__gte": over[0][1], "period_end__lte": over[-1][2]}
    free = _usage(commitment, later).filter(**within)
    mine = Charge.objects.filter(tenant_id=commitment.tenant_id, commitment_id=commitment.pk, category="usage")
    covering = mine.filter(meter=Meter.ACCELERATOR)
    open_, covered, unused = _by_hour(free), _by_hour(covering), _by_hour(mine.filter(meter=Meter.RESERVATION))
    is_odd = _out_of_order(free, covering.filter(**within), {key for key in covered if covered[key] and open_.get(key)})
    done = 0
    for piece in over:
        key = (piece[1].replace(minute=0), piece[0].start)
        taken, left = covered.get(key, ZERO), unused.get(key, ZERO)
        if plus(taken, left) != piece[4] or (left and open_.get(key, ZERO)) or key in is_odd:
            _spread_hour(by, tenant, commitment, later, piece, policy)
            done += 1
    return done


_Hour = tuple[datetime, datetime]  # when it begins, and its month
# In which order the usage of an hour is covered: by when a run was granted, which its id tells.
_TURN = Collate(Concat(Cast("allocation_id", TextField()), Cast("period_start", TextField())), "C")


def _out_of_order(free: Any, covering: Any, contested: set[_Hour]) -> set[_Hour]:
    """Hours in which something is covered although it is another's turn."""
    if not contested:
        return set()
    some = {"period_start__gte": min(contested)[0], "period_start__lt": max(contested)[0] + timedelta(hours=1)}
    first, last = (
        _of_hours(rows.live().filter(**some), turn) for rows, turn in ((free, Min(_TURN)), (covering, Max(_TURN)))
    )
    return {hour for hour in contested if hour in first and hour in last and first[hour] < last[hour]}


def _spread_hour(
    by: Actor, tenant: Tenant, commitment: Commitment, later: list[UUID], piece: _Slice, policy: Policy
) -> None:
    month, start, end, room, reserved = piece
    calendar = Calendar(tenant.pk, policy)
    within = {"period_start__gte": start, "period_end__lte": end, "billing_period_start": month.start}
    ours = Charge.objects.live().filter(commitment_id=commitment.pk, category=ChargeCategory.USAGE, **within)
    old, new = list(ours.filter(meter=Meter.RESERVATION)), list[Charge]()
    using = list(_usage(commitment, [*later, commitment.pk]).live().filter(**within))
    using.sort(key=lambda c: (str(c.allocation_id), c.period_start, c.commitment_id != commitment.pk, c.tier, c.pk))
    parts, left = cover(reserved, [charge.quantity or ZERO for charge in using])
    at_own_price = charges.at_own_price(using)
    for charge, part in zip(using, parts, strict=True):
        rest = less(charge.quantity or ZERO, part)
        # In whole milli-seconds, the rest has what is cut off a charge that is covered in part.
        consumed = min(room, charge.milli_seconds) if rest else charge.milli_seconds
        if part:
            room -= consumed
        if not rest if charge.commitment_id == commitment.pk else not part:
            continue  # it stays as it is
        was = at_own_price(charge)
        old.append(charge)
        if part:
            is_covered = copy_of(
                was, quantity=part, milli_seconds=consumed, commitment_id=commitment.pk, tier=0,
                pricing=PricingModel.COMMITTED, price_version_id=commitment.pk,
                contracted_unit_price=commitment.unit_price,
            )  # fmt: skip
            is_covered.billed_cost = ZERO
            new.append(is_covered)
        if rest:
            new.append(copy_of(was, quantity=rest, milli_seconds=charge.milli_seconds - (consumed if part else 0)))
    if left:
        new.append(_charge(tenant, commitment, month, calendar, start, end, room, left))
    charges.replace(by, tenant.pk, old, new, calendar, f"Spread over {start:%Y-%m-%d %H}h")


def _usage(commitment: Commitment, also_of: Iterable[UUID]) -> Any:
    """What a commitment may cover: nothing covers it yet, or one of these does."""
    usage = Charge.objects.filter(
        Q(commitment_id=None) | Q(commitment_id__in=list(also_of)),
        tenant_id=commitment.tenant_id, flavor_id=commitment.flavor_id, currency=commitment.currency,
        category=ChargeCategory.USAGE, meter=Meter.ACCELERATOR, is_minimum=False,
    )  # fmt: skip
    return usage.filter(site=commitment.site) if commitment.site else usage


def _by_hour(rows: Any) -> dict[_Hour, Decimal]:
    return {hour: quantity or ZERO for hour, quantity in _of_hours(rows, Sum("quantity")).items()}


def _of_hours(rows: Any, what: Any) -> dict[_Hour, Any]:
    counted = (
        rows.order_by().annotate(hour=TruncHour("period_start", tzinfo=UTC)).values_list("hour", "billing_period_start")
    )
    return {(hour, month): found for hour, month, found in counted.annotate(found=what)}


def _charge(
    tenant: Tenant,
    commitment: Commitment,
    month: Period,
    calendar: Calendar,
    start: datetime,
    end: datetime,
    amount: int,
    quantity: Decimal,
) -> Charge:
    flavor = commitment.flavor
    cost = product(quantity, commitment.unit_price)
    return Charge(
        category=ChargeCategory.USAGE,
        is_correction=calendar.is_invoiced(month),
        tenant_id=tenant.pk,
        tenant=tenant.name,
        site=commitment.site,
        flavor_id=flavor.pk,
        flavor=flavor.name,
        model=flavor.model,
        meter=Meter.RESERVATION,
        sku=f"{flavor.name}/{Meter.RESERVATION}",
        billing_period_start=month.start,
        billing_period_end=month.end,
        period_start=start,
        period_end=end,
        milli_seconds=amount,
        quantity=quantity,
        unit="Accelerator-Hours" if flavor.unit == "device" else "Core-Hours",
        pricing=PricingModel.COMMITTED,
        contracted_unit_price=commitment.unit_price,
        contracted_cost=cost,
        effective_cost=cost,
        currency=commitment.currency,
        price_version_id=commitment.pk,
        commitment_id=commitment.pk,
        rule_version=RULE_VERSION,
        description=f"Reserved and not used: {flavor.name}",
    )
