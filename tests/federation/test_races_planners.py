"""Planners that live, each with a queue of its own over the same nodes, race on a real Postgres and are killed."""

import json
import random
import time
from typing import Any

import pytest
from django.db import connections

from federation.models import LedgerEntry, Pool, Workload
from federation.placement import plan
from federation.reconcile import admission, desks
from federation.states import WorkloadState as W
from portal import hints
from portal.models import Quota
from tests import factories
from tests.checker import books
from tests.checker.crowd import Crowd
from tests.federation.test_races import FLAVOR, HIGH, LOW, eventually_no_locks, release

pytestmark = pytest.mark.django_db(transaction=True)


class Course:
    """6 nodes of 4 devices; each planner has a pool of them all, a project, and work for more than fits."""

    def __init__(self, planners: int) -> None:
        seen = [factories.node_seen(f"node-{n}", devices=4, cpu_milli=9_000, each={"step_milli": 1}) for n in range(6)]
        cluster = factories.cluster(*seen)
        tenant = factories.tenant()
        self.pools, self.work, self.quotas = [], [], []
        for _ in range(planners):
            pool = factories.pool(cluster)
            project = factories.project(tenant)
            self.pools.append(pool.pk)
            self.quotas.append(factories.quota(project, FLAVOR, HIGH).pk)
            wishes: list[dict[str, Any]] = [{"accelerator_milli": 300}, {"replicas": 3}, {}, {"accelerators": 2}]
            self.work.append([
                factories.workload(project, pool, cpu_milli=1000, **wishes[n % 4]).pk for n in range(12)
            ])  # fmt: skip


def _race(*, planners: int, looks: int, kill_every: float) -> dict[str, Any]:
    course = Course(planners)
    holder: list[Crowd] = []
    counted = ("looks", "granted", "cut_short")

    def work(slot: int) -> None:
        """Look, and let some go; a planner that was killed left its lease, which its heir takes over."""
        counts, dice = holder[0].counts, random.Random(f"{slot} {holder[0].counts['looks'][slot]}")
        desks.forget()
        pk = str(course.pools[slot])
        Pool.objects.filter(pk=pk).update(lease_token=None, lease_expires_at=None)
        while counts["looks"][slot] < looks:
            before = Workload.objects.filter(pool=pk, state=W.ADMITTED).count()
            counts["cut_short"][slot] += admission.run(pk)
            counts["granted"][slot] += Workload.objects.filter(pool=pk, state=W.ADMITTED).count() - before
            counts["looks"][slot] += 1
            for one in course.work[slot]:
                if dice.random() < 0.4:
                    release(one)
            if dice.random() < 0.2:
                quota = Quota.objects.filter(pk=course.quotas[slot])
                quota.update(nominal_milli=dice.choice([LOW, HIGH]))
        connections.close_all()

    crowd = Crowd(work, size=planners, counted=counted)
    holder.append(crowd)
    started = time.monotonic()
    crowd.run(kill_every=kill_every)
    figures = {
        "planners": planners, "seconds": round(time.monotonic() - started, 1), "killed": crowd.killed,
        "most_of_a_device": max(LedgerEntry.objects.values_list("held_milli", flat=True)),
        "ledger_entries": LedgerEntry.objects.count(), **{name: crowd.total(name) for name in counted},
    }  # fmt: skip
    print(json.dumps(figures))
    assert books.problems() == []
    assert eventually_no_locks() == []
    return figures


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints, "send", lambda *_: None)
    plan.warm()  # once, before there are many


def test_planners_that_live_over_allocate_nothing() -> None:
    figures = _race(planners=4, looks=25, kill_every=2.0)
    assert figures["granted"] > 50
    assert figures["cut_short"] > 0, "nobody lost a race: this one shows nothing"
    assert figures["most_of_a_device"] == 1000


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_eight_planners_that_live_over_allocate_nothing() -> None:
    figures = _race(planners=8, looks=400, kill_every=5.0)
    assert figures["killed"] > 0 and figures["cut_short"] > 0
    assert figures["most_of_a_device"] == 1000
