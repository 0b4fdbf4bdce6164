"""What work drew is summed from live figures, once, hour by hour."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from federation.drivers.base import UsageSample
from federation.models import Accelerator, Allocation, EnergyHour, Share
from federation.reconcile import figures
from federation.states import AllocationState as A
from portal.audit import SYSTEM
from portal.transitions import move
from tests.billing.rows import Estate

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 10, 12, 0, tzinfo=UTC)


@transaction.atomic
def run(estate: Estate, *shares: tuple[int, int], since: int = -600) -> Allocation:
    """Work that holds so many thousandths of these cards, and began so many seconds after noon."""
    start = NOON + timedelta(seconds=since)
    allocation = estate.reserved(sum(milli for _, milli in shares))
    for card, milli in shares:
        device = Accelerator.objects.get(pk=estate.devices[card].pk)
        memory = device.memory_mib * milli // 1000
        Share.objects.create(allocation=allocation, accelerator=device, milli=milli, memory_mib=memory)
    move(allocation, A.STARTING, by=SYSTEM)
    move(allocation, A.ACTIVE, by=SYSTEM, started_at=start, proof_at=start)
    return allocation


def look(estate: Estate, seconds: int, *watts: float | None, whole: dict[str, float] | None = None) -> None:
    at = NOON + timedelta(seconds=seconds)
    samples = [UsageSample(at, uuid=d.uuid, power_watts=w) for d, w in zip(estate.devices, watts, strict=False)]
    samples += [UsageSample(at, ref=ref, power_watts=w) for ref, w in (whole or {}).items()]
    figures.store(estate.cluster, samples)


def sums(allocation: Allocation) -> list[tuple[int, int, int]]:
    """(hours after noon, joules, seconds) of each hour."""
    rows = EnergyHour.objects.filter(allocation_id=allocation.pk).order_by("hour")
    return [((r.hour - NOON) // timedelta(hours=1), r.millijoules // 1000, r.milliseconds // 1000) for r in rows]


def test_a_step_is_the_mean_of_two_figures_and_is_cut_at_the_hour() -> None:
    estate = Estate(devices=1)
    work = run(estate, (0, 1000))
    look(estate, -60, 100)
    look(estate, -30, 300)
    look(estate, 30, 500)
    assert sums(work) == [(-1, 30 * 200 + 30 * 400, 60), (0, 30 * 400, 30)]


def test_figures_that_come_twice_late_or_too_soon_add_nothing() -> None:
    estate = Estate(devices=1)
    work = run(estate, (0, 1000))
    for seconds in (10, 70, 70, 40, 75, 10):
        look(estate, seconds, 200)
    assert sums(work) == [(0, 60 * 200, 60)]


def test_over_a_long_silence_nothing_is_known() -> None:
    estate = Estate(devices=1)
    work = run(estate, (0, 1000))
    for seconds in (0, 60, 600, 660):
        look(estate, seconds, 200)
    assert sums(work) == [(0, 120 * 200, 120)]


def test_a_share_draws_its_part_and_cards_add_up() -> None:
    estate = Estate(devices=3)
    large, small = run(estate, (0, 1000), (1, 750)), run(estate, (1, 250))
    for seconds in (0, 60):
        look(estate, seconds, 300, 400, 999)
    assert sums(large) == [(0, 60 * (300 + 300), 60)]
    assert sums(small) == [(0, 60 * 100, 60)]


def test_work_of_which_one_card_is_silent_is_not_measured() -> None:
    estate = Estate(devices=2)
    work = run(estate, (0, 1000), (1, 1000))
    for seconds in (0, 60):
        look(estate, seconds, 300, None)
    assert sums(work) == []


def test_what_a_whole_lease_draws_goes_before_what_its_cards_do() -> None:
    estate = Estate(devices=1)
    work = run(estate, (0, 1000))
    for seconds in (0, 60):
        look(estate, seconds, 300, whole={str(work.pk): 1000, "not-ours": 7})
    assert sums(work) == [(0, 60 * 1000, 60)]


def test_a_step_begins_with_the_work() -> None:
    estate = Estate(devices=1)
    work = run(estate, (0, 1000), since=0)
    look(estate, -30, 200)  # as a clock that is behind would have it
    look(estate, 30, 200)
    assert sums(work)[-1] == (0, 30 * 200, 30)


def test_a_part_of_a_card_draws_as_much_of_it_as_it_has_memory() -> None:
    estate = Estate(devices=2)
    part, card = estate.devices[1], estate.devices[0]
    Accelerator.objects.filter(pk=part.pk).update(parent=card, memory_mib=card.memory_mib // 8)
    work = run(estate, (1, 1000))
    for seconds in (0, 60):
        look(estate, seconds, 400, None)
    assert sums(work) == [(0, 60 * 50, 60)]


def test_much_work_takes_as_many_queries_as_little() -> None:
    estate = Estate(devices=4)
    counts = []
    for n in range(4):
        run(estate, (n, 1000))
        with CaptureQueriesContext(connection) as queries:
            look(estate, 60 * n, 1, 2, 3, 4)
        counts.append(len(queries))
    assert len(set(counts)) == 1
