"""Budgets follow what is spent: what the month has come to, what is still held for work, alerts, and what is to stop.

Whoever reads what a budget has left in order to take of it holds the budget's row. Locks are taken in one order:
the tenant, then budgets by id.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Min, Q, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from billing.actions import charges, unbilled
from billing.actions.estimates import Estimator
from billing.models import (
    Budget,
    BudgetAlert,
    BudgetHold,
    Charge,
    ChargeCategory,
    LedgerTransaction,
    OnExhausted,
    UsageRecord,
)
from billing.periods import Period, month_of
from billing.policy import Policy
from billing.rating import ZERO, total_of
from billing.rating import estimates as pure
from billing.rating.money import less, plus
from federation.actions import workloads
from federation.models import Workload
from federation.states import WorkloadState as W
from portal import audit, events
from portal.audit import SYSTEM
from portal.errors import ConcurrentUpdate, IllegalTransition
from portal.models import Tenant

_NOT_SPENDING = (ChargeCategory.TAX, ChargeCategory.ADJUSTMENT, ChargeCategory.CREDIT)
_GOING = (W.QUEUED, W.ADMITTED, W.RUNNING)
_TOP_UP_SECONDS = 600  # what runs without a limit reserves more when less than so much is left
MOST_STOPPED = 200  # in one look


@dataclass(frozen=True, slots=True)
class Stop:
    """Work that a budget does not let go on, and why, in words."""

    workload_id: UUID
    message: str


def lock(tenant_id: UUID) -> None:
    """So that nothing of the tenant's is charged meanwhile."""
    Tenant.objects.select_for_update(no_key=True).get(pk=tenant_id)


def due(limit: int = 500) -> list[UUID]:
    """Tenants that have budgets, those not looked at for longest first."""
    tenants = Budget.objects.filter(ended_at=None).order_by().values("tenant_id").annotate(
        at=Min(Coalesce("settled_at", "created_at"))
    )  # fmt: skip
    return list(tenants.order_by("at", "tenant_id").values_list("tenant_id", flat=True)[:limit])


@transaction.atomic
def settle(*, tenant_id: UUID, policy: Policy, now: datetime | None = None) -> list[Stop]:
    """Bring a tenant's budgets up to date: what is spent, what is still held, and alerts. May be repeated at any time.

    What it returns is to be stopped, in transactions of its own (`stop`).
    """
    now = now or timezone.now()
    month = month_of(now, policy.zone)
    lock(tenant_id)
    budgets = list(Budget.objects.select_for_update().filter(tenant_id=tenant_id, ended_at=None).order_by("pk"))
    stops: list[Stop] = []
    for currency in sorted({budget.currency for budget in budgets}):
        some = [budget for budget in budgets if budget.currency == currency]
        stops += _settle(some, tenant_id, currency, policy, month, now)
    return stops


def _settle(
    budgets: list[Budget], tenant_id: UUID, currency: str, policy: Policy, month: Period, now: datetime
) -> list[Stop]:
    holds = _open_holds(budgets)
    every = [hold for some in holds.values() for hold in some]
    before, works = {hold.pk: _facts(hold) for hold in every}, _works(every)
    # Asked before usage is read: all that the ended have used is there by then, and nothing else is overlooked.
    ended = _settled_work(budgets)
    beyond = unbilled.beyond(tenant_id, ended)
    behind = unbilled.seconds({hold.workload_id for hold in every if _is_anew(hold, works.get(hold.workload_id))})
    for budget in budgets:
        if budget.period_start != month.start:
            _begin_month(budget, holds[budget.pk], works, policy, month, now)
    uncharged = _not_charged(tenant_id, currency, policy, month)
    last = LedgerTransaction.objects.filter(tenant_id=tenant_id).order_by("-seq").values_list("seq", flat=True).first()
    stops: list[Stop] = []
    charged: dict[int, dict[tuple[UUID | None, UUID | None], Decimal]] = {}
    for budget in budgets:
        if budget.counted_seq not in charged:
            charged[budget.counted_seq] = _charged_since(budget.counted_seq, tenant_id, currency, month)
        _count(budget, holds[budget.pk], charged[budget.counted_seq], uncharged)
        budget.counted_seq = max(budget.counted_seq, last or 0)
        for hold in holds[budget.pk]:
            if hold.workload_id in ended:
                hold.amount = plus(hold.used, unbilled.cost(hold, beyond))
                hold.released_at = None if hold.left else now
        open_holds = [hold for hold in holds[budget.pk] if hold.released_at is None]
        budget.held = total_of(hold.left for hold in open_holds)
        stops += _renew(budget, open_holds, works, behind, policy, month, now)
        _alert(budget, month)
        stops += _hard_stop(budget)
        budget.settled_at = now
    changed = [hold for hold in every if _facts(hold) != before[hold.pk]]
    BudgetHold.objects.bulk_update(changed, FACTS, batch_size=1000)
    Budget.objects.bulk_update(budgets, ["period_start", "charged", "counted_seq", "spent", "held", "settled_at"])
    return stops


FACTS = ["attempt", "rate", "amount", "charged", "used", "released_at"]


def _facts(hold: BudgetHold) -> list[Any]:
    return [getattr(hold, name) for name in FACTS]


def _open_holds(budgets: Sequence[Budget]) -> dict[UUID, list[BudgetHold]]:
    found: dict[UUID, list[BudgetHold]] = defaultdict(list)
    for hold in BudgetHold.objects.filter(budget__in=budgets, released_at=None).order_by("id"):
        found[hold.budget_id].append(hold)
    return found


# Work that is over, or waits for somebody to resume it, none of whose grants is left and all of whose runs are metered.
_SETTLED = """
SELECT DISTINCT h.workload_id FROM billing_budgethold h
LEFT JOIN federation_workload w ON w.id = h.workload_id
WHERE h.budget_id = ANY(%s) AND h.released_at IS NULL
  AND (w.id IS NULL OR w.state IN ('succeeded', 'failed', 'cancelled', 'suspended'))
  AND NOT EXISTS (
    SELECT 1 FROM federation_allocation a WHERE a.workload_id = h.workload_id AND (
      a.state <> 'released' OR (a.started_at IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM billing_usagerecord u WHERE u.allocation_id = a.id
          AND u.end_at >= date_trunc('second', coalesce(a.ended_at, a.proof_at, a.started_at))))))
"""


def _settled_work(budgets: Sequence[Budget]) -> set[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(_SETTLED, [[budget.pk for budget in budgets]])
        return {pk for (pk,) in cursor.fetchall()}


def _begin_month(
    budget: Budget,
    holds: Iterable[BudgetHold],
    works: Mapping[UUID, Workload],
    policy: Policy,
    month: Period,
    now: datetime,
) -> None:
    """Nothing is spent yet, and what runs on may cost as much as if it began now."""
    budget.period_start, budget.charged, budget.counted_seq, budget.spent = month.start, ZERO, 0, ZERO
    estimator = Estimator(budget.tenant_id, policy, now)
    for hold in holds:
        hold.charged = hold.used = hold.amount = ZERO
        if (work := works.get(hold.workload_id)) is not None:
            found = estimator.of(work)
            hold.rate, hold.amount = found.rate, found.cost(budget, now, month.end)


Sums = dict[tuple[UUID | None, UUID | None], Decimal]  # by project and workload


def _not_charged(tenant_id: UUID, currency: str, policy: Policy, month: Period) -> Sums:
    """What is metered of the month, and whose hour is not over yet."""
    found: Sums = defaultdict(lambda: ZERO)
    records = list(UsageRecord.objects.filter(tenant_id=tenant_id, charged_in=None).between(month.start, month.end))
    for _, made in charges.worth_of(tenant_id, records, policy):
        for charge in made:
            if charge.currency == currency and charge.billing_period_start == month.start:
                key = (charge.project_id, charge.workload_id)
                found[key] = plus(found[key], charge.billed_cost)
    return found


def _charged_since(seq: int, tenant_id: UUID, currency: str, month: Period) -> Sums:
    """Postings stand in one line without gaps, so what was counted up to one of them need not be read again."""
    rows = (
        Charge.objects.filter(
            transaction__tenant_id=tenant_id, transaction__seq__gt=seq, tenant_id=tenant_id, currency=currency,
            billing_period_start=month.start,
        )
        .exclude(category__in=_NOT_SPENDING)
        .order_by()
        .values_list("project_id", "workload_id")
        .annotate(Sum("billed_cost"))
    )  # fmt: skip
    return {(project, workload): cost for project, workload, cost in rows}


def _count(budget: Budget, holds: Sequence[BudgetHold], charged: Sums, uncharged: Sums) -> None:
    def mine(sums: Sums) -> Sums:
        return {key: cost for key, cost in sums.items() if budget.project_id in (None, key[0])}

    new, open_ones = mine(charged), mine(uncharged)
    budget.charged = plus(budget.charged, total_of(new.values()))
    budget.spent = plus(budget.charged, total_of(open_ones.values()))
    new_by_work, open_by_work = _by_workload(new), _by_workload(open_ones)
    for hold in holds:
        hold.charged = plus(hold.charged, new_by_work.get(hold.workload_id, ZERO))
        hold.used = plus(hold.charged, open_by_work.get(hold.workload_id, ZERO))


def recount(budget: Budget, holds: Sequence[BudgetHold], policy: Policy) -> None:
    """What these have used of the budget's month, read anew: nobody counted it while they were released."""
    ids = [hold.workload_id for hold in holds]
    mine = Q(tenant_id=budget.tenant_id, workload_id__in=ids)
    posted = Charge.objects.filter(
        mine, currency=budget.currency, billing_period_start=budget.period_start,
        transaction__seq__lte=budget.counted_seq,
    ).exclude(category__in=_NOT_SPENDING)  # fmt: skip
    charged = dict(posted.order_by().values_list("workload_id").annotate(Sum("billed_cost")))
    records = list(UsageRecord.objects.filter(mine, charged_in=None, end_at__gt=budget.period_start))
    open_by_work: dict[UUID, Decimal] = defaultdict(lambda: ZERO)
    for record, made in charges.worth_of(budget.tenant_id, records, policy):
        for charge in made:
            if charge.currency == budget.currency and charge.billing_period_start == budget.period_start:
                open_by_work[record.workload_id] = plus(open_by_work[record.workload_id], charge.billed_cost)
    for hold in holds:
        hold.charged = charged.get(hold.workload_id, ZERO)
        hold.used = plus(hold.charged, open_by_work[hold.workload_id])


def _by_workload(sums: Sums) -> dict[UUID | None, Decimal]:
    found: dict[UUID | None, Decimal] = defaultdict(lambda: ZERO)
    for (_, workload), cost in sums.items():
        found[workload] = plus(found[workload], cost)
    return found


def _works(holds: Iterable[BudgetHold]) -> dict[UUID, Workload]:
    found: dict[UUID, Workload] = Workload.objects.select_related("pool").in_bulk({h.workload_id for h in holds})
    return found


def _renew(
    budget: Budget,
    holds: Sequence[BudgetHold],
    works: Mapping[UUID, Workload],
    behind: Mapping[UUID, int | None],
    policy: Policy,
    month: Period,
    now: datetime,
) -> list[Stop]:
    """Work that was queued again by the system, or runs without a time limit, reserves anew; what cannot is stopped.

    What runs is stopped only by a budget that says so. What waits has to be let in again, like any work.
    """
    due = [
        (hold, work)
        for hold in holds
        if (work := works.get(hold.workload_id)) is not None and work.state in _GOING and _is_due(hold, work)
    ]
    if not due:
        return []
    stops: list[Stop] = []
    estimator = Estimator(budget.tenant_id, policy, now)
    for hold, work in due:
        is_anew = _is_anew(hold, work)
        found = estimator.of(work)
        wanted = found.cost(budget, now, month.end)
        if is_anew:
            wanted = plus(wanted, unbilled.cost(hold, behind))
        more = max(less(wanted, hold.left), ZERO)
        if more <= budget.left or (work.state != W.QUEUED and budget.on_exhausted == OnExhausted.REFUSE and is_anew):
            hold.attempt, hold.rate, hold.amount = work.attempt, found.rate, plus(hold.amount, more)
            budget.held = plus(budget.held, more)
        elif work.state == W.QUEUED or budget.on_exhausted == OnExhausted.STOP:
            stops.append(Stop(work.pk, _words(budget, wanted)))
    return stops


def _is_due(hold: BudgetHold, work: Workload) -> bool:
    is_short = work.max_seconds is None and hold.left < pure.worst_case(hold.rate, _TOP_UP_SECONDS)
    return _is_anew(hold, work) or is_short


def _is_anew(hold: BudgetHold, work: Workload | None) -> bool:
    """It begins once more, and not by `holds`."""
    return work is not None and work.attempt > hold.attempt


def _alert(budget: Budget, month: Period) -> None:
    reached = pure.alerts_due(budget.spent, budget.limit, budget.thresholds)
    if not reached:
        return
    there = set(BudgetAlert.objects.filter(budget=budget, period_start=month.start).values_list("threshold", flat=True))
    for threshold in reached:
        if threshold in there:
            continue
        BudgetAlert.objects.create(
            budget=budget, period_start=month.start, threshold=threshold, spent=budget.spent, limit=budget.limit
        )
        audit.record(
            by=SYSTEM, what="budget.alert", target=budget,
            detail={"threshold": threshold, "spent": str(budget.spent), "limit": str(budget.limit),
                    "month": month.label},
        )  # fmt: skip
        events.publish(Budget.topic, budget.pk, budget.tenant_id)


def _hard_stop(budget: Budget) -> list[Stop]:
    """All that goes on, when the budget says so and nothing is left of it."""
    if budget.on_exhausted != OnExhausted.STOP or budget.spent <= ZERO or budget.spent < budget.limit:
        return []
    message = f"The budget of {budget.limit} {budget.currency} for this month is spent."
    return [Stop(pk, message) for pk in going(budget).order_by("pk").values_list("pk", flat=True)[:MOST_STOPPED]]


def going(budget: Budget) -> Any:
    """Work that waits or runs, and draws on the budget."""
    mine = Q(tenant_id=budget.tenant_id) if budget.project_id is None else Q(project_id=budget.project_id)
    return Workload.objects.filter(mine, state__in=_GOING)


def stop(found: Stop) -> bool:
    """Suspend it, as a person would, to be resumed when there is money again. False: it is over already."""
    work = Workload.objects.filter(pk=found.workload_id, state__in=_GOING).first()
    if work is None:
        return False
    try:
        workloads.suspend(by=SYSTEM, workload=work, reason="OverBudget", message=found.message)
    except (IllegalTransition, ConcurrentUpdate):  # it ended or was suspended at the same moment: the next look knows
        return False
    return True


def _words(budget: Budget, wanted: Decimal) -> str:
    left = max(budget.left, ZERO)
    return f"It may cost {wanted:.2f} {budget.currency} more this month, and its budget has {left:.2f} left."
