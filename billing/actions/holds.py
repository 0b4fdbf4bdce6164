"""Letting work in as far as budgets allow: at worst, all that is let in together costs no more than the limit.

This is billing's gate (federation/gates.py). It runs in the transaction that queues the work and holds the rows of the
budgets until that ends, so of many who submit at once each sees what the others have taken.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import F, Q
from django.utils import timezone

from billing.actions import spending, unbilled
from billing.actions.estimates import Estimate, Estimator
from billing.models import Budget, BudgetHold
from billing.periods import Period, month_of
from billing.policy import policy
from billing.rating import ZERO, product, total_of
from billing.rating.money import less
from federation.models import Workload
from portal.audit import Actor
from portal.errors import OverBudget


def let_in(*, by: Actor, work: Workload, ids: Sequence[UUID]) -> None:
    """Reserve what these may cost at worst, each as much as `work`, or refuse them all."""
    now = timezone.now()
    month = month_of(now, policy().zone)
    mine = drawn_on(work)
    if not mine:
        return
    found = Estimator(work.tenant_id, policy(), now).of(work)
    mine = [budget for budget in mine if budget.currency == found.currency]
    before = BudgetHold.objects.filter(budget__in=mine, workload_id__in=ids).values_list("workload_id", flat=True)
    # Asked before usage is counted: what is metered in between counts twice rather than not at all.
    behind = unbilled.seconds(set(before))
    if before or any(budget.period_start != month.start for budget in mine):
        spending.settle(tenant_id=work.tenant_id, policy=policy(), now=now)
    locked = Budget.objects.select_for_update().filter(pk__in=[b.pk for b in mine], ended_at=None).order_by("pk")
    for budget in locked:
        _reserve(budget, work, ids, found, month, now, behind)


def drawn_on(work: Workload) -> list[Budget]:
    """The budgets that the work would draw on: its tenant's, and its project's."""
    whose = Q(project=None) | Q(project_id=work.project_id)
    rows = Budget.objects.filter(whose, tenant_id=work.tenant_id, ended_at=None).select_related("project", "tenant")
    return list(rows.order_by("pk"))


def _reserve(
    budget: Budget,
    work: Workload,
    ids: Sequence[UUID],
    found: Estimate,
    month: Period,
    now: datetime,
    behind: Mapping[UUID, int | None],
) -> None:
    each = found.cost(budget, now, month.end)
    there = list(BudgetHold.objects.filter(budget=budget, workload_id__in=ids))
    released = [hold for hold in there if hold.released_at is not None]
    was = total_of(hold.left for hold in there if hold.released_at is None)
    if released:
        spending.recount(budget, released, policy())
    for hold in there:
        if hold.attempt == work.attempt and hold not in released:
            continue  # looked at just now, and renewed
        rest = ZERO if hold in released else unbilled.cost(hold, behind)
        hold.amount = total_of([hold.used, rest, each])
        hold.attempt, hold.rate, hold.released_at = work.attempt, found.rate, None
    known = {hold.workload_id for hold in there}
    new = [
        BudgetHold(budget=budget, workload_id=pk, attempt=work.attempt, rate=found.rate, amount=each)
        for pk in ids
        if pk not in known
    ]
    more = less(total_of(hold.left for hold in (*there, *new)), was)
    if more > ZERO and more > budget.left:
        raise OverBudget(_words(budget, product(each, Decimal(len(ids))), len(ids), month))
    BudgetHold.objects.bulk_create(new, batch_size=2000)
    BudgetHold.objects.bulk_update(there, spending.FACTS)
    Budget.objects.filter(pk=budget.pk).update(held=F("held") + more)


def _words(budget: Budget, wanted: Decimal, count: int, month: Period) -> str:
    whose = f"project {budget.project.name}" if budget.project is not None else budget.tenant.name
    left = max(budget.left, ZERO)
    what = "This" if count == 1 else f"These {count}"
    return (
        f"{what} may cost up to {wanted:.2f} {budget.currency} in {month.label}, and of the budget of {whose} "
        f"{left:.2f} of {budget.limit:.2f} {budget.currency} is left."
    )
