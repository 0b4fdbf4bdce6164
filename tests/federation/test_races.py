"""Grants race on a real Postgres, from many processes, with quotas changing and processes dying under them.

The whole run, with its figures on one line of JSON:  ./run test -m slow -s tests/federation/test_races.py
"""

import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.db.models import F

from federation.models import Accelerator, Allocation, LedgerEntry, Node, Pool, Share, Workload
from federation.placement.types import DeviceShare, MemberPlacement, Placement
from federation.reconcile import grants
from federation.reconcile import workloads as flow
from federation.states import AllocationState as A
from federation.states import WorkloadState as W
from portal import hints
from portal.audit import SYSTEM
from portal.errors import OverCapacity
from portal.models import Project, Quota, ResourceFlavor, StateChange
from portal.transitions import move
from tests import factories
from tests.checker import books, history
from tests.checker.crowd import Crowd

pytestmark = pytest.mark.django_db(transaction=True)
FLAVOR = "nvidia-a100-80g"
LOW, HIGH = 4000, 12_000


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is there to work on what is granted: hints go nowhere."""
    monkeypatch.setattr(hints, "send", lambda *_: None)


class Race:
    """6 nodes of 4 devices, 2 tenants of 2 projects, and work for four times as much as fits."""

    def __init__(self) -> None:
        seen = [factories.node_seen(f"node-{n}", devices=4, cpu_milli=6_000, each={"step_milli": 1}) for n in range(6)]
        self.pool = factories.pool(factories.cluster(*seen))
        self.nodes = [str(pk) for pk in Node.objects.values_list("pk", flat=True)]
        first, second = factories.project(), factories.project()
        self.projects = [first, factories.project(first.tenant), second, factories.project(second.tenant)]
        flavor = ResourceFlavor.objects.get(name=FLAVOR)
        self.quotas = [factories.quota(project, FLAVOR, HIGH).pk for project in self.projects]
        self.quotas += [
            Quota.objects.create(tenant=project.tenant, flavor=flavor, nominal_milli=HIGH * 3 // 2).pk
            for project in (first, second)
        ]
        self.work = [factories.workload(self.projects[n % 4], self.pool, **_wish(n)).pk for n in range(60)]


def _wish(n: int) -> dict[str, Any]:
    """A share, whole devices, or a gang."""
    kinds: list[dict[str, Any]] = [
        {"accelerator_milli": 100 + n * 37 % 900},
        {"accelerators": 2},
        {"replicas": 3},
        {"accelerators": 1},
    ]
    return {"cpu_milli": 2000, **kinds[n % len(kinds)]}


def stale(work: Workload, nodes: list[str], dice: random.Random) -> Placement:
    """What an outdated plan looks like: nodes and devices by the throw of dice, whatever is free."""
    members = []
    for node in dice.sample(nodes, work.replicas):
        devices = dice.sample(range(4), work.accelerators)
        members.append(MemberPlacement(node, FLAVOR, tuple(DeviceShare(i, work.accelerator_milli, 0) for i in devices)))
    return Placement(str(work.pk), tuple(members), "dice")


def release(pk: Any) -> None:
    """As the reconcilers do once the site has let go, members in one go; the workload queues anew."""
    with transaction.atomic():
        work = flow.lock(pk)
        if work.state != W.ADMITTED:
            return
        for allocation in work.allocations.filter(attempt=work.attempt).order_by("pk"):
            move(allocation, A.STOPPING, by=SYSTEM, reason="Raced")
            move(allocation, A.RELEASED, by=SYSTEM, reason="Raced", next_check_at=None)
        move(work, W.QUEUED, by=SYSTEM, reason="Raced", attempt=F("attempt") + 1)


REFUSALS = {  # by constraint, or by the state that Postgres ended the statement with
    "device_never_over": "device",
    "node_never_over": "node",
    "quota_never_over": "quota",
    "40001": "serialization",
    "40P01": "deadlock",
    "55P03": "lock_timeout",
}
COUNTED = ("attempts", "grants", "changed", *REFUSALS.values())


def hammer(race: Race, crowd: list[Crowd], folder: Path, share: int, isolation: str, slot: int) -> None:
    """One process: grant what waits, by stale plans, and now and then release what runs."""
    counts = crowd[0].counts
    dice = random.Random(f"{slot} {counts['attempts'][slot]}")
    told = history.Writer(folder / f"{slot}-{os.getpid()}.jsonl")
    with connection.cursor() as cursor:
        cursor.execute(f"SET default_transaction_isolation TO '{isolation}'")
    while counts["attempts"][slot] < share:
        work = Workload.objects.get(pk=dice.choice(race.work))
        if work.state == W.QUEUED:
            outcome = try_grant(work, stale(work, race.nodes, dice), told)
            counts["attempts"][slot] += 1
            counts[outcome][slot] += 1
        elif dice.random() < 0.5:
            try:
                release(work.pk)
            except OperationalError as error:  # only above READ COMMITTED, where the caller has to come again
                if isolation == "read committed" or getattr(error.__cause__, "sqlstate", "") != "40001":
                    raise
    connections.close_all()


def try_grant(work: Workload, placement: Placement, told: history.Writer) -> str:
    key = (work.pk, work.version)
    told.ask("grant", *key)
    try:
        is_ours = grants.commit(work.pk, work.version, placement)
    except OverCapacity as error:
        told.answer(history.REFUSED, "grant", *key)
        diagnosis: Any = error.__cause__.__cause__.diag  # type: ignore[union-attr]  # psycopg's, under Django's
        return REFUSALS[diagnosis.constraint_name or diagnosis.sqlstate]
    told.answer(history.OK if is_ours else history.REFUSED, "grant", *key)
    return "grants" if is_ours else "changed"


def flip(quotas: list[Any], folder: Path, is_over: Path) -> None:
    """Lower and raise quotas ten times a second. While one is low, what it holds may shrink and not grow."""
    dice, flips = random.Random(1), 0
    with connection.cursor() as cursor:
        while not is_over.exists():
            pk = dice.choice(quotas)
            cursor.execute("UPDATE portal_quota SET nominal_milli = %s WHERE id = %s RETURNING held_milli", [LOW, pk])
            before = cursor.fetchone()[0]
            time.sleep(0.1)
            cursor.execute("UPDATE portal_quota SET nominal_milli = %s WHERE id = %s RETURNING held_milli", [HIGH, pk])
            after = cursor.fetchone()[0]
            flips += 2
            if after > max(before, LOW):
                (folder / "violations").write_text(f"quota {pk} was lowered to {LOW} at {before} and grew to {after}")
            (folder / "flips").write_text(str(flips))
    connections.close_all()


def run(
    race: Race, folder: Path, *, processes: int, attempts: int, kill_every: float, isolation: str = "read committed"
) -> dict[str, Any]:
    """The race, its figures, and every check afterwards."""
    is_over, holder = folder / "over", []
    share = attempts // processes

    def work(slot: int) -> None:
        if slot == processes:
            flip(race.quotas, folder, is_over)
        else:
            hammer(race, holder, folder, share, isolation, slot)

    crowd = Crowd(work, size=processes + 1, counted=COUNTED)
    holder.append(crowd)
    started = time.monotonic()

    def finish() -> None:
        if all(count >= share for count in crowd.counts["attempts"][:processes]):
            is_over.touch()

    crowd.run(kill_every=kill_every, spared=1, meanwhile=finish)
    seconds = time.monotonic() - started
    figures = {
        "processes": processes,
        "isolation": isolation,
        "seconds": round(seconds, 1),
        "attempts_per_second": round(crowd.total("attempts") / seconds),
        **{name: crowd.total(name) for name in COUNTED},
        "killed": crowd.killed,
        "quota_flips": int((folder / "flips").read_text()),
        "ledger_entries": LedgerEntry.objects.count(),
        "most_of_a_device": max(LedgerEntry.objects.values_list("held_milli", flat=True)),
    }
    print(json.dumps(figures))
    assert not (folder / "violations").exists(), (folder / "violations").read_text()
    assert books.problems() == []
    admitted = StateChange.objects.filter(object_type="workload", to_state=W.ADMITTED)
    there = [(str(pk), str(version - 1)) for pk, version in admitted.values_list("object_id", "version")]
    assert history.compare(history.read(folder, "grant"), there) == []
    assert eventually_no_locks() == []
    return figures


def eventually_no_locks() -> list[str]:
    """The server notices within moments that a killed process is gone."""
    until = time.monotonic() + 10
    while (found := books.locks()) and time.monotonic() < until:
        time.sleep(0.05)
    return found


def test_no_race_over_allocates(tmp_path: Path) -> None:
    figures = run(Race(), tmp_path, processes=8, attempts=2000, kill_every=1.0)
    assert figures["attempts"] >= 2000
    assert figures["grants"] > 50
    assert min(figures[name] for name in ("device", "node", "quota", "changed", "killed", "quota_flips")) > 0, figures
    assert figures["deadlock"] == 0
    assert figures["most_of_a_device"] == 1000, "the devices were never full: this race shows nothing"


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_fifty_thousand_attempts_over_allocate_nothing(tmp_path: Path) -> None:
    figures = run(Race(), tmp_path, processes=8, attempts=50_000, kill_every=5.0)
    assert figures["attempts"] >= 50_000
    assert figures["deadlock"] == 0
    assert figures["most_of_a_device"] == 1000


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_no_isolation_level_makes_a_difference(tmp_path: Path, isolation: str) -> None:
    figures = run(Race(), tmp_path, processes=4, attempts=240, kill_every=0.0, isolation=isolation)
    assert figures["serialization"] > 0, "nothing raced"
    assert figures["grants"] > 10


@pytest.fixture
def without_walls() -> Iterator[None]:
    """A database without triggers, and without the check on the device's counter. Put back, with nothing held."""
    tables = ("federation_allocation", "federation_share")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'accelerator_never_over'")
        definition = cursor.fetchone()[0]
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute("ALTER TABLE federation_accelerator DROP CONSTRAINT accelerator_never_over")
    yield
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE federation_share, federation_allocation CASCADE")
        cursor.execute("UPDATE federation_accelerator SET held_milli = 0")
        cursor.execute(f"ALTER TABLE federation_accelerator ADD CONSTRAINT accelerator_never_over {definition}")
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def check_then_insert(work: Workload, device: Any, milli: int) -> bool:
    """The obvious grant: look whether it fits, then take it. Counters and ledger are kept with care."""
    with transaction.atomic():
        row = Accelerator.objects.select_related("node").get(pk=device)
        if row.held_milli + milli > 1000:
            return False
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(0.005)")  # a planner takes longer
        allocation = Allocation.objects.create(
            workload=work, tenant_id=work.tenant_id, project_id=work.project_id, cluster_id=row.node.cluster_id,
            node=row.node, flavor=ResourceFlavor.objects.get(name=FLAVOR), attempt=1, epoch=1, cpu_milli=0,
            memory_mib=0, held_milli=milli,
        )  # fmt: skip
        Share.objects.create(allocation=allocation, accelerator=row, milli=milli, memory_mib=0)
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE federation_accelerator SET held_milli = held_milli + %s, generation = generation + 1"
                " WHERE id = %s RETURNING generation, held_milli",
                [milli, device],
            )
            generation, held = cursor.fetchone()
        LedgerEntry.objects.create(
            accelerator_id=device, allocation_id=allocation.pk, generation=generation, delta_milli=milli,
            held_milli=held,
        )  # fmt: skip
    return True


def test_the_checker_sees_check_then_insert_over_allocate(without_walls: None) -> None:
    """The control run: the same question put the usual way, and the checker must be red."""
    project = factories.project()
    found: list[str] = []
    for turn in range(8):  # on a machine that is busy enough one after the other may come to its end alone
        cluster = factories.cluster(factories.node_seen(f"one-{turn}", devices=4))
        pool = factories.pool(cluster)
        devices = list(Accelerator.objects.filter(node__cluster=cluster).order_by("pk").values_list("pk", flat=True))
        work = [factories.workload(project, pool, accelerator_milli=600) for _ in range(4 * len(devices))]

        def naive(slot: int, work: list[Workload] = work, devices: list[UUID] = devices) -> None:
            for n, device in enumerate(devices):
                check_then_insert(work[slot * len(devices) + n], device, 600)
            connections.close_all()

        Crowd(naive, size=4).run()
        found = [problem for problem in books.held() if "of 1000 was held" in problem]
        if found:
            break
    assert found


def test_two_gangs_that_cross_never_deadlock_and_hold_nothing_by_half() -> None:
    _cross(rounds=60, look_every=0.2)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_two_gangs_cross_ten_thousand_times() -> None:
    _cross(rounds=5000, look_every=20.0)


def _cross(rounds: int, look_every: float) -> None:
    """Two gangs of 8, one device per node, planned in opposite order by two processes at once.

    The books are looked at meanwhile, too: a gang held by half for a moment would be in them.
    """
    seen = [factories.node_seen(f"node-{n}", devices=1) for n in range(8)]
    pool = factories.pool(factories.cluster(*seen))
    nodes = [str(node.pk) for node in Node.objects.order_by("name")]
    gangs = [_gang(pool, factories.project()) for _ in range(2)]
    holder: list[Crowd] = []

    def work(slot: int) -> None:
        order = nodes if slot == 0 else nodes[::-1]
        counts = holder[0].counts
        members = tuple(MemberPlacement(node, FLAVOR, (DeviceShare(0, 1000, 0),)) for node in order)
        while counts["rounds"][slot] < rounds:
            counts["rounds"][slot] += 1
            gang = Workload.objects.get(pk=gangs[slot])
            try:
                assert grants.commit(gang.pk, gang.version, Placement(str(gang.pk), members, "crossing"))
            except OverCapacity as error:
                counts["deadlocks" if isinstance(error.__cause__, OperationalError) else "refused"][slot] += 1
                continue
            counts["won"][slot] += 1
            release(gang.pk)
        connections.close_all()

    crowd = Crowd(work, size=2, counted=("rounds", "won", "refused", "deadlocks"))
    holder.append(crowd)
    started = time.monotonic()
    looks: list[float] = [started]

    def look() -> None:
        if time.monotonic() - looks[-1] >= look_every:
            assert books.problems() == []
            looks.append(time.monotonic())

    crowd.run(meanwhile=look)
    figures = {name: crowd.total(name) for name in crowd.counts}
    seconds = round(time.monotonic() - started, 1)
    print(json.dumps({"gangs": 2, "nodes": 8, "seconds": seconds, "looks": len(looks) - 1, **figures}))
    assert figures["deadlocks"] == 0
    assert figures["won"] > 0
    assert figures["refused"] > 0, "they never met: this shows nothing"
    assert books.problems() == []
    assert not Accelerator.objects.exclude(held_milli=0).exists()


def _gang(pool: Pool, project: Project) -> Any:
    factories.quota(project, FLAVOR, 8000)
    return factories.workload(project, pool, replicas=8).pk
