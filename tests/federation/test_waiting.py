"""Queues of pools in their orders, as Postgres gives them and as admission goes by them."""

from datetime import timedelta
from random import Random
from typing import Any

import pytest
from django.utils import timezone

from federation import whatif
from federation.actions import arrays, workloads
from federation.models import Allocation, Pool, QueueOrder, Workload
from federation.placement import orders
from federation.reconcile import admission, waiting
from federation.states import AllocationState, WorkloadState
from portal.audit import SYSTEM
from portal.models import Project, Quota
from tests import factories

pytestmark = pytest.mark.django_db
FLAVOR = "nvidia-a100-80g"


class Field:
    """One node of four devices, and projects of two tenants with quota for all of it."""

    def __init__(self, order: str, *milli: int) -> None:
        self.cluster = factories.cluster(factories.node_seen("n", cpu_milli=1_000_000))
        self.pool: Pool = factories.pool(self.cluster, queue_order=order)
        self.projects: list[Project] = [factories.project() for _ in milli or (4000, 4000)]
        for project, nominal in zip(self.projects, milli or (4000, 4000), strict=True):
            factories.quota(project, FLAVOR, milli=nominal)

    def ask(self, of: int = 0, **spec: Any) -> Workload:
        return factories.workload(self.projects[of], self.pool, **spec)

    def admitted(self) -> list[str]:
        admission.run(str(self.pool.pk))
        return sorted(Workload.objects.filter(state="admitted").values_list("name", flat=True))


def names(work: list[Workload]) -> list[str]:
    return [one.name for one in work]


def test_every_order_of_the_engine_can_be_chosen() -> None:
    assert set(QueueOrder.values) == set(orders.ORDERS)
    assert QueueOrder.PRIORITY == orders.DEFAULT


@pytest.mark.parametrize("order", QueueOrder.values)
def test_the_database_gives_the_order_that_the_pure_function_says(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a queue that is deeper than what is read at first for fair share."""
    monkeypatch.setattr(waiting, "_DEPTH", 2)
    field, draw = Field(order, 1000, 3000, 2000), Random(7)
    now = timezone.now()
    for number in range(40):
        field.ask(
            of=draw.choice([0, 0, 0, 1, 1, 2]),
            name=str(number),
            queued_at=now - timedelta(seconds=draw.randrange(10)),
            priority=draw.randrange(3),
            replicas=draw.randrange(1, 4),
            accelerators=draw.randrange(3),
            cpu_milli=draw.choice([1000, 400_000]),
            deadline_at=draw.choice([None, now + timedelta(hours=draw.randrange(5))]),
            predicted_seconds=draw.choice([None, float(draw.randrange(5))]),
        )
    everything = names(waiting.arranged(field.pool, Workload.objects.all()))
    assert names(waiting.head(field.pool, 1000)) == everything
    for most in (1, 7, 25):
        assert names(waiting.head(field.pool, most)) == everything[:most]
        assert [row.name for row in waiting.rows(field.pool, ("pk", "name"), most, 4)] == everything[:most]


def test_a_tenant_that_sent_one_comes_before_the_fifth_of_another() -> None:
    field = Field("fair-share")
    for number in range(6):
        field.ask(0, name=f"many-{number}", priority=5)
    field.ask(1, name="one")
    assert field.admitted() == ["many-0", "many-1", "many-2", "one"]


def test_a_tenant_that_holds_much_comes_after_one_that_holds_little() -> None:
    field = Field("fair-share")
    for number in range(2):
        field.ask(0, name=f"first-{number}")
    assert field.admitted() == ["first-0", "first-1"]
    for number in range(3):
        field.ask(0, name=f"then-{number}", priority=5)
    for number in range(2):
        field.ask(1, name=f"late-{number}")
    assert field.admitted() == ["first-0", "first-1", "late-0", "late-1"]


def test_a_weight_is_the_tenants_quota_or_else_that_of_its_projects() -> None:
    field = Field("fair-share", 1000, 2000)
    other = factories.project(field.projects[0].tenant)
    factories.quota(other, FLAVOR, milli=3000)
    third = factories.project()
    factories.quota(third, "cpu", milli=9000)
    factories.workload(third, field.pool, accelerators=0)
    wall = Quota.objects.get(project=field.projects[1])
    Quota.objects.create(tenant=wall.tenant, flavor=wall.flavor, nominal_milli=1500)
    parts, whole = waiting.shares_of(field.pool)
    assert [parts[one.tenant_id].weight for one in field.projects] == [4.0, 1.5]
    assert third.tenant_id not in parts, "its quota is for nothing that this pool offers: weight 1"
    assert whole == {"devices": 4000, "cpu": 1_000_000, "memory": 262_144}


def test_a_pool_of_some_models_counts_these_devices_and_their_nodes() -> None:
    field = Field("fair-share")
    more = factories.cluster(factories.node_seen("h", devices=2, model="H800-80G", cpu_milli=5000))
    field.pool.clusters.add(more)
    assert waiting.shares_of(field.pool)[1]["devices"] == 6000
    field.pool.model_names = ["H800-80G"]
    assert waiting.shares_of(field.pool)[1] == {"devices": 2000, "cpu": 5000, "memory": 262_144}


def test_the_nearest_deadline_is_placed_first() -> None:
    field, now = Field("earliest-deadline"), timezone.now()
    for number, hours in enumerate([None, 5, 3, 4, 2, 1]):
        field.ask(
            name=str(number), deadline_at=None if hours is None else now + timedelta(hours=hours), priority=number
        )
    assert field.admitted() == ["2", "3", "4", "5"]


def test_work_of_a_suspended_tenant_and_work_that_still_holds_something_does_not_come() -> None:
    field = Field("fair-share")
    field.ask(0, name="suspended")
    held = field.ask(1, name="held")
    type(field.projects[0].tenant).objects.filter(pk=field.projects[0].tenant_id).update(state="suspended")
    assert names(waiting.head(field.pool, 9)) == ["held"]
    admission.run(str(field.pool.pk))
    Workload.objects.filter(pk=held.pk).update(state=WorkloadState.QUEUED)
    assert waiting.head(field.pool, 9) == []


def test_a_what_if_is_in_the_pools_order_and_knows_what_would_be_freed() -> None:
    field = Field("fair-share")
    for _ in range(3):
        field.ask(0)
    field.admitted()
    mine, theirs = field.ask(0, name="mine"), field.ask(1, name="theirs")
    draft = workloads.draft(by=SYSTEM, project=field.projects[1], pool=field.pool, name="draft", accelerators=1)
    found = whatif.look(field.pool, whatif.Change(asked=[draft])).findings
    assert names([finding.workload for finding in found]) == ["theirs", "draft", "mine"]
    site = field.cluster.site.slug
    found = whatif.look(field.pool, whatif.Change(closed_sites=frozenset({site}))).findings
    assert [finding.is_displaced for finding in found] == [True, False, True, True, False]
    assert [found[1].workload.pk, found[4].workload.pk] == [theirs.pk, mine.pk]
    parts, _ = waiting.shares_of(field.pool, Allocation.objects.all())
    assert parts[field.projects[0].tenant_id].held == {"devices": 0, "cpu": 0, "memory": 0}


# -- how long it will run ------------------------------------------------------------------------------


def ran(field: Field, name: str, seconds: float, state: str = "succeeded", **spec: Any) -> None:
    """Work that is over, and whose first member ran for so long."""
    work = field.ask(name=name, **spec)
    end = timezone.now()
    Workload.objects.filter(pk=work.pk).update(state=state, finished_at=end)
    node = field.cluster.nodes.get()
    flavor = Quota.objects.filter(project=field.projects[0]).get().flavor
    made = Allocation.objects.create(
        workload=work, tenant=work.tenant, project=work.project, cluster=field.cluster, node=node, flavor=flavor,
        attempt=1, epoch=1, cpu_milli=1, memory_mib=1, held_milli=0,
    )  # fmt: skip
    begin = end - timedelta(seconds=seconds)
    Allocation.objects.filter(pk=made.pk).update(state=AllocationState.RELEASED, started_at=begin, ended_at=end)


def submit(field: Field, name: str, of: int = 0, **spec: Any) -> float | None:
    made = workloads.submit(by=SYSTEM, project=field.projects[of], pool=field.pool, name=name, accelerators=1, **spec)
    made.refresh_from_db()
    return made.predicted_seconds


def test_what_is_submitted_is_predicted_from_the_runs_of_its_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "KEEP_SECONDS", 0.0)
    field = Field("shortest-predicted")
    assert submit(field, "train-1") is None
    for seconds in (10, 30, 20):
        ran(field, "train-1", seconds)
    ran(field, "train-1", 500, state="failed")
    ran(field, "long-1", 900)
    assert submit(field, "train-7") == pytest.approx(20)
    assert submit(field, "train-7", max_seconds=15) == 15
    made = arrays.submit_many(
        by=SYSTEM, project=field.projects[0], pool=field.pool, count=2, name="train", accelerators=1
    )
    assert [w.predicted_seconds for w in Workload.objects.filter(pk__in=made)] == pytest.approx([20, 20])
    assert submit(field, "new", max_seconds=400) == 400
    assert submit(field, "new") == pytest.approx(25), "of all four"
    assert submit(field, "train-7", of=1) is None, "another project's runs tell nothing"
    monkeypatch.setattr(waiting, "RUNS_OF_PROJECT", 1)
    assert submit(field, "new") == pytest.approx(900), "of the newest"


def test_runs_are_not_read_for_each_of_what_is_sent_at_once(django_assert_num_queries: Any) -> None:
    field = Field("shortest-predicted")
    ran(field, "train-1", 10)
    for queries in (1, 0, 0):
        with django_assert_num_queries(queries):
            assert waiting.predicted_seconds(field.projects[0], "train-2", "batch", ()) == pytest.approx(10)


def test_the_shortest_is_placed_first_and_what_is_unknown_last() -> None:
    field = Field("shortest-predicted")
    for name, seconds in {"unknown": None, "c": 300, "a": 100, "b": 200, "d": 400}.items():
        submit(field, name, run_seconds=seconds)
    assert field.admitted() == ["a", "b", "c", "d"]
