"""kill -9 at every crash point, with real workers: nothing is lost, nothing runs twice, nothing is left over."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import connection

from federation.actions import workloads
from federation.models import Accelerator, Allocation, Cluster, Node, Pool, Workload
from federation.states import AllocationState as A
from federation.states import WorkloadState as W
from portal import crash, hints
from portal.audit import SYSTEM
from portal.errors import ConcurrentUpdate, IllegalTransition
from portal.models import Project, Quota, StateChange
from tests import factories
from tests.checker import books, sites
from tests.checker.workers import LEASE_SECONDS, Workers

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def crew(tmp_path: Path, transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    """Beat runs; workers are the test's to start. Hints of this process go nowhere: the sweeps find the work."""
    monkeypatch.setattr(hints, "send", lambda *_: None)
    crew = Workers(tmp_path)
    crew.beat()
    yield crew
    crew.end()


class Day:
    """A handful of work of each kind, on two sites that all days share."""

    def __init__(self) -> None:
        pool, project = Pool.objects.first() or _sites(), Project.objects.first() or _project()

        def work(name: str, **spec: Any) -> Workload:
            return workloads.submit(
                by=SYSTEM, project=project, pool=pool, name=name, **{"accelerators": 1, "run_seconds": 0.2, **spec}
            )

        self.too_long = work("too long", run_seconds=3600, max_seconds=1)
        self.cancelled = work("to be cancelled", run_seconds=3600)
        self.ends = {
            work("one"): W.SUCCEEDED,
            work("share", accelerator_milli=300): W.SUCCEEDED,
            work("gang", replicas=2): W.SUCCEEDED,
            self.too_long: W.FAILED,
            self.cancelled: W.CANCELLED,
        }

    def goes_on(self) -> bool:
        """Cancel what is to be cancelled once it runs. True until all has ended and all is given back."""
        if Workload.objects.get(pk=self.cancelled.pk).state == W.RUNNING:
            with suppress(ConcurrentUpdate, IllegalTransition):  # somebody was quicker: next time
                workloads.cancel(by=SYSTEM, workload=self.cancelled)
        states = dict(Workload.objects.values_list("pk", "state"))
        return any(states[w.pk] != end for w, end in self.ends.items()) or Allocation.objects.holding().exists()

    def check(self) -> None:
        """Nothing lost, nothing twice, nothing left, on either side."""
        for workload, end in self.ends.items():
            workload.refresh_from_db()
            assert (workload.name, workload.state) == (workload.name, end)
            assert workload.allocations.count() == workload.replicas, f"{workload.name} was granted more than once"
            assert workload.attempt == 1
        assert self.too_long.exit_code == 124


def check_books() -> None:
    """Both sides: rows and sites."""
    assert books.problems() == []
    assert books.left_over() == []
    assert sites.problems() == []
    assert sites.billed() == []
    assert not Accelerator.objects.exclude(held_milli=0, held_memory_mib=0).exists()
    assert not Node.objects.exclude(held_cpu_milli=0, held_memory_mib=0).exists()
    assert not Quota.objects.exclude(held_milli=0).exists()
    for allocation in Allocation.objects.all():
        path = StateChange.objects.filter(object_id=allocation.pk).order_by("version")
        assert [c.to_state for c in path] == [A.STARTING, A.ACTIVE, A.STOPPING, A.RELEASED]
    ours = [str(pk) for pk in Cluster.objects.values_list("pk", flat=True)]  # other tests had sites, too
    with connection.cursor() as cursor:
        cursor.execute("SELECT ref, gone_at FROM fakesite.work WHERE cluster_id = ANY(%s)", [ours])
        gone = dict(cursor.fetchall())
    released = StateChange.objects.filter(object_type="allocation", to_state=A.RELEASED)
    free = {str(pk): at.timestamp() for pk, at in released.values_list("object_id", "at")}
    assert gone.keys() == free.keys(), "each grant was at a site once, and nothing else was"
    assert all(free[ref] >= gone[ref] for ref in gone), "hardware was given away before its site had let go"


def _sites() -> Pool:
    quick = {"start_seconds": 0.1, "stop_seconds": 0.3}
    first = factories.cluster(factories.node_seen("a", devices=2), factories.node_seen("b", devices=2), **quick)
    second = factories.cluster(factories.node_seen("c", devices=2), kind="baremetal", **quick)
    return factories.pool(first, second)


def _project() -> Project:
    project = factories.project()
    factories.quota(project)
    return project


def go_on(days: list[Day]) -> bool:
    """Each of them is asked, for each has something to cancel."""
    under_way = [day.goes_on() for day in days]
    return any(under_way)


def kill_at(crew: Workers, point: str, days: list[Day]) -> None:
    """Start a worker that dies there, and wait until it has."""
    killed = crew.worker(crash_at=point)

    crew.until(lambda: not go_on(days) or killed.poll() is not None, f"No worker came by {point}")
    assert killed.returncode == -9, crew.log.read_text()[-4000:]
    assert crew.once(point).exists()


@pytest.mark.timeout(600)
def test_killed_at_every_point_in_turn_all_work_still_ends_once(crew: Workers) -> None:
    """Each worker takes over from a dead one and dies at the next point, with fresh work on top."""
    days: list[Day] = []
    for point in crash.POINTS:
        days.append(Day())
        kill_at(crew, point, days)
    finish(crew, days, crew.worker())


@pytest.mark.slow
@pytest.mark.parametrize("point", crash.POINTS)
def test_killed_at_one_point_all_work_still_ends_once(crew: Workers, point: str) -> None:
    """The same, one by one: shows which point is to blame."""
    day = Day()
    kill_at(crew, point, [day])
    finish(crew, [day], crew.worker())


def finish(crew: Workers, days: list[Day], worker: subprocess.Popen[bytes]) -> None:
    crew.until(lambda: not go_on(days), "Not all work had ended")
    crew.stop(worker)
    # Whoever died, or ran out of time, in the middle of a look leaves a lease; it is nobody's once it has run out.
    crew.until(lambda: not books.left_over(), "Something was held", 2 * LEASE_SECONDS + 10)
    for day in days:
        day.check()
    check_books()


def test_killed_in_a_pool_of_processes_the_worker_goes_on(crew: Workers) -> None:
    """As in production: the child dies at the worst moment, its parent starts another."""
    day = Day()
    worker = crew.worker(crash_at="ensure.after", pool="prefork")
    crew.until(lambda: crew.once("ensure.after").exists(), "No worker came by")
    assert worker.poll() is None
    finish(crew, [day], worker)


def test_the_broker_wiped_in_the_middle_costs_seconds_and_nothing_else(crew: Workers) -> None:
    day = Day()
    worker = crew.worker()
    crew.until(lambda: Workload.objects.filter(state=W.RUNNING).exists(), "Nothing ran")
    if settings.REDIS_URL:
        redis.Redis.from_url(settings.REDIS_URL).flushall()
    else:
        before = set(crew.broker.rglob("*.msg"))
        shutil.rmtree(crew.broker, ignore_errors=True)  # a worker may put something in while it is being emptied
        assert not before & set(crew.broker.rglob("*.msg"))
    finish(crew, [day], worker)
