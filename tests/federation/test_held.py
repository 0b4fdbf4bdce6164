"""What the database lets be held: to the last, through every change of what there is, and no more."""

import pytest

from federation.models import Cluster, LedgerEntry
from federation.placement.types import DeviceShare, MemberPlacement, Placement
from federation.reconcile import grants, inventory
from federation.states import AllocationState as A
from portal.errors import OverCapacity
from portal.models import Quota
from tests import factories
from tests.checker import books
from tests.federation.estate import FLAVOR, MIB, Estate, change, in_parts, refused_by

pytestmark = pytest.mark.django_db


def test_exactly_full_is_allowed(estate: Estate) -> None:
    estate.grant(400, mib=MIB - 1)
    estate.grant(600, mib=1)
    estate.grant(1000, device=estate.device(index=1))
    assert Quota.objects.get(pk=estate.quota.pk).held_milli == 2000
    estate.reserve(1000, cpu_milli=7000, memory_mib=10_240 - 3 * 1024)
    node = estate.node()
    assert (node.held_cpu_milli, node.held_memory_mib) == (10_000, 10_240)
    assert books.held() == []


def test_what_others_leave_is_granted_to_the_last(estate: Estate) -> None:
    change(estate.device(), foreign_milli=300, foreign_memory_mib=MIB - 10)
    change(estate.node(), foreign_cpu_milli=9000, foreign_memory_mib=9216)
    estate.grant(700, mib=10)
    assert books.held() == []


def test_a_part_is_granted_whole_and_its_card_again_once_the_part_is_gone(estate: Estate) -> None:
    in_parts(estate).delete()
    part = in_parts(estate)
    held = estate.grant(device=part)
    assert estate.device().present_parts == 1
    change(held, state=A.RELEASED)
    change(part, is_present=False)
    assert estate.device().present_parts == 0
    estate.grant()
    assert books.held() == []


def test_a_whole_card_goes_out_whatever_its_step_and_a_holder_makes_room_for_the_next(estate: Estate) -> None:
    change(estate.device(), step_milli=300, most_shares=1)
    first = estate.grant(1000)
    assert refused_by(lambda: estate.grant(300)) == "device_most_shares"
    change(first, state=A.RELEASED)
    estate.grant(300)
    assert books.held() == []


def test_what_may_be_borrowed_may_be_held(estate: Estate) -> None:
    change(estate.wall, nominal_milli=3500)
    change(estate.quota, borrowing_limit_milli=500)
    estate.reserve(3500)
    assert books.held() == []


def test_shrinking_below_what_is_held_kills_nothing_and_release_still_counts(estate: Estate) -> None:
    allocation = estate.grant(1000, mib=5000)
    change(estate.quota, nominal_milli=0)
    change(estate.wall, nominal_milli=0)
    change(estate.device(), memory_mib=10, is_present=False)
    change(estate.node(), cpu_milli=1, memory_mib=1)
    assert books.held() == []
    change(allocation, state=A.RELEASED)
    assert books.held() == []
    device, node = estate.device(), estate.node()
    assert (device.held_milli, device.held_memory_mib, node.held_cpu_milli, node.held_memory_mib) == (0, 0, 0, 0)
    assert set(Quota.objects.values_list("held_milli", flat=True)) == {0}


def test_a_quota_made_while_work_runs_begins_with_what_is_held(estate: Estate) -> None:
    estate.grant(1000)
    estate.released(milli=700, device=estate.device(index=1))
    estate.quota.delete()
    estate.wall.delete()
    fresh = factories.quota(estate.project, FLAVOR, milli=100)
    wall = Quota.objects.create(tenant=estate.tenant, flavor=estate.flavor(), nominal_milli=100)
    wall.refresh_from_db()
    assert (fresh.held_milli, wall.held_milli) == (1000, 1000)
    other = Quota.objects.create(
        tenant=estate.tenant, project=factories.project(estate.tenant), flavor=estate.flavor(), nominal_milli=100
    )
    other.refresh_from_db()
    assert other.held_milli == 0, "another project's quota counts what that project holds"
    assert refused_by(lambda: estate.reserve(1)) == "quota_never_over"


def test_lost_work_goes_on_holding_its_device(estate: Estate) -> None:
    allocation = estate.grant()
    change(allocation, state=A.LOST)
    assert refused_by(lambda: estate.grant(1)) == "device_never_over"
    assert books.held() == []


def test_a_released_grant_may_be_deleted_and_the_ledger_stays(estate: Estate) -> None:
    allocation = estate.released()
    allocation.delete()
    assert [(e.delta_milli, e.held_milli) for e in LedgerEntry.objects.order_by("generation")] == [
        (1000, 1000),
        (-1000, 0),
    ]


def test_a_refused_member_takes_its_whole_gang_back(estate: Estate) -> None:
    """Through the product's own grant: the second of two members does not fit, so nothing of either is held."""
    estate.grant(1000)
    gang = estate.workload(replicas=2)
    whole = (DeviceShare(0, 1000, 0),)
    members = tuple(MemberPlacement(str(estate.node(name).pk), FLAVOR, whole) for name in ("two", "one"))
    with pytest.raises(OverCapacity):
        grants.commit(gang.pk, gang.version, Placement(str(gang.pk), members, "best-fit"))
    gang.refresh_from_db()
    assert gang.state == "queued"
    assert not gang.allocations.exists()
    assert estate.device("two").held_milli == 0
    assert books.held() == []


def test_an_inventory_leaves_the_counters_alone(estate: Estate) -> None:
    estate.grant(1000)
    cluster = Cluster.objects.get(pk=estate.cluster.pk)
    inventory.store(cluster, [factories.node_seen("one", devices=2, cpu_milli=9_000, memory_mib=9_000)])
    assert estate.device().held_milli == 1000
    assert books.held() == []
