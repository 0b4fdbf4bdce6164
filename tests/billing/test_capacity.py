"""Work + reserved + idle = capacity: pure, and from what federation keeps."""

from datetime import datetime

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Sum
from hypothesis import strategies as st

from billing import capacity
from billing.models import CapacityHour, Mark, UsageRecord
from billing.rating.occupancy import Occupancy, Span, occupancy
from federation.models import Accelerator, Allocation, CapacityChange, Node
from federation.states import AllocationState as A
from federation.states import NodeState
from portal.audit import SYSTEM
from portal.models import StateChange
from portal.transitions import move
from tests.billing.cases import holds_for
from tests.billing.invoicing import meter
from tests.billing.rows import TEN, Estate, at

spans = st.lists(
    st.tuples(st.integers(0, 120), st.integers(0, 60), st.integers(1, 1000)).map(lambda t: (t[0], t[0] + t[1], t[2])),
    max_size=6,
)


@holds_for(spans, spans, spans)
def test_the_parts_of_a_card_add_up_at_each_second(offered: list[Span], held: list[Span], worked: list[Span]) -> None:
    def at_second(second: int, found: list[Span]) -> int:
        return sum(milli for start, end, milli in found if start <= second < end)

    expected = Occupancy()
    for second in range(100):  # second by second, as nobody would do it
        work = at_second(second, worked)
        there = 1000 if work else min(1000, at_second(second, offered))
        done = min(work, there)
        taken = min(max(at_second(second, held), work), there)
        expected += Occupancy(there, done, taken - done, there - taken, work - done)
    found = occupancy(0, 100, offered, held, worked)
    assert found == expected
    assert found.capacity == found.work + found.reserved + found.idle
    assert found.work + found.contested == sum(at_second(second, worked) for second in range(100))


@pytest.fixture
def estate(db: None) -> Estate:
    found = Estate(devices=2)
    with past_triggers():
        CapacityChange.objects.update(at=at(-60))
    return found


class past_triggers:
    """Within this the log may be changed, to give it a past."""

    def __enter__(self) -> None:
        self._set("replica")

    def __exit__(self, *_: object) -> None:
        self._set("DEFAULT")

    def _set(self, role: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL session_replication_role = {role}")


def granted(allocation: Allocation, start: datetime, end: datetime | None = None) -> None:
    """It was granted then, and given back then."""
    with past_triggers():
        Allocation.objects.filter(pk=allocation.pk).update(created_at=start)
        if end is not None:
            StateChange.objects.filter(object_id=allocation.pk, to_state="released").update(at=end)


def hour(estate: Estate, start: datetime = TEN) -> tuple[int, ...]:
    capacity.compute(start)
    row = CapacityHour.objects.get(site=estate.site.slug, flavor_id=estate.flavor.pk, hour=start)
    return (row.capacity, row.work, row.reserved, row.idle, row.contested)


WHOLE = 3_600_000


def test_what_nobody_holds_is_idle(estate: Estate) -> None:
    assert hour(estate) == (2 * WHOLE, 0, 0, 2 * WHOLE, 0)


def test_work_waiting_and_idling_make_up_the_hour(estate: Estate) -> None:
    run = estate.ended(at(10), at(40), milli=250, device=0)
    granted(run, at(5), at(45))
    meter()
    assert hour(estate) == (
        2 * WHOLE, 30 * 60 * 250, 10 * 60 * 250, 2 * WHOLE - 40 * 60 * 250, 0
    )  # fmt: skip
    worked = UsageRecord.objects.aggregate(sum=Sum("milli_seconds"))["sum"]
    assert CapacityHour.objects.aggregate(sum=Sum("work"))["sum"] == worked


def test_a_silent_site_has_reserved_what_it_cannot_prove(estate: Estate) -> None:
    run = estate.running(at(-10), at(20), device=1)
    granted(run, at(-30))
    meter()
    assert hour(estate) == (2 * WHOLE, WHOLE // 3, WHOLE * 2 // 3, WHOLE, 0)
    Allocation.objects.filter(pk=run.pk).update(proof_at=at(90))  # it proves the rest, late
    meter()
    assert hour(estate) == (2 * WHOLE, WHOLE, 0, WHOLE, 0)


def test_a_card_counts_while_it_is_there(estate: Estate) -> None:
    card = estate.devices[0]
    Accelerator.objects.filter(pk=card.pk).update(is_present=False)
    newest = CapacityChange.objects.filter(accelerator_id=card.pk).order_by("-id")[0]
    assert newest.milli == 0
    with past_triggers():
        CapacityChange.objects.filter(pk=newest.pk).update(at=at(15))
    assert hour(estate) == (WHOLE + WHOLE // 4, 0, 0, WHOLE + WHOLE // 4, 0)
    assert hour(estate, at(60))[0] == WHOLE


def test_a_node_that_is_gone_takes_its_cards_along(estate: Estate) -> None:
    node = Node.objects.get(pk=estate.node.pk)
    with transaction.atomic():
        move(node, NodeState.GONE, by=SYSTEM)
        move(node, NodeState.READY, by=SYSTEM)
    log = CapacityChange.objects.filter(node_id=node.pk).order_by("id")
    assert [c.milli for c in log[2:]] == [0, 0, 1000, 1000]
    gone, back = list(log)[2:4], list(log)[4:6]
    with past_triggers():
        CapacityChange.objects.filter(pk__in=[c.pk for c in gone]).update(at=at(0))
        CapacityChange.objects.filter(pk__in=[c.pk for c in back]).update(at=at(45))
    assert hour(estate) == (WHOLE // 2, 0, 0, WHOLE // 2, 0)


def test_a_card_in_parts_is_its_parts(estate: Estate) -> None:
    card = estate.devices[0]
    Accelerator.objects.create(
        node=estate.node, model=estate.model, index=7, uuid="part", parent=card, memory_mib=1000, step_milli=1000
    )
    log = CapacityChange.objects.filter(at__gt=at(0)).order_by("id").values_list("accelerator_id", "milli")
    assert dict(log)[card.pk] == 0
    assert 1000 in dict(log).values()


def test_a_grant_changes_nothing_in_the_log(estate: Estate) -> None:
    before = CapacityChange.objects.count()
    estate.ended(at(0), at(10), device=0)
    Accelerator.objects.update(health="unhealthy")
    assert CapacityChange.objects.count() == before


def test_the_log_is_append_only(estate: Estate) -> None:
    for act in (lambda: CapacityChange.objects.update(milli=1), lambda: CapacityChange.objects.all().delete()):
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            act()


def test_what_two_claim_on_one_card_counts_once(estate: Estate) -> None:
    """Two proofs overlap: the first site clock was wrong, or somebody lies. Capacity is not more for it."""
    first = estate.ended(at(0), at(30), device=0)
    second = estate.ended(at(20), at(40), device=0)
    granted(first, at(0), at(20))
    granted(second, at(20), at(40))
    meter()
    assert hour(estate) == (2 * WHOLE, 40 * 60_000, 0, 2 * WHOLE - 40 * 60_000, 10 * 60_000)


def test_hours_are_computed_as_they_end_and_again_when_their_usage_changes(estate: Estate) -> None:
    run = estate.running(at(0), at(30), device=0)
    granted(run, at(0))
    meter()
    while capacity.step(now=at(125)):
        pass
    assert [(h.hour, h.work) for h in CapacityHour.objects.order_by("hour")] == [
        (at(-60), 0), (at(0), WHOLE // 2), (at(60), 0)
    ]  # fmt: skip
    computed = list(CapacityHour.objects.order_by("hour").values())
    Allocation.objects.filter(pk=run.pk).update(proof_at=at(70))
    meter()
    assert not capacity.step(now=at(125))
    assert [(h.hour, h.work) for h in CapacityHour.objects.order_by("hour")] == [
        (at(-60), 0), (at(0), WHOLE), (at(60), WHOLE // 6)
    ]  # fmt: skip
    Mark.objects.filter(sweep="capacity").delete()
    capacity.step(now=at(125))
    assert CapacityHour.objects.count() == len(computed)


def test_the_class_of_a_grant_is_what_its_quota_was(db: None) -> None:
    estate = Estate()
    quota = estate.tenant.quotas.get()
    type(quota).objects.filter(pk=quota.pk).update(nominal_milli=1500, borrowing_limit_milli=5000)
    classes = [estate.reserved(1000).pk, estate.reserved(1000).pk]
    type(quota).objects.filter(pk=quota.pk).update(nominal_milli=0, borrowing_limit_milli=9000)
    classes.append(estate.reserved(1000).pk)
    found = dict(Allocation.objects.values_list("pk", "service_class"))
    assert [found[pk] for pk in classes] == ["guaranteed", "over-quota", "best-effort"]
    run = Allocation.objects.get(pk=classes[1])
    with transaction.atomic():
        move(run, A.STARTING, by=SYSTEM)
        move(run, A.ACTIVE, by=SYSTEM, started_at=at(0), proof_at=at(10))
    meter()
    assert UsageRecord.objects.get().service_class == "over-quota"
