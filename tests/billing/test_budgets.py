"""Budgets: what they let in, what they count, and what they stop."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from billing import tasks
from billing.actions import budgets, spending, wallets
from billing.actions.prices import Terms
from billing.models import Budget, BudgetAlert, BudgetHold
from billing.periods import month_of
from billing.policy import policy
from federation.actions import arrays, workloads
from federation.models import Workload
from federation.states import WorkloadState as W
from portal.audit import SYSTEM
from portal.errors import Conflict, OverBudget
from portal.models import AuditEntry, OutboxEvent
from tests.billing.invoicing import meter
from tests.billing.rows import Estate

pytestmark = pytest.mark.django_db
HOUR = 3600


@pytest.fixture
def estate() -> Estate:
    made = Estate()
    made.price("10")
    return made


@pytest.fixture
def early(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """The fifth of this month, at noon in Shanghai: hours of room on both sides."""
    now = month_of(timezone.now(), policy().zone).start + timedelta(days=4, hours=12)
    monkeypatch.setattr("django.utils.timezone.now", lambda: now)
    return now


def budget(estate: Estate, limit: str, *, of_project: bool = False, **more: Any) -> Budget:
    return budgets.create(
        by=SYSTEM, tenant=estate.tenant, project=estate.project if of_project else None, limit=Decimal(limit),
        currency="CNY", policy=policy(), **more,
    )  # fmt: skip


def submit(estate: Estate, **spec: Any) -> Workload:
    asked = {"name": "train", "accelerators": 1, "max_seconds": HOUR, "grace_seconds": 0, **spec}
    return workloads.submit(
        by=SYSTEM, project=estate.project, pool=estate.pool, model_names=[estate.model.name], **asked
    )


def settle(estate: Estate) -> list[spending.Stop]:
    meter()
    return spending.settle(tenant_id=estate.tenant.pk, policy=policy())


def test_work_is_let_in_as_long_as_its_worst_case_fits(estate: Estate, early: datetime) -> None:
    mine = budget(estate, "25")
    submit(estate)
    submit(estate)
    with pytest.raises(OverBudget) as refusal:
        submit(estate)
    assert refusal.value.code == "over-budget"
    assert refusal.value.status == 409
    assert "10.00 CNY" in refusal.value.detail
    assert "5.00 of 25.00 CNY is left" in refusal.value.detail
    mine.refresh_from_db()
    assert (mine.spent, mine.held, mine.left) == (0, 20, 5)
    assert Workload.objects.filter(tenant=estate.tenant).count() == 2
    submit(estate, max_seconds=HOUR // 2)
    with pytest.raises(OverBudget):
        submit(estate, max_seconds=1)


def test_work_that_costs_nothing_is_let_in_by_an_empty_budget(early: datetime) -> None:
    estate = Estate()
    mine = budget(estate, "0")
    submit(estate)
    mine.refresh_from_db()
    assert mine.held == 0


def test_both_the_tenants_and_the_projects_budget_have_to_do(estate: Estate, early: datetime) -> None:
    whole, part = budget(estate, "100"), budget(estate, "15", of_project=True)
    submit(estate)
    with pytest.raises(OverBudget, match=f"project {estate.project.name}"):
        submit(estate)
    other = estate.project_named("Speech")
    workloads.submit(
        by=SYSTEM, project=other, pool=estate.pool, name="b", accelerators=1, max_seconds=HOUR, grace_seconds=0,
        model_names=[estate.model.name],
    )  # fmt: skip
    whole.refresh_from_db()
    part.refresh_from_db()
    assert (whole.held, part.held) == (20, 10)


def test_many_are_let_in_together_or_not_at_all(estate: Estate, early: datetime) -> None:
    mine = budget(estate, "100")
    spec: dict[str, Any] = {
        "project": estate.project, "pool": estate.pool, "name": "sweep", "accelerators": 1, "max_seconds": HOUR,
        "grace_seconds": 0, "model_names": [estate.model.name],
    }  # fmt: skip
    with pytest.raises(OverBudget, match="These 11"):
        arrays.submit_many(by=SYSTEM, count=11, **spec)
    ids = arrays.submit_many(by=SYSTEM, count=10, **spec)
    mine.refresh_from_db()
    assert mine.held == 100
    assert set(BudgetHold.objects.filter(budget=mine).values_list("workload_id", flat=True)) == set(ids)


def test_without_a_time_limit_work_reserves_until_the_month_ends_or_the_horizon(
    estate: Estate, early: datetime
) -> None:
    hours = Decimal((month_of(early, policy().zone).end - early) // timedelta(hours=1))
    mine = budget(estate, "100000")
    submit(estate, max_seconds=None)
    mine.refresh_from_db()
    assert mine.held == 10 * hours
    budgets.change(by=SYSTEM, budget=mine, horizon_hours=24)
    submit(estate, max_seconds=None)
    mine.refresh_from_db()
    assert mine.held == 10 * hours + 240


def test_replicas_shares_retries_and_cpu_count(estate: Estate, early: datetime) -> None:
    mine = budget(estate, "1000")
    submit(estate, replicas=3, accelerators=2)
    mine.refresh_from_db()
    assert mine.held == 60
    submit(estate, accelerator_milli=250)
    mine.refresh_from_db()
    assert mine.held == Decimal("62.50")
    submit(estate, max_retries=2)
    mine.refresh_from_db()
    assert mine.held == Decimal("92.50")


def test_the_dearest_price_that_it_may_meet_is_reserved(estate: Estate, early: datetime) -> None:
    estate.price("40", terms=Terms(service_class="best-effort"), valid_from=early + timedelta(days=1))
    mine = budget(estate, "1000")
    submit(estate)
    mine.refresh_from_db()
    assert mine.held == 40


def test_what_is_held_shrinks_as_usage_is_metered_and_is_released_at_the_end(estate: Estate, early: datetime) -> None:
    mine = budget(estate, "30")
    work = submit(estate, max_seconds=2 * HOUR)
    start = early - timedelta(hours=3)
    run = estate.running(start, start + timedelta(minutes=30), workload=work)
    settle(estate)
    mine.refresh_from_db()
    assert (mine.spent, mine.held, mine.left) == (5, 15, 10)
    estate.end(run, start + timedelta(minutes=45))
    Workload.objects.filter(pk=work.pk).update(state=W.SUCCEEDED)
    settle(estate)
    mine.refresh_from_db()
    assert (mine.spent, mine.held) == (Decimal("7.5"), 0)
    assert BudgetHold.objects.get(budget=mine).released_at is not None


def test_the_hold_stays_until_all_of_an_ended_run_is_metered(estate: Estate, early: datetime) -> None:
    mine = budget(estate, "30")
    work = submit(estate)
    start = early - timedelta(hours=3)
    estate.ended(start, start + timedelta(minutes=45), workload=work)
    Workload.objects.filter(pk=work.pk).update(state=W.SUCCEEDED)
    spending.settle(tenant_id=estate.tenant.pk, policy=policy())  # not metered yet
    mine.refresh_from_db()
    assert (mine.spent, mine.held) == (0, 10)
    settle(estate)
    mine.refresh_from_db()
    assert (mine.spent, mine.held) == (Decimal("7.5"), 0)


def test_settling_again_changes_nothing_whether_or_not_usage_was_charged(estate: Estate, early: datetime) -> None:
    from billing.actions import charges

    mine = budget(estate, "100")
    work = submit(estate, max_seconds=3 * HOUR)
    start = early - timedelta(hours=3)
    estate.running(start, start + timedelta(minutes=90), workload=work)
    settle(estate)
    seen = []
    for _ in range(3):
        settle(estate)
        charges.charge(tenant_id=estate.tenant.pk, policy=policy(), until=early)
        settle(estate)
        mine.refresh_from_db()
        seen.append((mine.spent, mine.held))
    assert seen == [(15, 15)] * 3


def test_resuming_and_trying_again_have_to_be_let_in_too(estate: Estate, early: datetime) -> None:
    mine = budget(estate, "10")
    work = submit(estate)
    workloads.suspend(by=SYSTEM, workload=work)
    settle(estate)
    mine.refresh_from_db()
    assert mine.held == 0
    other = submit(estate)
    with pytest.raises(OverBudget):
        workloads.resume(by=SYSTEM, workload=work)
    workloads.cancel(by=SYSTEM, workload=other)
    settle(estate)
    work.refresh_from_db()
    workloads.resume(by=SYSTEM, workload=work)
    mine.refresh_from_db()
    assert mine.held == 10
    assert BudgetHold.objects.get(budget=mine, workload_id=work.pk).released_at is None


def test_a_run_before_counts_against_the_budget_and_not_against_the_next_run(estate: Estate, early: datetime) -> None:
    mine = budget(estate, "20")
    work = submit(estate)
    start = early - timedelta(hours=3)
    estate.ended(start, start + timedelta(minutes=30), workload=work)
    Workload.objects.filter(pk=work.pk).update(state=W.FAILED)
    settle(estate)
    work.refresh_from_db()
    workloads.retry(by=SYSTEM, workload=work)
    settle(estate)
    mine.refresh_from_db()
    assert (mine.spent, mine.held) == (5, 10)


def test_alerts_fire_once_for_each_threshold_and_month(estate: Estate, early: datetime) -> None:
    mine = budget(estate, "20")
    start = early - timedelta(hours=4)
    run = estate.running(start, start + timedelta(minutes=60))
    settle(estate)
    assert list(BudgetAlert.objects.values_list("threshold", flat=True)) == [50]
    settle(estate)
    assert BudgetAlert.objects.count() == 1
    assert AuditEntry.objects.filter(what="budget.alert").count() == 1
    assert OutboxEvent.objects.filter(topic="budget", object_id=mine.pk).exists()
    estate.end(run, start + timedelta(minutes=130))
    settle(estate)
    assert sorted(BudgetAlert.objects.values_list("threshold", flat=True)) == [50, 80, 100]
    budgets.change(by=SYSTEM, budget=mine, limit=Decimal(40))
    budgets.change(by=SYSTEM, budget=mine, limit=Decimal(20))
    settle(estate)
    assert BudgetAlert.objects.count() == 3


@pytest.mark.parametrize("on_exhausted", ["refuse", "stop"])
def test_a_spent_budget_refuses_new_work_and_stops_old_where_it_says_so(
    estate: Estate, early: datetime, on_exhausted: str
) -> None:
    start = early - timedelta(hours=4)
    work = submit(estate, max_seconds=4 * HOUR)
    Workload.objects.filter(pk=work.pk).update(state=W.RUNNING)
    estate.running(start, start + timedelta(minutes=120), workload=work)
    meter()
    mine = budget(estate, "20", on_exhausted=on_exhausted)
    for found in settle(estate):
        assert spending.stop(found)
        assert not spending.stop(found)
    work.refresh_from_db()
    assert work.state == (W.SUSPENDED if on_exhausted == "stop" else W.RUNNING)
    if on_exhausted == "stop":
        assert work.reason == "OverBudget"
        assert "is spent" in work.message
        assert work.allocations.get().state == "stopping"
        with pytest.raises(OverBudget):
            workloads.resume(by=SYSTEM, workload=work)
    with pytest.raises(OverBudget):
        submit(estate)
    mine.refresh_from_db()
    assert mine.spent == 20


def test_work_queued_again_by_the_system_reserves_anew_or_waits_suspended(estate: Estate, early: datetime) -> None:
    mine = budget(estate, "15")
    work = submit(estate)
    start = early - timedelta(hours=4)
    estate.ended(start, start + timedelta(minutes=54), workload=work)
    Workload.objects.filter(pk=work.pk).update(state=W.QUEUED, attempt=2)
    found = settle(estate)  # 9 spent, 1 held, 5 left; another hour may cost 10
    assert [stop.workload_id for stop in found] == [work.pk]
    assert spending.stop(found[0])
    budgets.change(by=SYSTEM, budget=mine, limit=Decimal(20))
    work.refresh_from_db()
    workloads.resume(by=SYSTEM, workload=work)
    assert settle(estate) == []
    mine.refresh_from_db()
    assert (mine.spent, mine.held) == (9, 10)  # the rest of the hour before is not needed: all of it is metered


def test_a_month_begins_with_nothing_spent_and_work_that_goes_on(
    estate: Estate, early: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = budget(estate, "10000")
    work = submit(estate, max_seconds=None)
    start = early - timedelta(hours=4)
    Workload.objects.filter(pk=work.pk).update(state=W.RUNNING)
    estate.running(start, start + timedelta(minutes=60), workload=work)
    settle(estate)
    month = month_of(early, policy().zone)
    following = month_of(month.end, policy().zone)
    monkeypatch.setattr("django.utils.timezone.now", lambda: month.end + timedelta(hours=1))
    submit(estate)  # the gate itself begins the month
    mine.refresh_from_db()
    hours = Decimal((following.end - following.start) // timedelta(hours=1)) - 1
    assert mine.period_start == following.start
    assert (mine.spent, mine.held) == (0, 10 * hours + 10)


def test_a_new_budget_counts_the_month_so_far_and_holds_for_what_runs(estate: Estate, early: datetime) -> None:
    work = submit(estate, max_seconds=2 * HOUR)
    start = early - timedelta(hours=4)
    Workload.objects.filter(pk=work.pk).update(state=W.RUNNING)
    estate.running(start, start + timedelta(minutes=60), workload=work)
    meter()
    mine = budget(estate, "100")
    assert mine.spent == 10
    assert mine.held > 0


def test_one_budget_at_a_time_and_after_its_end_another(estate: Estate, early: datetime) -> None:
    mine = budget(estate, "0")
    with pytest.raises(Conflict):
        budget(estate, "5")
    with pytest.raises(OverBudget):
        submit(estate)
    budgets.end(by=SYSTEM, budget=mine)
    submit(estate)
    assert budget(estate, "5").held == 10


def test_a_price_of_another_currency_is_not_drawn_on_this_budget(estate: Estate, early: datetime) -> None:
    budgets.create(
        by=SYSTEM, tenant=estate.tenant, project=None, limit=Decimal(0), currency="EUR", policy=policy()
    )  # fmt: skip
    submit(estate)


def test_months_are_those_of_the_billing_time_zone() -> None:
    assert month_of(datetime(2026, 10, 31, 16, 0, tzinfo=UTC), policy().zone).label == "2026-11"


def test_the_sweeps_settle_stop_and_expire(estate: Estate, early: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[Any, ...]] = []
    monkeypatch.setattr("portal.hints.send", lambda *message: sent.append(message))
    start = early - timedelta(hours=4)
    work = submit(estate, max_seconds=4 * HOUR)
    Workload.objects.filter(pk=work.pk).update(state=W.RUNNING)
    run = estate.running(start, start + timedelta(minutes=60), workload=work)
    meter()
    mine = budget(estate, "50", on_exhausted="stop")
    estate.prove(run, start + timedelta(minutes=300))
    meter()
    sent.clear()
    tasks.sweep_budgets()
    assert sent == [("billing.tasks.settle_budgets", str(estate.tenant.pk))]
    tasks.settle_budgets(str(estate.tenant.pk))
    mine.refresh_from_db()
    work.refresh_from_db()
    assert (mine.spent, work.state) == (50, W.SUSPENDED)
    credit = wallets.add(
        by=SYSTEM, tenant=estate.tenant, currency="CNY", kind="grant", amount=Decimal(3),
        expires_at=early + timedelta(days=1),
    )  # fmt: skip
    tasks.sweep_wallets()
    assert not credit.uses.exists()
    monkeypatch.setattr("django.utils.timezone.now", lambda: early + timedelta(days=2))
    tasks.sweep_wallets()
    assert credit.uses.get().amount == 3
