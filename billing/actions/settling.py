"""What can be said of usage only when more of it is known: the tiers of a month, and the least that a run is billed.

Both compare what is posted with what it should be, and post the difference as reversals and others.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q, Sum
from django.utils import timezone

from billing.actions import charges, commitments
from billing.actions.charges import Calendar, copy_of
from billing.actions.rates import scope_column
from billing.models import Charge, ChargeCategory, PriceVersion, UsageRecord
from billing.models.charges import ChargeQuerySet
from billing.policy import Policy
from billing.rating import ZERO, Meter, PriceWindow, TierMode, quantity_of
from billing.rating.minimums import extra_seconds
from billing.rating.money import plus, shares_of
from billing.rating.prices import tiers_of
from billing.rating.tiers import Slice, amounts_by_tier, slices, volume_tier
from federation.models import Allocation
from portal.audit import SYSTEM, Actor
from portal.models import Tenant

_LONGEST = timedelta(days=62)  # how far back runs are looked at for the least that they are billed


@transaction.atomic
def settle_tiers(*, tenant_id: UUID, policy: Policy, by: Actor = SYSTEM) -> int:
    """Charges by tiered prices follow the sum of their month, whatever it came in; how many months were put right."""
    Tenant.objects.select_for_update(no_key=True).get(pk=tenant_id)
    done = 0
    for version in PriceVersion.objects.filter(Q(tenant=None) | Q(tenant_id=tenant_id)).exclude(tier_mode=""):
        price, column = version.window(), scope_column(version.tier_scope)
        posted: dict[tuple[datetime, Any], dict[int, Decimal]] = defaultdict(dict)
        rows = (
            Charge.objects.filter(tenant_id=tenant_id, price_version_id=price.id, is_minimum=False, commitment_id=None)
            .order_by()
            .values_list("billing_period_start", column, "tier")
            .annotate(Sum("quantity"))
        )
        for month, whose, tier, quantity in rows:
            if quantity:
                posted[month, whose][tier] = quantity
        for (month, whose), by_tier in posted.items():
            total = ZERO
            for quantity in by_tier.values():
                total = plus(total, quantity)
            if by_tier != amounts_by_tier(price, total):
                _put_right(
                    by,
                    tenant_id,
                    price,
                    {"billing_period_start": month, "tenant_id": tenant_id, column: whose},
                    total,
                    policy,
                )
                done += 1
    return done


def _put_right(
    by: Actor, tenant_id: UUID, price: PriceWindow, where: dict[str, Any], total: Decimal, policy: Policy
) -> None:
    """All of a month by one price anew, in order of time."""
    live = Charge.objects.live().filter(price_version_id=price.id, is_minimum=False, commitment_id=None, **where)
    old = list(live.order_by("period_start", "usage_record_ids", "tier", "id"))
    charges.replace(by, tenant_id, old, list(_spread(price, old, total)), Calendar(tenant_id, policy), "Tiers")


def _spread(price: PriceWindow, old: Sequence[Charge], total: Decimal) -> Iterator[Charge]:
    before = ZERO
    whole: dict[Any, list[Charge]] = {}
    for charge in old:
        whole.setdefault((charge.period_start, charge.usage_record_ids[0]), []).append(charge)
    for parts in whole.values():
        quantity, consumed = ZERO, 0
        for part in parts:
            quantity, consumed = plus(quantity, part.quantity or ZERO), consumed + part.milli_seconds
        if price.tier_mode is TierMode.VOLUME:
            tier = volume_tier(price, total)
            pieces = [Slice(tier, tiers_of(price)[tier].unit_price, quantity)]
        else:
            pieces = list(slices(price, before, quantity))
        before = plus(before, quantity)
        for piece, amount in zip(pieces, shares_of(consumed, quantity, [p.quantity for p in pieces]), strict=True):
            yield copy_of(
                parts[0], tier=piece.tier, quantity=piece.quantity, milli_seconds=amount,
                contracted_unit_price=piece.unit_price,
            )  # fmt: skip


@transaction.atomic
def settle_minimums(*, tenant_id: UUID, policy: Policy, by: Actor = SYSTEM, now: datetime | None = None) -> int:
    """What runs that have ended are billed beyond their seconds; how many runs were put right."""
    Tenant.objects.select_for_update(no_key=True).get(pk=tenant_id)
    terms = with_least()
    if not terms:
        return 0
    since = (now or timezone.now()) - _LONGEST
    recent = _usage(tenant_id).filter(price_version_id__in=terms, period_end__gte=since)
    runs = {pk for pk in recent.values_list("allocation_id", flat=True) if pk is not None}
    going_on = UsageRecord.objects.filter(allocation_id__in=runs, charged_in=None)
    old, new = minimums(tenant_id, terms, runs.difference(going_on.values_list("allocation_id", flat=True)))
    charges.replace(by, tenant_id, old, new, Calendar(tenant_id, policy), "Least lengths")
    return len(old) + len(new)


def with_least() -> dict[UUID, PriceWindow]:
    """Prices that ask for a least length of a run, or for whole steps."""
    some = Q(minimum_seconds__gt=0) | Q(step_seconds__gt=1)
    return {version.pk: version.window() for version in PriceVersion.objects.filter(some, meter=Meter.ACCELERATOR)}


def minimums(
    tenant_id: UUID, terms: Mapping[UUID, PriceWindow], runs: Collection[UUID]
) -> tuple[list[Charge], list[Charge]]:
    """What has to be reversed, and posted, so that these runs, if they have ended, are billed what they should be.

    All their usage is charged.
    """
    ended = Allocation.objects.filter(pk__in=runs, ended_at__isnull=False)
    held = dict(ended.values_list("pk", "held_milli"))
    old: list[Charge] = []
    new: list[Charge] = []
    by_run = _by_run(_usage(tenant_id).filter(allocation_id__in=held))
    at_own_price = charges.at_own_price(charge for mine in by_run.values() for charge in mine)
    for allocation_id, mine in by_run.items():
        is_extra = [charge for charge in mine if charge.is_minimum]
        ran = [charge for charge in mine if not charge.is_minimum]
        seconds = sum(charge.milli_seconds for charge in ran) // held[allocation_id]
        price = terms.get(at_own_price(ran[0]).price_version_id or allocation_id) if ran else None
        extra = extra_seconds(seconds, price.minimum_seconds, price.step_seconds) if price else 0
        wanted = extra * held[allocation_id]
        if sum(charge.milli_seconds for charge in is_extra) != wanted:
            old += is_extra
            if wanted and price is not None:
                new.append(
                    copy_of(
                        at_own_price(ran[-1]), tier=0, quantity=quantity_of(wanted), milli_seconds=wanted,
                        is_minimum=True, contracted_unit_price=price.unit_price, price_version_id=price.id,
                        description=f"{ran[-1].workload}: {extra} s beyond what ran, by the least of its price",
                    )
                )  # fmt: skip
    return old, new


def _usage(tenant_id: UUID) -> ChargeQuerySet:
    found: ChargeQuerySet = Charge.objects.filter(
        tenant_id=tenant_id, category=ChargeCategory.USAGE, meter=Meter.ACCELERATOR, allocation_id__isnull=False
    )
    return found


def _by_run(usage: Any) -> dict[UUID, list[Charge]]:
    found: dict[UUID, list[Charge]] = defaultdict(list)
    for charge in usage.live().order_by("period_start", "tier", "id"):
        found[charge.allocation_id].append(charge)
    return found


def settle(*, tenant_id: UUID, policy: Policy, by: Actor = SYSTEM) -> None:
    settle_minimums(tenant_id=tenant_id, policy=policy, by=by)
    commitments.settle(tenant_id=tenant_id, policy=policy, by=by)
    settle_tiers(tenant_id=tenant_id, policy=policy, by=by)
