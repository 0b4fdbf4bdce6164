"""Reservations: bought month by month, and spread hour by hour over the usage that they cover and what is left unused.

What is spread is compared with what should be, and the difference posted; so it may run at any time, and follows usage
that comes late. Of one hour the usage that was charged first is covered first.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Case, Sum, When
from django.db.models.functions import TruncHour
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
    for commitment in found.select_related("flavor").order_by(Case(When(site="", then=1), default=0), "start_at", "id"):
        slices = list(_slices(commitment, policy))
        _ask(by, tenant, commitment, slices, policy, now)
        done += _spread(by, tenant, commitment, slices, policy, closed_before(now))
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
    by: Actor, tenant: Tenant, commitment: Commitment, slices: list[_Slice], policy: Policy, until: datetime
) -> int:
    """Put right the hours in which something is reserved and neither covers usage nor stands as unused."""
    over = [piece for piece in slices if piece[2] <= until]
    if not over:
        return 0
    usage = _usage(commitment).filter(period_start__gte=over[0][1], period_end__lte=over[-1][2])
    mine = Charge.objects.filter(tenant_id=commitment.tenant_id, commitment_id=commitment.pk, category="usage")
    loose = _by_hour(usage)
    covered = _by_hour(mine.filter(meter=Meter.ACCELERATOR))
    unused = _by_hour(mine.filter(meter=Meter.RESERVATION))
    done = 0
    for piece in over:
        hour, reserved = piece[1].replace(minute=0), piece[4]
        taken, left = covered.get((hour, piece[0].start), ZERO), unused.get((hour, piece[0].start), ZERO)
        if plus(taken, left) != reserved or (left and loose.get((hour, piece[0].start), ZERO)):
            _spread_hour(by, tenant, commitment, piece, less(reserved, taken), policy)
            done += 1
    return done


def _spread_hour(
    by: Actor, tenant: Tenant, commitment: Commitment, piece: _Slice, free: Decimal, policy: Policy
) -> None:
    month, start, end, amount, _ = piece
    calendar = Calendar(tenant.pk, policy)
    within = {"period_start__gte": start, "period_end__lte": end, "billing_period_start": month.start}
    ours = Charge.objects.filter(commitment_id=commitment.pk, category=ChargeCategory.USAGE, **within)
    old, new = list(ours.live().filter(meter=Meter.RESERVATION)), list[Charge]()
    # In whole milli-seconds, the rest has what is cut off a charge that is covered in part.
    room = amount - (ours.filter(meter=Meter.ACCELERATOR).aggregate(sum=Sum("milli_seconds"))["sum"] or 0)
    using = list(_usage(commitment).live().filter(**within).order_by("created_at", "period_start", "position"))
    parts, left = cover(free, [charge.quantity or ZERO for charge in using])
    for charge, part in zip(using, parts, strict=True):
        if not part:
            continue
        rest = less(charge.quantity or ZERO, part)
        consumed = min(room, charge.milli_seconds) if rest else charge.milli_seconds
        room -= consumed
        old.append(charge)
        is_covered = copy_of(
            charge, quantity=part, milli_seconds=consumed, commitment_id=commitment.pk, tier=0,
            pricing=PricingModel.COMMITTED, price_version_id=commitment.pk, contracted_unit_price=commitment.unit_price,
        )  # fmt: skip
        is_covered.billed_cost = ZERO
        new.append(is_covered)
        if rest:
            new.append(copy_of(charge, quantity=rest, milli_seconds=charge.milli_seconds - consumed))
    if left:
        new.append(_charge(tenant, commitment, month, calendar, start, end, room, left))
    charges.replace(by, tenant.pk, old, new, calendar, f"Spread over {start:%Y-%m-%d %H}h")


def _usage(commitment: Commitment) -> Any:
    """What a commitment may cover, and nothing covers yet."""
    usage = Charge.objects.filter(
        tenant_id=commitment.tenant_id, flavor_id=commitment.flavor_id, currency=commitment.currency,
        category=ChargeCategory.USAGE, meter=Meter.ACCELERATOR, commitment_id=None, is_minimum=False,
    )  # fmt: skip
    return usage.filter(site=commitment.site) if commitment.site else usage


def _by_hour(rows: Any) -> dict[tuple[datetime, datetime], Decimal]:
    found: dict[tuple[datetime, datetime], Decimal] = defaultdict(lambda: ZERO)
    counted = (
        rows.order_by().annotate(hour=TruncHour("period_start", tzinfo=UTC)).values_list("hour", "billing_period_start")
    )
    for hour, month, quantity in counted.annotate(Sum("quantity")):
        found[hour, month] = quantity or ZERO
    return dict(found)


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
