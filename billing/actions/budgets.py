"""Budgets: set, changed and ended by people. How they follow what is spent is in spending.py."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone

from billing.actions import spending
from billing.actions.estimates import Estimator
from billing.models import Budget, BudgetHold, OnExhausted
from billing.models.budgets import THRESHOLDS
from billing.periods import month_of
from billing.policy import Policy
from billing.rating import ZERO
from portal import audit, events
from portal.audit import Actor
from portal.errors import Conflict, IllegalTransition
from portal.models import Project, Tenant


@transaction.atomic
def create(
    *,
    by: Actor,
    tenant: Tenant,
    project: Project | None,
    limit: Decimal,
    currency: str,
    policy: Policy,
    on_exhausted: str = OnExhausted.REFUSE,
    horizon_hours: int | None = None,
    thresholds: Sequence[int] = THRESHOLDS,
    now: datetime | None = None,
) -> Budget:
    """From now on. What the month has cost already counts, and so does what work that waits or runs may still cost."""
    now = now or timezone.now()
    spending.lock(tenant.pk)
    live = Budget.objects.filter(tenant=tenant, project=project, currency=currency, ended_at=None)
    if live.exists():
        raise Conflict(f"There is a budget in {currency} for this already: change its limit, or end it.")
    budget = Budget.objects.create(
        tenant=tenant, project=project, currency=currency, limit=limit, on_exhausted=on_exhausted,
        horizon_hours=horizon_hours, thresholds=sorted(set(thresholds)),
        period_start=month_of(now, policy.zone).start,
    )  # fmt: skip
    _hold_for_what_is_there(budget, policy, now)
    spending.settle(tenant_id=tenant.pk, policy=policy, now=now)
    budget.refresh_from_db()
    audit.record(by=by, what="budget.create", target=budget, detail={"limit": str(limit), "currency": currency})
    events.publish(Budget.topic, budget.pk, tenant.pk)
    return budget


@transaction.atomic
def change(*, by: Actor, budget: Budget, **values: Any) -> Budget:
    """Another limit, other thresholds, another answer when it is spent. What is let in stays let in."""
    budget = Budget.objects.select_for_update().get(pk=budget.pk)
    if budget.ended_at is not None:
        raise IllegalTransition("This budget has ended.")
    if "thresholds" in values:
        values["thresholds"] = sorted(set(values["thresholds"]))
    was = {name: str(getattr(budget, name)) for name in values}
    for name, value in values.items():
        setattr(budget, name, value)
    budget.version += 1
    budget.save(update_fields=[*values, "version"])
    detail = {name: [was[name], str(value)] for name, value in values.items()}
    audit.record(by=by, what="budget.change", target=budget, detail=detail)
    events.publish(Budget.topic, budget.pk, budget.tenant_id)
    return budget


@transaction.atomic
def end(*, by: Actor, budget: Budget) -> Budget:
    """Nothing is refused by it any more. It stays to be read."""
    budget = Budget.objects.select_for_update().get(pk=budget.pk)
    if budget.ended_at is not None:
        raise IllegalTransition("This budget has ended already.")
    budget.ended_at, budget.held, budget.version = timezone.now(), ZERO, budget.version + 1
    budget.save(update_fields=["ended_at", "held", "version"])
    BudgetHold.objects.filter(budget=budget, released_at=None).update(released_at=budget.ended_at)
    audit.record(by=by, what="budget.end", target=budget)
    events.publish(Budget.topic, budget.pk, budget.tenant_id)
    return budget


def _hold_for_what_is_there(budget: Budget, policy: Policy, now: datetime) -> None:
    """A new budget reserves for what waits and runs already, whether or not it fits."""
    month = month_of(now, policy.zone)
    holds, estimator = [], Estimator(budget.tenant_id, policy, now)
    for work in spending.going(budget).select_related("pool").order_by("pk"):
        found = estimator.of(work)
        holds.append(
            BudgetHold(
                budget=budget, workload_id=work.pk, attempt=work.attempt, rate=found.rate,
                amount=found.cost(budget, now, month.end),
            )
        )  # fmt: skip
    BudgetHold.objects.bulk_create(holds, batch_size=1000)
