"""From allocations to usage records, against real rows."""

from datetime import timedelta
from itertools import pairwise

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import strategies as st

from billing import metering
from billing.models import Mark, UsageRecord
from billing.rating.timeline import hours
from federation.models import Allocation
from federation.states import AllocationState as A
from portal.audit import SYSTEM
from portal.transitions import move
from tests.billing.cases import holds_for
from tests.billing.invoicing import meter
from tests.billing.rows import TEN, Estate, at

pytestmark = pytest.mark.django_db


def pieces(allocation: Allocation) -> list[tuple[float, int]]:
    """Minutes after ten, and seconds, of each record."""
    records = UsageRecord.objects.filter(allocation_id=allocation.pk).order_by("start_at")
    return [((r.start_at - TEN).total_seconds() / 60, r.seconds) for r in records]


def test_a_run_is_cut_at_the_hours_and_counted_by_the_second() -> None:
    estate = Estate()
    run = estate.ended(at(10), at(130, seconds=7), milli=250, device=0)
    meter()
    assert pieces(run) == [(10, 3000), (60, 3600), (120, 607)]
    last = UsageRecord.objects.order_by("-start_at").first()
    assert last is not None
    assert (last.milli_seconds, str(last.quantity)) == (607 * 250, "0.042152778")
    assert (last.workload, last.tenant, last.project) == ("train", estate.tenant.name, "Vision")
    assert (last.flavor, last.unit) == (estate.flavor.name, "device")
    assert (last.site, last.cluster, last.node) == (estate.site.slug, "main", "node-1")


def test_both_edges_are_cut_to_whole_seconds() -> None:
    run = Estate().ended(at(0, milliseconds=900), at(0, seconds=5, milliseconds=100))
    meter()
    assert pieces(run) == [(0, 5)]


def test_what_ran_at_all_costs_a_second() -> None:
    run = Estate().ended(at(0, milliseconds=100), at(0, milliseconds=200))
    meter()
    assert pieces(run) == [(0, 1)]


def test_what_never_ran_is_not_metered() -> None:
    estate = Estate()
    estate.reserved()
    meter()
    assert not UsageRecord.objects.exists()


def test_twice_changes_nothing() -> None:
    estate = Estate()
    estate.ended(at(0), at(90))
    estate.running(at(0), at(90))
    meter()
    before = list(UsageRecord.objects.order_by("id").values())
    meter()
    assert list(UsageRecord.objects.order_by("id").values()) == before
    Mark.objects.all().delete()  # and so it is when everything is read again
    meter()
    assert list(UsageRecord.objects.order_by("id").values()) == before


def test_running_work_is_billed_to_its_last_proof_now_and_then() -> None:
    run = Estate().running(at(0), at(1))
    meter()
    assert pieces(run) == [(0, 60)]
    for proof, expected in [(at(1, seconds=59), [(0, 60)]), (at(2), [(0, 120)]), (at(61), [(0, 3600), (60, 60)])]:
        Allocation.objects.filter(pk=run.pk).update(proof_at=proof)
        meter()
        assert pieces(run) == expected
    move(run, A.STOPPING, by=SYSTEM, ended_at=at(61, seconds=1))
    meter()
    assert pieces(run) == [(0, 3600), (60, 61)]


def test_a_long_run_is_not_written_anew_each_time() -> None:
    run = Estate().running(at(0), at(60 * 100))
    meter()
    Allocation.objects.filter(pk=run.pk).update(proof_at=at(60 * 100 + 5))
    Mark.objects.update(at=at(0) + timedelta(days=3650))  # only what runs is looked at
    first = UsageRecord.objects.order_by("start_at").first()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        metering.step()
    (written,) = [q["sql"] for q in queries if q["sql"].startswith("INSERT") and "usagerecord" in q["sql"]]
    assert written.count("'train'") <= 2
    assert first == UsageRecord.objects.order_by("start_at").first()
    assert sum(seconds for _, seconds in pieces(run)) == (60 * 100 + 5) * 60


def test_lost_work_is_billed_to_its_last_proof_and_on_when_it_is_found_again() -> None:
    run = Estate().running(at(0), at(10, seconds=30))
    meter()
    Allocation.objects.filter(pk=run.pk).update(proof_at=at(10, seconds=45))
    run.refresh_from_db()
    move(run, A.LOST, by=SYSTEM)
    meter()
    assert pieces(run) == [(0, 645)]
    move(run, A.ACTIVE, by=SYSTEM, proof_at=at(30))
    meter()
    assert pieces(run) == [(0, 1800)]


def test_an_end_before_the_last_proof_takes_back_what_is_beyond() -> None:
    run = Estate().running(at(0), at(190))
    meter()
    assert len(pieces(run)) == 4
    move(run, A.STOPPING, by=SYSTEM, ended_at=at(70))
    meter()
    assert pieces(run) == [(0, 3600), (60, 600)]


@pytest.mark.parametrize("start", [-20, 20, 75])
def test_another_beginning_is_metered_from_nothing(start: int) -> None:
    run = Estate().ended(at(10), at(130))
    meter()
    Allocation.objects.filter(pk=run.pk).update(started_at=at(start))
    meter()
    assert sum(seconds for _, seconds in pieces(run)) == (130 - start) * 60
    assert pieces(run)[0][0] == start
    Allocation.objects.filter(pk=run.pk).update(started_at=None)
    meter()
    assert pieces(run) == []


def test_a_change_that_commits_late_is_found_by_the_overlap() -> None:
    estate = Estate()
    run = estate.ended(at(0), at(10))
    Mark.objects.create(sweep="usage", at=run.state_since + timedelta(seconds=100))
    meter()
    assert pieces(run) == [(0, 600)]


def test_work_is_done_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metering, "STEP", 3)
    estate = Estate()
    runs = [estate.ended(at(0), at(n + 1)) for n in range(7)]
    assert [metering.step() for _ in range(3)] == [True, True, False]
    assert [pieces(run) for run in runs] == [[(0, (n + 1) * 60)] for n in range(7)]
    assert not metering.step()


def test_a_step_writes_so_many_records_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metering, "STEP_RECORDS", 5)
    estate = Estate()
    runs = [estate.ended(at(0), at(180)) for _ in range(5)]
    assert [metering.step() for _ in range(3)] == [True, True, False]
    assert [pieces(run) for run in runs] == [[(0, 3600), (60, 3600), (120, 3600)]] * 5


def test_a_step_takes_few_queries_however_many_allocations() -> None:
    estate = Estate()
    for n in range(30):
        estate.ended(at(0), at(n + 100))
    with CaptureQueriesContext(connection) as queries:
        metering.step()
    assert len(queries) <= 14
    assert UsageRecord.objects.count() == 30 * 2 + 9  # nine reach into a third hour


@holds_for(st.integers(0, 10**6), st.integers(1, 10**6))
def test_hours_leave_no_gap_and_no_overlap(start: int, seconds: int) -> None:
    begin, end = TEN + timedelta(seconds=start), TEN + timedelta(seconds=start + seconds)
    found = list(hours(begin, end))
    assert found[0][0] == begin
    assert found[-1][1] == end
    assert all(a[1] == b[0] and b[0].minute == b[0].second == 0 for a, b in pairwise(found))
    assert all(timedelta(0) < b - a <= timedelta(hours=1) for a, b in found)
