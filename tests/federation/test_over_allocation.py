"""The database itself refuses what does not fit, whoever asks and however: plain inserts and updates, no action."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from federation.models import LedgerEntry
from federation.states import AllocationState as A
from portal.models import Quota
from tests import factories
from tests.federation.estate import MIB, Estate, change, in_parts, refused_by

pytestmark = pytest.mark.django_db


def share_after_start(estate: Estate) -> None:
    allocation = estate.reserve()
    change(allocation, state=A.STARTING)
    estate.share(allocation)


def more_than(held: int, again: int) -> Callable[[Estate], Any]:
    def attempt(estate: Estate) -> None:
        estate.grant(held)
        estate.grant(again)

    return attempt


def memory_of_the_rest(estate: Estate) -> None:
    estate.grant(100, mib=MIB - 10)
    estate.grant(100, mib=11)


def absent_device(estate: Estate) -> None:
    change(estate.device(), is_present=False)
    estate.grant()


def quota_only_for_tenant(estate: Estate) -> None:
    """The project's own wall is wide, the tenant's is full."""
    change(estate.quota, nominal_milli=10_000)
    change(estate.wall, nominal_milli=500)
    estate.reserve(501)


def quota_beyond_borrowing(estate: Estate) -> None:
    change(estate.wall, nominal_milli=9000)
    change(estate.quota, borrowing_limit_milli=500)
    estate.reserve(3000, cpu_milli=1)
    estate.reserve(501, cpu_milli=1)


def growth_after_quota_shrank(estate: Estate) -> None:
    estate.grant(1000)
    change(estate.quota, nominal_milli=500)
    estate.reserve(1)


def growth_after_memory_shrank(estate: Estate) -> None:
    estate.grant(100, mib=5000)
    change(estate.device(), memory_mib=4000)
    estate.grant(1, mib=1)


def growth_after_node_shrank(estate: Estate) -> None:
    estate.grant(100)
    change(estate.node(), cpu_milli=500)
    estate.reserve(0, cpu_milli=1)


def one_share_too_many(estate: Estate) -> None:
    allocation = estate.reserve(1000)
    estate.share(allocation, estate.device(index=0), 600)
    estate.share(allocation, estate.device(index=1), 600)


def taken_by_others(estate: Estate) -> None:
    change(estate.device(), foreign_milli=300)
    estate.grant(701)


def memory_taken_by_others(estate: Estate) -> None:
    change(estate.device(), foreign_memory_mib=MIB - 10)
    estate.grant(100, mib=11)


def cpu_taken_by_others(estate: Estate) -> None:
    change(estate.node(), foreign_cpu_milli=9500)
    estate.reserve(1, cpu_milli=501)


def node_memory_taken_by_others(estate: Estate) -> None:
    change(estate.node(), foreign_memory_mib=10_000)
    estate.reserve(1, memory_mib=241)


def growth_after_others_came(estate: Estate) -> None:
    """More than was left is taken: what holds goes on, nothing more is given."""
    estate.grant(400)
    change(estate.device(), foreign_milli=900)
    estate.grant(1)


def card_in_parts(estate: Estate) -> None:
    in_parts(estate)
    estate.grant(100)


def card_counted_elsewhere(estate: Estate) -> None:
    change(estate.device(), counted_at=estate.device("two"))
    estate.grant()


def between_two_steps(estate: Estate) -> None:
    change(estate.device(), step_milli=250)
    estate.grant(300)


def one_holder_too_many(estate: Estate) -> None:
    change(estate.device(), most_shares=2)
    for _ in range(3):
        estate.grant(100)


def cheap_flavor(estate: Estate) -> None:
    cheap = estate.flavor("nvidia-h800-80g")
    Quota.objects.create(tenant=estate.tenant, project=estate.project, flavor=cheap, nominal_milli=1000)
    estate.share(estate.reserve(flavor=cheap))


def twice_the_same_member(estate: Estate) -> None:
    workload = estate.workload()
    estate.reserve(1, workload=workload)
    estate.reserve(1, workload=workload)


def share_of_the_same_device(estate: Estate) -> None:
    allocation = estate.reserve(1000)
    estate.share(allocation, milli=100)
    estate.share(allocation, milli=100)


def number_used_twice(estate: Estate) -> None:
    estate.grant()
    entry = LedgerEntry.objects.get()
    entry.pk = None
    entry.save(force_insert=True)


REFUSED: dict[str, tuple[str, Callable[[Estate], Any]]] = {
    "a whole device twice": ("device_never_over", more_than(1000, 1)),
    "one part in a thousand too many": ("device_never_over", more_than(400, 601)),
    "device memory": ("device_never_over", memory_of_the_rest),
    "device memory in one go": ("device_never_over", lambda e: e.grant(100, mib=MIB + 1)),
    "a device of another node": ("device_never_over", lambda e: e.grant(device=e.device("two"))),
    "a device that is gone": ("device_never_over", absent_device),
    "the counter by hand": ("accelerator_never_over", lambda e: change(e.device(), held_milli=1001)),
    "node CPU": ("node_never_over", lambda e: e.reserve(1, cpu_milli=10_001)),
    "node memory": ("node_never_over", lambda e: e.reserve(1, memory_mib=10_241)),
    "a node of another cluster": ("node_never_over", lambda e: e.reserve(1, cluster=e.other)),
    "less than nothing on a node": ("node_held_not_negative", lambda e: change(e.node(), held_cpu_milli=-1)),
    "the project's quota": ("quota_never_over", lambda e: e.reserve(3001)),
    "the tenant's quota": ("quota_never_over", quota_only_for_tenant),
    "what may be borrowed": ("quota_never_over", quota_beyond_borrowing),
    "no quota at all": ("quota_never_over", lambda e: e.reserve(1, flavor=e.flavor("nvidia-h800-80g"))),
    "less than nothing of a quota": ("quota_amounts_not_negative", lambda e: change(e.quota, held_milli=-1)),
    "growth under a lowered quota": ("quota_never_over", growth_after_quota_shrank),
    "growth in less device memory": ("device_never_over", growth_after_memory_shrank),
    "growth on a smaller node": ("node_never_over", growth_after_node_shrank),
    "a device that others use": ("device_never_over", taken_by_others),
    "device memory that others use": ("device_never_over", memory_taken_by_others),
    "CPU that others use": ("node_never_over", cpu_taken_by_others),
    "node memory that others use": ("node_never_over", node_memory_taken_by_others),
    "growth beside others": ("device_never_over", growth_after_others_came),
    "a card that is cut into parts": ("card_in_parts", card_in_parts),
    "a card that counts elsewhere": ("card_counted_once", card_counted_elsewhere),
    "a share between two steps": ("share_in_steps", between_two_steps),
    "a share of a part": ("share_in_steps", lambda e: e.grant(500, device=in_parts(e))),
    "a step of nothing": ("accelerator_step", lambda e: change(e.device(), step_milli=0)),
    "one holder too many": ("device_most_shares", one_holder_too_many),
    "a grant that begins as running": ("allocation_begins_reserved", lambda e: e.reserve(1, state=A.ACTIVE)),
    "a grant that begins as released": ("allocation_begins_reserved", lambda e: e.reserve(1, state=A.RELEASED)),
    "the same member twice": ("allocation_member_once", twice_the_same_member),
    "a share added later": ("share_with_reservation", share_after_start),
    "a share of nothing": ("share_of_one_device", lambda e: e.share(e.reserve(), milli=0)),
    "a share beyond one device": ("share_of_one_device", lambda e: e.share(e.reserve(1001), milli=1001)),
    "two shares of one device": ("share_once", share_of_the_same_device),
    "more shares than quota counts": ("share_counted", one_share_too_many),
    "a dear card as a cheap flavor": ("share_counted", cheap_flavor),
    "another share": ("grant_is_fixed", lambda e: change(e.grant().shares.get(), milli=500)),
    "more memory of a share": ("grant_is_fixed", lambda e: change(e.grant().shares.get(), memory_mib=500)),
    "a share without its grant": ("grant_is_fixed", lambda e: e.grant().shares.all().delete()),
    "a live grant deleted": ("grant_is_fixed", lambda e: e.reserve().delete()),
    "a grant taken back twice": ("released_is_final", lambda e: change(e.released(), state=A.STOPPING)),
    "a grant revived": ("released_is_final", lambda e: change(e.released(), state=A.RESERVED)),
    "a ledger number twice": ("ledger_in_order", number_used_twice),
    "half a lease": ("allocation_lease_pair", lambda e: change(e.reserve(), lease_token=e.tenant.pk)),
}
FIXED: dict[str, Callable[[Estate], Any]] = {
    "tenant_id": lambda e: factories.tenant().pk,
    "project_id": lambda e: factories.project(e.tenant).pk,
    "cluster_id": lambda e: e.other.pk,
    "node_id": lambda e: e.node("two").pk,
    "flavor_id": lambda e: e.flavor("nvidia-h800-80g").pk,
    "cpu_milli": lambda e: 999,
    "memory_mib": lambda e: 1023,
    "held_milli": lambda e: 999,
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_the_database(estate: Estate, case: str) -> None:
    name, attempt = REFUSED[case]
    assert name == refused_by(lambda: attempt(estate))


@pytest.mark.parametrize("column", FIXED)
def test_what_was_granted_does_not_change(estate: Estate, column: str) -> None:
    allocation = estate.grant()
    other = FIXED[column](estate)
    assert refused_by(lambda: change(allocation, **{column: other})) == "grant_is_fixed"


def test_every_wall_has_a_case() -> None:
    """A trigger, or a name it raises, that nobody tests stands out here."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT m[1] FROM pg_proc, regexp_matches(prosrc, 'CONSTRAINT = ''(\\w+)''', 'g') m"
            " WHERE proname LIKE 'federation\\_%'"
        )
        raised = {row[0] for row in cursor.fetchall()}
    assert len(raised) > 6
    assert raised == raised & {name for name, _ in REFUSED.values()}
