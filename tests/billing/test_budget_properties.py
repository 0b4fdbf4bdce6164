"""Invariants 13 and 14 on random courses of events: in memory 2,000 cases each, with the database 100.

Their twins (`..._at_length`, marked slow) try 10,000 and 1,000.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from hypothesis import strategies as st

from billing.actions import budgets, drafts, invoices, ledger, spending, wallets
from billing.actions.prices import Terms
from billing.models import AccountKind, BudgetAlert, Credit, Wallet
from billing.periods import month_of
from billing.policy import policy
from billing.rating import ZERO, Meter, Prices, PriceWindow, Tier, TierMode
from billing.rating import estimates as pure
from billing.rating.charges import Metered, rate_record
from federation.actions import workloads
from federation.models import Allocation, Workload
from federation.states import WorkloadState as W
from portal.audit import SYSTEM
from portal.errors import OverBudget
from tests.billing.cases import holds_for
from tests.billing.invoicing import issue, meter
from tests.billing.rows import Estate, at

pytestmark = pytest.mark.django_db
START = datetime(2026, 11, 10, tzinfo=UTC)
FLAVOR, TENANT = UUID(int=1), UUID(int=2)
money = st.integers(1, 50_000).map(lambda n: Decimal(n) / 1000)


# -- what is reserved is never less than what it comes to ---------------------------------------------------


@st.composite
def prices(draw: Any) -> Prices:
    windows = []
    for n in range(draw(st.integers(0, 4))):
        starts = draw(st.lists(st.integers(1, 50), unique=True, max_size=2).map(sorted))
        windows.append(
            PriceWindow(
                id=UUID(int=100 + n), flavor_id=FLAVOR, is_own=draw(st.booleans()), unit_price=draw(money),
                valid_from=START + timedelta(hours=draw(st.integers(-50, 20))), valid_to=None,
                meter=draw(st.sampled_from([Meter.ACCELERATOR, Meter.CPU, Meter.ENERGY])),
                site=draw(st.sampled_from(["", "a", "b"])),
                service_class=draw(st.sampled_from(["", "guaranteed", "best-effort"])),
                tier_mode=draw(st.sampled_from([TierMode.GRADUATED, TierMode.VOLUME])) if starts else None,
                tiers=tuple(Tier(Decimal(s), draw(money)) for s in starts),
            )
        )  # fmt: skip
    return Prices(windows)


@holds_for(
    prices(), st.sampled_from(["a", "b", "c"]), st.sampled_from(["guaranteed", "best-effort"]), st.integers(1, 8000),
    st.integers(1, 200_000), st.integers(0, 400),
)  # fmt: skip
def test_no_run_costs_more_than_was_reserved_for_it(
    known: Prices, site: str, service_class: str, held: int, seconds: int, watts: int
) -> None:
    def one(site: str, service_class: str, start: datetime, end: datetime) -> Metered:
        return Metered(
            id=UUID(int=3), tenant_id=TENANT, project_id=TENANT, user="li", flavor_id=FLAVOR, unit="device", site=site,
            slicing_mode="", service_class=service_class, start=start, end=end, held_milli=held, cpu_milli=held * 2,
            power_watts=watts,
        )  # fmt: skip

    end = START + timedelta(seconds=seconds)
    edges = sorted({w.valid_from for w in known.windows})
    instants = [START, *(at for at in edges if START < at < end)]
    may_be = [one(s, c, START, START) for s in ("", "a", "b") for c in ("", "guaranteed", "best-effort")]
    reserved = pure.worst_case(pure.hourly(may_be, known, "", instants), seconds)
    cost, counters = ZERO, {}
    ran = START
    while ran < end:  # as it is metered: by the hour
        until = min(ran.replace(minute=0, second=0) + timedelta(hours=1), end)
        record = one(site, service_class, ran, until)
        cost += sum((r.cost for r in rate_record(record, known, "", edges, START, counters)), ZERO)
        ran = until
    assert cost <= reserved + Decimal("0.01")  # each hour's quantity is rounded to nine decimals


@holds_for(
    st.lists(st.integers(0, 30_000).map(lambda n: Decimal(n) / 100), max_size=12),
    st.integers(0, 20_000).map(Decimal), st.lists(st.integers(1, 200), max_size=5),
)  # fmt: skip
def test_each_threshold_fires_once_however_spending_grows(
    steps: list[Decimal], limit: Decimal, thresholds: list[int]
) -> None:
    fired: list[int] = []
    spent = ZERO
    for step in steps:
        spent += step
        fired += [t for t in pure.alerts_due(spent, limit, thresholds) if t not in fired]
    reached = [t for t in set(thresholds) if spent > 0 and spent * 100 >= limit * t]
    assert sorted(fired) == sorted(reached)
    assert len(set(fired)) == len(fired)


# -- one budget, any course of events -------------------------------------------------------------------------


class Course:
    """Work that comes, runs, ends, is suspended and resumed; a sweep that settles whenever it likes."""

    def __init__(self, limit: int, least: int = 0, step: int = 1) -> None:
        self.estate = Estate()
        self.estate.price("10", terms=Terms(minimum_seconds=least, step_seconds=step))
        self.now = month_of(timezone.now(), policy().zone).start + timedelta(days=2)
        self.budget = budgets.create(
            by=SYSTEM, tenant=self.estate.tenant, project=self.estate.project, limit=Decimal(limit), currency="CNY",
            policy=policy(), now=self.now,
        )  # fmt: skip
        self.works: list[Workload] = []
        self.runs: dict[UUID, tuple[Allocation, datetime]] = {}

    def submit(self, n: int) -> None:
        try:
            work = workloads.submit(
                by=SYSTEM, project=self.estate.project, pool=self.estate.pool, name="w", accelerators=1 + n % 3,
                max_seconds=600 * (1 + n % 7), grace_seconds=0, model_names=[self.estate.model.name],
            )  # fmt: skip
        except OverBudget:
            return
        self.works.append(work)

    def run(self, n: int) -> None:
        """It runs on, never longer than it may; sometimes it ends there."""
        if not self.works:
            return
        work = self.works[n % len(self.works)]
        work.refresh_from_db()
        if work.state not in (W.QUEUED, W.RUNNING):
            return
        limit = timedelta(seconds=work.max_seconds or 0)
        if work.pk not in self.runs:
            begun = self.now
            run = self.estate.running(
                begun, begun + min(limit, timedelta(minutes=n)), 1000 * work.accelerators, workload=work
            )
            self.runs[work.pk] = (run, begun)
            Workload.objects.filter(pk=work.pk).update(state=W.RUNNING)
            return
        run, begun = self.runs.pop(work.pk)
        proven = run.proof_at or begun
        self.estate.end(run, min(begun + limit, proven + timedelta(minutes=n)))
        Workload.objects.filter(pk=work.pk).update(state=W.SUCCEEDED if n % 2 else W.FAILED)

    def again(self, n: int) -> None:
        if not self.works:
            return
        work = self.works[n % len(self.works)]
        work.refresh_from_db()
        try:
            if work.state == W.FAILED:
                workloads.retry(by=SYSTEM, workload=work)
            elif work.state == W.QUEUED and n % 2:
                workloads.suspend(by=SYSTEM, workload=work)
            elif work.state == W.SUSPENDED:
                workloads.resume(by=SYSTEM, workload=work)
        except OverBudget:
            pass

    def bump(self, n: int) -> None:
        """The system takes its cards away and queues it again; the next look lets it in anew, or has it wait."""
        runs = [work for work in self.works if work.pk in self.runs]
        if not runs:
            return
        work = runs[n % len(runs)]
        run, begun = self.runs.pop(work.pk)
        limit = timedelta(seconds=work.max_seconds or 0)
        self.estate.end(run, min(begun + limit, (run.proof_at or begun) + timedelta(minutes=n)))
        Workload.objects.filter(pk=work.pk).update(state=W.QUEUED, attempt=F("attempt") + 1)
        if n % 2:
            meter()
        for stop in spending.settle(tenant_id=self.estate.tenant.pk, policy=policy()):
            assert stop.workload_id == work.pk
            assert spending.stop(stop)

    def settle(self, n: int) -> None:
        if n % 3:
            meter()
        for stop in spending.settle(tenant_id=self.estate.tenant.pk, policy=policy()):
            raise AssertionError(f"nothing here has to be stopped: {stop}")

    def charge(self, n: int) -> None:
        """Later, when all hours are over: nothing is left to be billed of what has ended."""
        self.now += timedelta(hours=2, minutes=n)
        meter()
        drafts.catch_up(tenant_id=self.estate.tenant.pk, policy=policy())

    def check(self) -> None:
        self.budget.refresh_from_db()
        assert self.budget.spent + self.budget.held <= self.budget.limit + Decimal("0.01")


@pytest.mark.parametrize(
    ("course", "limit", "least"),
    [
        # One that ran for twenty minutes begins again before they are metered, then another comes.
        ("submit 29, run 37, run 16, again 18, run 21, submit 28, run 37, settle 13", 22, 0),
        # The same once it is metered, and once it is charged.
        ("submit 29, run 37, run 16, settle 1, again 18, run 21, submit 28, run 37, settle 13", 22, 0),
        ("submit 29, run 37, run 16, charge 1, settle 1, again 18, run 21, submit 28, run 37, settle 13", 22, 0),
        # It ends after a minute, and another comes before it is billed for the hour that its price asks for.
        ("submit 0, run 1, run 0, settle 1, submit 29, run 37, run 30", 35, 3600),
        # It ends after a minute and begins again, once it is metered, and once it is charged.
        ("submit 0, run 1, run 0, again 0, run 1, run 0, settle 1, submit 29, run 37, run 30", 45, 3600),
        ("submit 0, run 1, run 0, settle 1, again 0, run 1, run 0, settle 1, submit 29, run 37, run 30", 45, 3600),
        ("submit 0, run 1, run 0, charge 1, again 0, run 1, run 0, settle 1, submit 29, run 37, run 30", 45, 3600),
    ],
)
def test_what_is_not_billed_yet_stays_reserved(
    course: str, limit: int, least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Course(limit, least)
    monkeypatch.setattr("django.utils.timezone.now", lambda: one.now)
    for words in [*course.split(", "), "settle 1", "charge 1", "settle 1"]:
        what, n = words.split()
        getattr(one, what)(int(n))
        one.check()
    assert one.works


steps = st.lists(
    st.tuples(
        st.sampled_from(["submit", "submit", "run", "run", "run", "again", "bump", "settle", "settle", "charge"]),
        st.integers(0, 40),
    ),
    max_size=25,
)  # fmt: skip


@holds_for(
    steps, st.integers(0, 60), st.sampled_from([0, 0, 1, 900, 3600]), st.sampled_from([1, 1, 60, 3600]), cases=100,
    at_length=1000, is_shrunk=False,
)  # fmt: skip
def test_what_is_let_in_never_costs_more_than_the_budget(
    course: list[tuple[str, int]], limit: int, least: int, step: int
) -> None:
    with transaction.atomic():
        one = Course(limit, least, step)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("django.utils.timezone.now", lambda: one.now)
            for what, n in [*course, ("settle", 1), ("charge", 1), ("settle", 1)]:
                getattr(one, what)(n)
                one.check()
            one.settle(1)
            one.check()
            assert BudgetAlert.objects.filter(budget=one.budget).count() == len(
                pure.alerts_due(one.budget.spent, one.budget.limit, one.budget.thresholds)
            )
        transaction.set_rollback(True)


# -- one wallet, any course of events -------------------------------------------------------------------------


@dataclass
class Purse:
    estate: Estate = field(default_factory=Estate)
    now: datetime = field(default_factory=timezone.now)
    overdraft: Decimal = ZERO
    asked: list[Any] = field(default_factory=list)
    hours: int = 0

    def add(self, n: int) -> None:
        wallets.add(
            by=SYSTEM, tenant=self.estate.tenant, currency="CNY", kind="grant" if n % 2 else "top-up",
            amount=Decimal(n + 1) / 4, expires_at=None if n % 3 else self.now + timedelta(days=n + 1),
        )  # fmt: skip

    def bill(self, n: int) -> None:
        begun = at(0) + timedelta(hours=self.hours)
        self.hours += 1
        self.estate.ended(begun, begun + timedelta(minutes=n + 1))
        self.asked.append(issue(self.estate))

    def cancel(self, n: int) -> None:
        if self.asked:
            invoices.cancel(by=SYSTEM, invoice=self.asked.pop(n % len(self.asked)))

    def wait(self, n: int) -> None:
        self.now += timedelta(days=n)
        if n % 2:
            wallets.expire(tenant_id=self.estate.tenant.pk)

    def agree(self, n: int) -> None:
        wallet = Wallet.objects.filter(tenant=self.estate.tenant).first()
        if wallet is not None and n >= self.overdraft:
            self.overdraft = wallets.set_overdraft(by=SYSTEM, wallet=wallet, overdraft=Decimal(n)).overdraft

    def check(self) -> None:
        wallet = Wallet.objects.with_balance().filter(tenant=self.estate.tenant).first()
        balance = wallet.balance if wallet is not None else ZERO
        assert balance >= -self.overdraft
        assert -ledger.balance(AccountKind.WALLET, "CNY", tenant_id=self.estate.tenant.pk) == balance
        left = Credit.objects.with_left().filter(wallet=wallet)
        assert all(0 <= credit.left <= credit.amount for credit in left)
        paid = sum((wallets.paid_for(invoice) for invoice in self.asked), ZERO)
        owed = sum((invoice.total for invoice in self.asked), ZERO)
        due = ledger.balance(AccountKind.RECEIVABLE, "CNY", tenant_id=self.estate.tenant.pk)
        assert due == owed - paid >= 0


events = st.lists(
    st.tuples(st.sampled_from(["add", "add", "bill", "cancel", "wait", "agree"]), st.integers(0, 30)), max_size=14
)


@holds_for(events, cases=100, at_length=1000, is_shrunk=False)
def test_a_wallet_holds_what_the_ledger_says_and_never_less_than_its_overdraft(course: list[tuple[str, int]]) -> None:
    with transaction.atomic():
        one = Purse()
        one.estate.price("10")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("django.utils.timezone.now", lambda: one.now)
            for what, n in course:
                getattr(one, what)(n)
                one.check()
        assert list(ledger.verify()) == []
        transaction.set_rollback(True)
