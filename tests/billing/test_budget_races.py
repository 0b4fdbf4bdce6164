"""Many who submit at the same moment, on real transactions: together they never cost more than one budget has."""

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connections
from django.utils import timezone

from billing.actions import budgets, spending
from billing.models import Budget, BudgetHold
from billing.policy import policy
from billing.rating import total_of
from federation.actions import workloads
from federation.models import Workload
from portal.audit import SYSTEM
from portal.errors import DomainError
from tests.billing.rows import Estate

pytestmark = pytest.mark.django_db(transaction=True)
MANY, AT_ONCE = 200, 50  # Postgres takes 100 connections


def test_200_who_submit_at_once_cannot_overspend_one_budget() -> None:
    """Fifty connections, four submits each; the budget has room for 37 and a bit. A sweep settles all the while."""
    estate = Estate()
    estate.price("10", valid_from=timezone.now().replace(microsecond=0) - timedelta(days=1))
    mine = budgets.create(
        by=SYSTEM, tenant=estate.tenant, project=estate.project, limit=Decimal("3.75"), currency="CNY",
        policy=policy(),
    )  # fmt: skip
    gun, is_over, outcomes = threading.Barrier(AT_ONCE + 1), threading.Event(), []

    def people() -> None:
        gun.wait(20)
        for _ in range(MANY // AT_ONCE):
            try:
                workloads.submit(
                    by=SYSTEM, project=estate.project, pool=estate.pool, name="one", accelerators=1, max_seconds=36,
                    grace_seconds=0, model_names=[estate.model.name],
                )  # fmt: skip
                outcomes.append("in")
            except DomainError as error:
                outcomes.append(error.code)
        connections.close_all()

    def sweep() -> None:
        gun.wait(20)
        while not is_over.is_set():
            spending.settle(tenant_id=estate.tenant.pk, policy=policy())
        connections.close_all()

    threads = [threading.Thread(target=people) for _ in range(AT_ONCE)]
    sweeper = threading.Thread(target=sweep)
    for thread in (*threads, sweeper):
        thread.start()
    for thread in threads:
        thread.join(120)
    is_over.set()
    sweeper.join(30)

    assert len(outcomes) == MANY
    assert outcomes.count("in") == 37
    assert outcomes.count("over-budget") == MANY - 37
    assert Workload.objects.filter(project=estate.project).count() == 37
    mine = Budget.objects.get(pk=mine.pk)
    holds = BudgetHold.objects.filter(budget=mine, released_at=None).values_list("amount", flat=True)
    assert mine.held == total_of(holds) == Decimal("3.70")
    assert mine.spent + mine.held <= mine.limit
