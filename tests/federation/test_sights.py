"""What was seen before is not compared again, and that hides nothing: rows that somebody changed are put right."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from federation.actions import nodes
from federation.drivers.base import DeviceSeen, Health, NodeSeen
from federation.models import Accelerator, AcceleratorModel, Cluster, Node
from federation.reconcile import devices, inventory, sights
from federation.states import NodeState
from portal.audit import SYSTEM
from tests import factories

pytestmark = pytest.mark.django_db
SEEN = factories.node_seen("one", devices=2, labels={"zone": "a"}), factories.node_seen("two", devices=1)


def look(cluster: Cluster, *shown: NodeSeen) -> bool:
    return inventory.store(Cluster.objects.get(pk=cluster.pk), list(shown or SEEN))


def reads(cluster: Cluster, *shown: NodeSeen) -> list[str]:
    """Statements of a look that fetch rows of nodes or devices to compare them."""
    with CaptureQueriesContext(
        connection,
    ) as told:
        assert not look(cluster, *shown)
    return [q["sql"] for q in told if "is_identified" in q["sql"] and "COUNT(" not in q["sql"]]


@pytest.fixture
def cluster() -> Cluster:
    """Seen, compared, and noted."""
    made = factories.cluster(*SEEN)
    assert not look(made)
    assert Cluster.objects.get(pk=made.pk).sight
    return made


def facts() -> list[Any]:
    node_rows = Node.objects.order_by("pk").values_list("name", "state", *inventory._FIELDS)
    return [*node_rows, *Accelerator.objects.order_by("pk").values_list("node_id", "uuid", *devices._FIELDS)]


def test_what_was_noted_is_not_compared_again(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "compare", None)
    assert not look(cluster)
    assert not look(cluster, *reversed(SEEN)), "in whatever order"
    assert Cluster.objects.get(pk=cluster.pk).generation == 4, "it counts as a look all the same"


def test_a_look_that_writes_notes_nothing() -> None:
    """What others did between its reading and its writing, it has not compared."""
    made = factories.cluster(*SEEN)
    assert Cluster.objects.get(pk=made.pk).sight == ""


NODE_EDITS: dict[str, Any] = {
    "rack": "moved", "labels": {"zone": "b"}, "cpu_milli": 1, "memory_mib": 1, "foreign_cpu_milli": 7,
    "foreign_memory_mib": 7, "state": NodeState.NOT_READY, "system_uuid": "other", "guests": ["other"],
}  # fmt: skip
DEVICE_EDITS: dict[str, Any] = {
    "index": 9, "memory_mib": 1, "health": "unhealthy", "is_present": False, "is_identified": False,
    "mode": "time-sliced", "step_milli": 7, "most_shares": 7, "resource": "other", "foreign_milli": 7,
    "foreign_memory_mib": 7, "serial": "OTHER", "pci": "other", "passed_to": "other", "guest_pci": "other",
}  # fmt: skip


@pytest.mark.parametrize("name", NODE_EDITS)
def test_a_node_that_somebody_changed_is_put_right(cluster: Cluster, name: str) -> None:
    before = facts()
    Node.objects.filter(name="one").update(**{name: NODE_EDITS[name]})
    assert look(cluster)
    assert facts() == before
    assert not look(cluster)


@pytest.mark.parametrize("name", DEVICE_EDITS)
def test_a_device_that_somebody_changed_is_put_right(cluster: Cluster, name: str) -> None:
    before = facts()
    Accelerator.objects.filter(uuid="GPU-one-1").update(**{name: DEVICE_EDITS[name]})
    assert look(cluster)
    assert facts() == before
    assert not look(cluster)


def test_every_column_that_a_look_writes_is_in_the_sums_and_in_these_tests() -> None:
    assert {*NODE_EDITS} == {*inventory._FIELDS, "state"}
    assert {*DEVICE_EDITS} == {*devices._FIELDS} - {"model_id", "parent_id"}


@pytest.mark.parametrize("name", ["model_id", "parent_id"])
def test_a_device_that_somebody_gave_another_model_or_card_is_put_right(cluster: Cluster, name: str) -> None:
    factories.cluster(factories.node_seen("other", model="H100-80G"))
    assert not look(cluster), "compared and noted with the new model known"
    assert not reads(cluster)
    first, second = Accelerator.objects.filter(node__name="one").order_by("index")
    before = getattr(second, name)
    to = AcceleratorModel.objects.get(name="H100-80G").pk if name == "model_id" else first.pk
    Accelerator.objects.filter(pk=second.pk).update(**{name: to})
    assert look(cluster)
    second.refresh_from_db()
    assert getattr(second, name) == before


@pytest.mark.parametrize(
    "harm",
    [
        lambda: Accelerator.objects.filter(uuid="GPU-one-0").delete(),
        lambda: Accelerator.objects.filter(uuid="GPU-one-0").update(uuid="GPU-other"),
        lambda: Accelerator.objects.filter(uuid="GPU-one-0").update(node=Node.objects.get(name="two")),
        lambda: Node.objects.filter(name="two").update(name="three"),
    ],
    ids=["deleted", "renamed", "moved", "node renamed"],
)
def test_rows_that_somebody_took_away_come_back(cluster: Cluster, harm: Callable[[], object]) -> None:
    harm()
    assert look(cluster)
    here = Accelerator.objects.filter(node__cluster=cluster, is_present=True).exclude(node__state=NodeState.GONE)
    assert {*here.values_list("node__name", "uuid")} == {(n.name, d.uuid) for n in SEEN for d in n.devices}


def test_a_change_of_a_model_reaches_its_devices(cluster: Cluster) -> None:
    AcceleratorModel.objects.update(smallest_share_milli=125)
    assert look(cluster)
    assert set(Accelerator.objects.values_list("step_milli", flat=True)) == {125}


def test_a_drain_stays_a_wish_and_costs_one_comparison(cluster: Cluster) -> None:
    nodes.drain(by=SYSTEM, node=Node.objects.get(name="one"))
    assert reads(cluster)
    assert not reads(cluster)
    assert Node.objects.get(name="one").state == NodeState.DRAINED


def test_what_we_hold_there_does_not_count_as_a_change(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    Node.objects.update(held_cpu_milli=5)
    Accelerator.objects.update(held_milli=500)
    monkeypatch.setattr(devices, "compare", None)
    assert not look(cluster)


def test_a_partial_look_that_changes_a_row_makes_the_next_whole_one_compare(cluster: Cluster) -> None:
    inventory.store(Cluster.objects.get(pk=cluster.pk), [replace(SEEN[0], cpu_milli=5)], gone=[])
    assert look(cluster)
    assert Node.objects.get(name="one").cpu_milli == SEEN[0].cpu_milli


NODE_OTHERS: dict[str, Any] = {
    "name": "other", "cpu_milli": 5, "memory_mib": 5, "devices": (), "is_ready": False, "message": "closed",
    "rack": "other", "labels": {"zone": "c"}, "foreign_cpu_milli": 5, "foreign_memory_mib": 5,
    "system_uuid": "other", "guests": ("other",),
}  # fmt: skip
DEVICE_OTHERS: dict[str, Any] = {
    "index": 5, "uuid": "GPU-new", "vendor": "amd", "model": "MI300X", "memory_mib": 5, "health": Health.UNKNOWN,
    "numa": 1, "mode": "time-sliced", "step_milli": 5, "most_shares": 5, "parent_uuid": "GPU-one-0",
    "is_identified": False, "resource": "amd.com/gpu", "foreign_milli": 5, "foreign_memory_mib": 5,
    "serial": "OTHER", "pci": "0000:65:00.0", "passed_to": "other", "guest_pci": "0000:07:00.0",
}  # fmt: skip


@pytest.mark.parametrize("field", fields(NodeSeen), ids=lambda f: str(f.name))
def test_another_node_is_another_sight(field: Any) -> None:
    other = replace(SEEN[0], **{field.name: NODE_OTHERS[field.name]})
    assert sights.of([other], {}) != sights.of(SEEN[:1], {})


@pytest.mark.parametrize("field", fields(DeviceSeen), ids=lambda f: str(f.name))
def test_another_device_is_another_sight(field: Any) -> None:
    device = replace(SEEN[0].devices[1], **{field.name: DEVICE_OTHERS[field.name]})
    other = replace(SEEN[0], devices=(SEEN[0].devices[0], device))
    assert sights.of([other], {}) != sights.of(SEEN[:1], {})


def test_what_cannot_be_summed_is_compared_each_time(cluster: Cluster) -> None:
    class Text(str):
        __slots__ = ()

    odd = replace(SEEN[0], rack=Text(""))
    assert sights.of([odd], {}) == ""
    assert reads(cluster, odd, SEEN[1])
    assert reads(cluster, odd, SEEN[1])
