"""A planner that lives between looks knows what a new one would know; and a look goes through the whole queue."""

from collections.abc import Callable

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from federation.models import Accelerator, AcceleratorModel, Allocation, Cluster, Node, Pool, Workload
from federation.placement.plan import Planner
from federation.placement.types import DeviceShare, MemberPlacement, Placement
from federation.reconcile import admission, desks, grants, inventory, snapshot
from federation.states import ClusterState, NodeState
from portal.models import Quota
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)
FLAVOR = "nvidia-a100-80g"


@pytest.fixture(autouse=True)
def fresh() -> None:
    desks.forget()


class Place:
    def __init__(self, nodes: int = 4) -> None:
        self.seen = [factories.node_seen(f"n{number}", devices=2) for number in range(nodes)]
        self.cluster: Cluster = factories.cluster(*self.seen)
        self.pool: Pool = factories.pool(self.cluster)
        self.project = factories.project()
        self.quota: Quota = factories.quota(self.project, milli=100_000)

    def ask(self, **spec: object) -> Workload:
        return factories.workload(self.project, self.pool, **spec)

    def look(self) -> None:
        admission.run(str(self.pool.pk))


def _taken(planner: Planner) -> dict[str, tuple[int, int, list[int], list[int]]]:
    """What the planner believes to be free: CPU, memory, compute and memory of each device, by node."""
    columns = planner.columns
    groups, devices = columns.groups.first_device, columns.devices
    found = {}
    for at in range(len(columns.fleet.nodes)):
        first, last = groups[columns.nodes.first_group[at]], groups[columns.nodes.first_group[at + 1]]
        found[columns.node(at).name] = (
            int(columns.nodes.cpu[at]), int(columns.nodes.memory[at]),
            devices.free[first:last].tolist(), devices.memory[first:last].tolist(),
        )  # fmt: skip
    return found


def _hold(place: Place) -> None:
    place.ask(accelerators=1)
    place.look()


def _release(place: Place) -> None:
    _hold(place)
    desks.of(place.pool)
    Allocation.objects.update(state="stopping")
    Allocation.objects.update(state="released")


def _break(place: Place) -> None:
    Accelerator.objects.filter(pk=Accelerator.objects.order_by("pk").values("pk")[:1]).update(health="unhealthy")


def _use(place: Place) -> None:
    Node.objects.filter(name="n1").update(foreign_cpu_milli=1000)


def _close(place: Place) -> None:
    Node.objects.filter(name="n2").update(state=NodeState.DRAINED)


def _silence(place: Place) -> None:
    Cluster.objects.update(state=ClusterState.MAINTENANCE)


def _grow(place: Place) -> None:
    more = factories.node_seen("n9", devices=8)
    inventory.store(Cluster.objects.get(), [*place.seen, more])


def _shrink(place: Place) -> None:
    inventory.store(Cluster.objects.get(), place.seen[1:])


def _rename(place: Place) -> None:
    Node.objects.filter(name="n3").update(labels={"tier": "gold"})


@pytest.mark.parametrize("change", [_hold, _release, _break, _use, _close, _silence, _grow, _shrink, _rename])
def test_it_knows_what_a_new_one_knows(change: Callable[[Place], None]) -> None:
    place = Place()
    before = desks.of(place.pool)
    change(place)
    found = desks.of(place.pool).planner
    new = Planner(snapshot.fleet_of(place.pool))
    assert _taken(found) == _taken(new)
    assert [n.labels for n in found.columns.fleet.nodes] == [n.labels for n in new.columns.fleet.nodes]
    assert [(n.name, n.is_open) for n in found.columns.fleet.nodes] == [
        (n.name, n.is_open) for n in new.columns.fleet.nodes
    ]
    if change in (_hold, _release, _use):
        assert found is before.planner, "what only fills and empties is no reason to read all"


@pytest.mark.parametrize("change", [_silence, _close, _use])
def test_nor_is_a_pool_of_all_clusters_and_no_devices_overlooked(change: Callable[[Place], None]) -> None:
    place = Place()
    place.pool.clusters.clear()
    Accelerator.objects.all().delete()
    AcceleratorModel.objects.all().delete()
    desks.of(place.pool)
    change(place)
    found = desks.of(place.pool).planner.columns.fleet
    assert [(n.name, n.is_open) for n in found.nodes] == [
        (n.name, n.is_open) for n in snapshot.fleet_of(place.pool).nodes
    ]


def test_what_was_planned_and_came_to_nothing_is_free_again() -> None:
    place = Place(nodes=1)
    desk = desks.of(place.pool)
    work = place.ask(accelerators=2)
    outcome = desk.planner.place(snapshot.request_of(work, {FLAVOR: 100_000}))
    assert isinstance(outcome, Placement)
    desk.note(outcome)  # and nobody commits it
    assert desks.of(place.pool) is desk
    assert _taken(desk.planner)["n0"][2] == [1000, 1000]


def test_a_change_that_was_open_at_the_last_look_is_seen_by_the_next(database_dsn: str) -> None:
    """By its number it is older than much that was seen meanwhile."""
    place = Place(nodes=2)
    desk = desks.of(place.pool)
    with psycopg.connect(database_dsn) as other:
        other.execute("UPDATE federation_node SET foreign_cpu_milli = 500 WHERE name = 'n0'")
        for used in (100, 200):
            Node.objects.filter(name="n1").update(foreign_cpu_milli=used)
            assert desks.of(place.pool) is desk
        other.commit()
    assert desks.of(place.pool) is desk
    assert _taken(desk.planner) == _taken(Planner(snapshot.fleet_of(place.pool)))


def test_what_did_not_change_is_not_read_again() -> None:
    place = Place()
    desks.of(place.pool)
    Node.objects.filter(name="n1").update(foreign_cpu_milli=100)
    desks.of(place.pool)
    with CaptureQueriesContext(connection) as queries:
        desks.of(place.pool)
    assert not [q for q in queries.captured_queries if "held_cpu_milli" in q["sql"]], "no node is read"


def test_work_behind_a_thousand_that_cannot_run_is_placed() -> None:
    place = Place(nodes=1)
    stranger = factories.project(slug="no-quota")
    head = [factories.workload(stranger, place.pool, name=f"h{number}") for number in range(3)]
    like = Workload.objects.get(pk=head[0].pk)
    Workload.objects.bulk_create([_copy(like, number) for number in range(1000)])
    work = place.ask(accelerators=1)
    place.look()
    work.refresh_from_db()
    assert work.state == "admitted"
    reasons = set(Workload.objects.filter(project=stranger).values_list("reason", flat=True))
    assert len(reasons) == 1 and "Submitted" not in reasons, "and each of the thousand is told why it waits"


def _copy(like: Workload, number: int) -> Workload:
    return Workload(
        tenant_id=like.tenant_id, project_id=like.project_id, pool_id=like.pool_id, name=f"c{number}",
        accelerators=like.accelerators, submitted_by="x", reason="Submitted",
    )  # fmt: skip


def test_the_same_refusal_is_not_written_twice() -> None:
    place = Place(nodes=1)
    work = place.ask(accelerators=3)
    place.look()
    work.refresh_from_db()
    version = work.version
    assert work.decision["outcome"] == "refused" and work.decision["request"] == str(work.pk)
    place.look()
    work.refresh_from_db()
    assert work.version == version


def test_of_many_grants_only_those_lose_that_do_not_fit() -> None:
    place = Place(nodes=3)
    nodes = [str(pk) for pk in Node.objects.order_by("name").values_list("pk", flat=True)]
    work = [place.ask(accelerators=1, name=f"w{number}") for number in range(5)]
    # The third is planned onto the device that the second gets.
    devices = [(nodes[0], 0), (nodes[0], 1), (nodes[0], 1), (nodes[1], 0), (nodes[2], 0)]
    planned = [
        grants.Grant(w.pk, w.version, Placement(str(w.pk), (_member(*device),), "best-fit"))
        for w, device in zip(work, devices, strict=True)
    ]
    granted = grants.commit_all(planned)
    assert granted == {w.pk for n, w in enumerate(work) if n != 2}
    states = [Workload.objects.get(pk=w.pk).state for w in work]
    assert states == ["admitted", "admitted", "queued", "admitted", "admitted"]
    assert Allocation.objects.count() == 4


def _member(node: str, device: int) -> MemberPlacement:
    return MemberPlacement(node, FLAVOR, (DeviceShare(device, 1000, 0),))
