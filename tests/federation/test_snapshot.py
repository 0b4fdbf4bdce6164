"""What the planner sees of the rows, and what a grant takes: steps, parts, holders, and what others hold."""

from dataclasses import replace
from typing import Any

import pytest

from federation.drivers.base import DeviceSeen, NodeSeen
from federation.models import Accelerator, Allocation, Cluster, Pool, Share, Workload
from federation.reconcile import admission, inventory
from federation.reconcile.snapshot import fleet_of
from portal.models import Project, Quota
from tests import factories
from tests.checker import books

pytestmark = pytest.mark.django_db
FLAVOR = "nvidia-a100-80g"
PART = "A100-80G/1g.10gb"


class Place:
    """One node of one device, told of as each test says; quota for its flavor."""

    def __init__(self, *more: DeviceSeen, **each: Any) -> None:
        self.node = factories.node_seen("n", devices=1, each=each, cpu_milli=8000, memory_mib=8192)
        self.node = replace(self.node, devices=(*self.node.devices, *more))
        self.cluster: Cluster = factories.cluster(self.node)
        self.pool: Pool = factories.pool(self.cluster)
        self.project: Project = factories.project()
        self.quota: Quota = factories.quota(self.project, FLAVOR, milli=3000)

    def show(self, node: NodeSeen) -> None:
        inventory.store(Cluster.objects.get(pk=self.cluster.pk), [node])

    def ask(self, **spec: Any) -> Workload:
        work = factories.workload(self.project, self.pool, **spec)
        admission.run(str(self.pool.pk))
        work.refresh_from_db()
        return work


def test_what_is_taken_is_what_quota_and_the_bill_count() -> None:
    place = Place(step_milli=250)
    work = place.ask(accelerator_milli=300)
    share, grant = Share.objects.get(), Allocation.objects.get()
    assert (share.milli, share.memory_mib, grant.held_milli) == (500, 81920 // 2, 500)
    assert work.state == "admitted"
    place.quota.refresh_from_db()
    assert place.quota.held_milli == 500
    assert books.problems() == []


def test_quota_for_what_is_asked_but_not_for_what_is_taken_waits() -> None:
    place = Place(step_milli=250)
    Quota.objects.update(nominal_milli=400)
    work = place.ask(accelerator_milli=300)
    assert (work.state, work.reason) == ("queued", "QuotaExhausted")


def test_work_without_accelerators_counts_its_cores() -> None:
    place = Place()
    factories.quota(place.project, "cpu", milli=4000)
    place.ask(accelerators=0, cpu_milli=1500)
    assert Allocation.objects.get().held_milli == 1500


def test_what_others_hold_is_not_free() -> None:
    place = Place(foreign_milli=400, foreign_memory_mib=70_000)
    place.show(replace(place.node, foreign_cpu_milli=7000, foreign_memory_mib=8000))
    (node,) = fleet_of(place.pool).nodes
    (device,) = node.devices
    assert (node.cpu_milli, node.memory_mib, node.total_cpu_milli) == (1000, 192, 8000)
    assert (device.free_milli, device.free_memory_mib, device.step_milli) == (600, 11_920, 10)
    assert place.ask(memory_mib=100).reason == "NotEnoughFreeAccelerators"
    place.show(replace(place.node, foreign_cpu_milli=9000))
    assert fleet_of(place.pool).nodes[0].cpu_milli == 0, "more than there is, for a while"


def test_as_many_holders_as_the_site_allows() -> None:
    place = Place(most_shares=2)
    taken = [place.ask(accelerator_milli=100).state for _ in range(3)]
    assert taken == ["admitted", "admitted", "queued"]
    assert fleet_of(place.pool).nodes[0].devices[0].held_shares == 2


def test_a_part_is_asked_for_by_its_name_and_its_card_is_not_to_be_had() -> None:
    parts = [DeviceSeen(i, f"MIG-{i}", "nvidia", PART, 9728, parent_uuid="GPU-n-0") for i in (1, 2)]
    place = Place(*parts)
    assert [device.model for device in fleet_of(place.pool).nodes[0].devices] == [PART, PART]
    assert place.ask(model_names=["A100-80G"]).reason == "NoMatchingModel"
    assert place.ask(model_names=[PART]).reason == "QuotaExhausted"
    factories.quota(place.project, "nvidia-a100-80g-1g.10gb", milli=3000)
    work = place.ask(model_names=[PART])
    share = Share.objects.get(allocation__workload=work)
    assert (share.accelerator.uuid, share.milli, share.memory_mib) == ("MIG-2", 1000, 9728), "who waited has the first"
    assert place.ask(model_names=[PART], accelerator_milli=500).reason == "NoMatchingModel"
    assert books.problems() == []


def test_a_card_that_counts_elsewhere_is_not_in_the_fleet() -> None:
    place = Place()
    inside = factories.cluster(place.node, kind="kubernetes")
    Cluster.objects.filter(pk=place.cluster.pk).update(kind="kvm")
    place.show(replace(place.node, devices=()))
    place.show(place.node)
    assert Accelerator.objects.physical().get().node.cluster_id == inside.pk
    assert fleet_of(place.pool).nodes[0].devices == ()
