"""The process that looks at queues: woken at once, and by itself when no word came."""

import threading
import time

import pytest
from django.db import connection, connections

from federation.actions import workloads
from federation.models import Pool, Workload
from federation.reconcile import admission, desks, queues
from federation.reconcile.queues import Queues
from federation.tasks import sweep_pools
from portal import hints
from portal.audit import SYSTEM
from portal.models import Project
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)
Place = tuple[Pool, Project]


@pytest.fixture
def place() -> Place:
    desks.forget()
    pool = factories.pool(factories.cluster(factories.node_seen("n", devices=8)))
    project = factories.project()
    factories.quota(project)
    admission.run(str(pool.pk))  # so that the next look is seconds away
    return pool, project


def submit(place: Place) -> Workload:
    pool, project = place
    return workloads.submit(by=SYSTEM, project=project, pool=pool, name="w", accelerators=1)


def is_admitted(work: Workload) -> bool:
    work.refresh_from_db()
    return work.state == "admitted"


def test_it_wakes_when_work_comes(place: Place) -> None:
    planner = Queues()
    planner.step(0.01)
    found: list[Workload] = []

    def come_later() -> None:
        time.sleep(0.2)
        found.append(submit(place))
        connections.close_all()

    visitor = threading.Thread(target=come_later)
    visitor.start()
    began = time.monotonic()
    planner.step(60.0)  # sleeps until it is woken; the next look by the clock is ten seconds away
    planner.step(0.01)
    assert time.monotonic() - began < 8
    visitor.join()
    planner.end()
    assert is_admitted(found[0])


def test_a_lost_word_costs_one_look_by_the_clock(place: Place) -> None:
    work = submit(place)  # nobody listens
    planner = Queues()
    planner.step(0.01)
    planner.end()
    assert is_admitted(work)


def test_a_queue_rests_after_a_long_look(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []

    def long_look(pk: str) -> bool:
        looks.append(time.monotonic())
        time.sleep(0.3)
        return False

    monkeypatch.setattr(queues.admission, "run", long_look)
    submit(place)
    planner = Queues()
    end = time.monotonic() + 2
    while len(looks) < 2 and time.monotonic() < end:
        planner.step(1.0)
    planner.end()
    assert looks[1] - looks[0] >= 0.6, "as long as it took"


def test_many_who_submit_do_not_wait_for_each_other(place: Place) -> None:
    """The second leaves the pool's row alone: it is to be looked at already."""
    submit(place)
    before = Pool.objects.values_list("next_check_at", flat=True).get()
    submit(place)
    assert Pool.objects.values_list("next_check_at", flat=True).get() == before


def test_who_comes_during_a_look_is_looked_at_next(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    real = admission.admit

    def admit(pool: Pool) -> admission.Found:
        found = real(pool)
        submit(place)
        return found

    monkeypatch.setattr(admission, "admit", admit)
    admission.run(str(place[0].pk))
    assert Pool.objects.due().exists()


def test_without_such_a_process_workers_look(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(hints, "send", lambda task, *_: sent.append(task))
    sweep_pools()
    assert "federation.tasks.admit_pool" not in sent
    submit(place)
    sweep_pools()
    assert "federation.tasks.admit_pool" in sent


def test_a_database_that_goes_away_is_told_and_found_again(place: Place) -> None:
    planner = Queues()
    planner.step(0.01)
    assert planner._ears is not None
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [planner._ears.info.backend_pid])
    with pytest.raises(queues.psycopg.OperationalError):
        for _ in range(3):
            planner.step(0.01)
    work = submit(place)
    planner.step(0.01)
    planner.end()
    assert is_admitted(work)
