"""What every driver promises, one case each. Sites differ in how long they take, so the cases wait by `site.until`."""

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from federation.drivers.abilities import BulkObserver, LogReader, WorkLister
from federation.drivers.base import (
    CALL_TIMEOUT_SECONDS,
    Observation,
    Rejected,
    SiteDriver,
    Unavailable,
    WorkloadSpec,
)  # fmt: skip
from federation.drivers.base import ObservedState as O
from tests.contracts.harness import CARDS, NODE, Harness, spec, uuid_of

AT = datetime(2027, 1, 15, 12, tzinfo=UTC)
HELD = (O.STARTING, O.RUNNING)
ENDED = (O.SUCCEEDED, O.FAILED)


def start(site: Harness, wanted: WorkloadSpec) -> Observation:
    return site.until(lambda: site.driver(wanted.epoch).ensure(wanted), O.RUNNING, *ENDED)


def end(site: Harness, ref: str) -> Observation:
    return site.until(lambda: site.driver().remove(ref), O.ABSENT)


def refusal(site: Harness, wanted: WorkloadSpec) -> str:
    """The reason for which the site will not have this. A site that is told by mail refuses a little later."""
    with pytest.raises(Rejected) as refused:
        site.until(lambda: site.driver(wanted.epoch).ensure(wanted), *HELD, *ENDED, O.BROKEN)
    return refused.value.reason


def calls(driver: SiteDriver, wanted: WorkloadSpec) -> list[Callable[[], object]]:
    known: list[Callable[[], object]] = [
        driver.check,
        lambda: list(driver.inventory()),
        lambda: driver.ensure(wanted),
        lambda: driver.observe(wanted.ref),
        lambda: driver.remove(wanted.ref),
        lambda: list(driver.usage(AT - timedelta(seconds=2), AT)),
    ]
    if isinstance(driver, BulkObserver):
        known.append(lambda: driver.observe_many([wanted.ref]))
    if isinstance(driver, WorkLister):
        known.append(lambda: list(driver.refs()))
    return known


def test_a_site_that_answers_names_its_version(site: Harness) -> None:
    info = site.driver().check()
    assert info.version
    assert not info.is_degraded


def test_the_inventory_is_complete_and_stays_the_same(site: Harness) -> None:
    (node,) = site.driver().inventory()
    if not site.shows_hardware:
        assert (node.name, node.is_ready, node.devices) == (NODE, True, ())
        pytest.skip("needs cards, which this controller does not have: tests/baremetal/test_recorded.py has real ones")
    assert (node.name, node.cpu_milli, node.memory_mib, node.is_ready) == (NODE, 64_000, 524_288, True)
    assert [(d.index, d.uuid, d.vendor) for d in node.devices] == [(i, uuid_of(i), "nvidia") for i in range(CARDS)]
    start(site, spec())
    site.advance(3600)
    assert list(site.driver().inventory()) == [node]


def test_ensure_twice_is_one_object(site: Harness) -> None:
    for _ in range(2):
        assert site.driver().ensure(spec()).state in (O.PENDING, *HELD)
    seen = start(site, spec())
    assert (seen.ref, seen.generation, seen.epoch) == ("work-1", 1, 1)
    again = site.driver().ensure(spec())
    assert again.state == O.RUNNING
    assert site.objects() == ["work-1"]


def test_work_begins_runs_and_its_time_is_counted(site: Harness) -> None:
    before = start(site, spec())
    site.advance(60)
    after = site.driver().observe("work-1")
    assert after.state == O.RUNNING
    assert after.exit_code is None
    assert before.ran_seconds is not None
    assert after.ran_seconds == pytest.approx(before.ran_seconds + 60, abs=1.5)


def test_held_work_is_taken_on_and_runs_only_when_told_again(site: Harness) -> None:
    if not site.driver().can_hold:
        pytest.skip("this kind of site starts the members of a gang as they come")
    held = spec(hold=True, run_seconds=30.0)
    site.until(lambda: site.driver().ensure(held), *HELD)
    site.advance(600)
    seen = site.driver().observe("work-1")
    assert (seen.state, seen.ran_seconds) == (O.STARTING, None)
    assert site.driver().ensure(held).state == O.STARTING
    assert site.objects() == ["work-1"]
    assert refusal(site, spec("work-2")) == "DeviceBusy", "it has its device"
    freed = start(site, replace(held, hold=False))
    assert (freed.state, freed.generation) == (O.RUNNING, 1)
    assert site.driver().ensure(held).state == O.RUNNING, "a late word to hold does not stop it"
    site.advance(60)
    assert site.driver().observe("work-1").ran_seconds == 30.0


def test_held_work_can_be_removed(site: Harness) -> None:
    if not site.driver().can_hold:
        pytest.skip("this kind of site starts the members of a gang as they come")
    site.until(lambda: site.driver().ensure(spec(hold=True)), *HELD)
    end(site, "work-1")
    assert refusal(site, spec()) == "OldGeneration"
    assert site.objects() == []


def test_while_the_clock_stands_still_nothing_moves(site: Harness) -> None:
    start(site, spec())
    seen = [site.driver().observe("work-1") for _ in range(3)]
    assert seen[0] == seen[1] == seen[2]


def test_unknown_work_is_absent(site: Harness) -> None:
    assert site.driver().observe("nobody") == Observation("nobody", O.ABSENT)


def test_removing_unknown_work_ends_in_absent(site: Harness) -> None:
    assert end(site, "nobody").state == O.ABSENT
    assert site.driver().observe("nobody").state == O.ABSENT


def test_remove_twice_is_absent_twice(site: Harness) -> None:
    start(site, spec())
    assert site.driver().remove("work-1").state == O.STOPPING
    assert site.driver().remove("work-1").state == O.STOPPING
    assert site.objects() == ["work-1"]
    end(site, "work-1")
    assert site.driver().remove("work-1").state == O.ABSENT
    assert site.driver().observe("work-1").state == O.ABSENT
    assert site.objects() == []


def test_work_can_be_removed_while_it_starts(site: Harness) -> None:
    site.until(lambda: site.driver().ensure(spec()), *HELD)
    end(site, "work-1")
    site.advance(60)
    assert site.driver().observe("work-1").state == O.ABSENT
    assert site.objects() == []


def test_a_removed_ref_is_never_taken_again(site: Harness) -> None:
    start(site, spec())
    end(site, "work-1")
    assert refusal(site, spec()) == "OldGeneration"
    assert refusal(site, spec(generation=2)) == "OldGeneration"
    assert site.objects() == []


def test_a_late_ensure_after_a_removal_makes_no_orphan(site: Harness) -> None:
    """A worker froze before its call; the hub took the grant back; the worker wakes."""
    end(site, "work-1")
    assert refusal(site, spec()) == "OldGeneration"
    site.advance(60)
    assert site.objects() == []


def test_an_older_generation_is_refused(site: Harness) -> None:
    start(site, spec(generation=3))
    assert refusal(site, spec(generation=2)) == "OldGeneration"
    assert site.driver().observe("work-1").generation == 3


def test_an_older_epoch_is_refused_for_known_work(site: Harness) -> None:
    start(site, spec(epoch=2))
    assert refusal(site, spec(epoch=1)) == "OldGeneration"
    assert site.driver(2).observe("work-1").epoch == 2


def test_an_older_epoch_than_the_site_has_seen_is_refused_for_new_work(site: Harness) -> None:
    start(site, spec(epoch=2))
    assert refusal(site, spec("work-2", card=1, epoch=1)) == "OldGeneration"
    assert site.objects() == ["work-1"]


def test_a_dead_site_is_unavailable_for_every_call(site: Harness) -> None:
    start(site, spec())
    site.break_site()
    for call in calls(site.driver(), spec()):
        with pytest.raises(Unavailable):
            call()
    site.heal_site()
    site.driver().check()
    assert site.driver().observe("work-1").state != O.BROKEN


def test_work_goes_on_while_the_site_does_not_answer(site: Harness) -> None:
    before = start(site, spec()).ran_seconds
    site.break_site()
    site.advance(60)
    site.heal_site()
    seen = site.driver().observe("work-1")
    assert seen.state == O.RUNNING
    assert before is not None and seen.ran_seconds is not None
    assert seen.ran_seconds > before + 55


def test_a_slow_site_answers_or_is_unavailable_but_never_keeps_a_worker(site: Harness) -> None:
    start(site, spec())
    site.slow_site(CALL_TIMEOUT_SECONDS / 2)
    began = time.monotonic()
    for call in calls(site.driver(), spec()):
        call()
    site.slow_site(CALL_TIMEOUT_SECONDS * 3)
    for call in calls(site.driver(), spec("work-2", card=1)):
        with pytest.raises(Unavailable):
            call()
    assert time.monotonic() - began < CALL_TIMEOUT_SECONDS


def test_after_a_lost_answer_ensure_adopts(site: Harness) -> None:
    site.lose_answers()
    with pytest.raises(Unavailable):
        site.driver().ensure(spec())
    site.heal_site()
    site.advance(1)
    assert site.objects() == ["work-1"]
    start(site, spec())
    assert site.objects() == ["work-1"]


def test_after_a_lost_answer_remove_goes_on(site: Harness) -> None:
    start(site, spec())
    site.lose_answers()
    with pytest.raises(Unavailable):
        site.driver().remove("work-1")
    site.heal_site()
    site.advance(1)
    assert site.driver().observe("work-1").state in (O.STOPPING, O.ABSENT)
    end(site, "work-1")
    assert site.objects() == []


def test_ended_work_keeps_its_exit_code_and_its_time(site: Harness) -> None:
    start(site, spec(run_seconds=30.0))
    site.advance(60)
    seen = site.driver().observe("work-1")
    assert (seen.state, seen.exit_code, seen.ran_seconds) == (O.SUCCEEDED, 0, 30.0)
    site.advance(3600)
    assert site.driver().observe("work-1") == seen
    assert site.driver().ensure(spec(run_seconds=30.0)) == seen
    end(site, "work-1")


def test_a_device_is_not_granted_twice(site: Harness) -> None:
    start(site, spec())
    assert refusal(site, spec("work-2")) == "DeviceBusy"
    start(site, spec("work-3", card=1))
    assert site.objects() == ["work-1", "work-3"]


def test_a_device_is_shared_up_to_the_whole_of_it(site: Harness) -> None:
    if not site.shares:
        assert refusal(site, spec("a", milli=600)) == "WholeDevicesOnly"
        return
    if not site.shares_devices:
        pytest.skip("this kind of site hands out whole servers")
    start(site, spec("a", milli=600))
    start(site, spec("b", milli=400))
    assert refusal(site, spec("c", milli=1)) == "DeviceBusy"


def test_ended_work_holds_its_device_until_it_is_removed(site: Harness) -> None:
    start(site, spec(run_seconds=1.0))
    site.advance(60)
    assert refusal(site, spec("work-2")) == "DeviceBusy"
    end(site, "work-1")
    end(site, "work-2")
    start(site, spec("work-3"))


def test_a_device_is_held_while_its_work_stops(site: Harness) -> None:
    start(site, spec())
    assert site.driver().remove("work-1").state == O.STOPPING
    assert refusal(site, spec("work-2")) == "DeviceBusy"


def test_many_looks_in_one_agree_with_single_ones(site: Harness) -> None:
    driver = site.driver()
    if not isinstance(driver, BulkObserver):
        pytest.skip("looks at one piece of work at a time")
    start(site, spec("runs"))
    start(site, spec("ended", card=1, run_seconds=1.0))
    start(site, spec("stops", card=2))
    start(site, spec("gone", card=3))
    end(site, "gone")
    site.driver().remove("stops")
    site.tick()
    refs = ["runs", "ended", "stops", "gone", "nobody"]
    many = {seen.ref: seen for seen in driver.observe_many(refs)}
    for ref in refs:
        assert many.get(ref, Observation(ref, O.ABSENT)) == driver.observe(ref)
    assert [many[ref].state for ref in refs[:3]] == [O.RUNNING, O.SUCCEEDED, O.STOPPING]


def test_all_work_at_the_site_can_be_named(site: Harness) -> None:
    driver = site.driver()
    if not isinstance(driver, WorkLister):
        pytest.skip("its agent reports all it holds")
    start(site, spec("a"))
    start(site, spec("b", card=1, run_seconds=1.0))
    start(site, spec("c", card=2))
    end(site, "c")
    end(site, "never-was")
    assert sorted(driver.refs()) == ["a", "b"] == site.objects()


def test_a_log_is_the_same_in_whatever_parts_it_is_read(site: Harness) -> None:
    driver = site.driver()
    if not isinstance(driver, LogReader):
        pytest.skip("keeps no logs")
    start(site, spec(run_seconds=30.0))
    site.advance(5)
    early = driver.logs("work-1")
    assert early.text and not early.is_complete
    site.advance(60)
    whole = driver.logs("work-1")
    assert whole.is_complete
    assert whole.text.startswith(early.text)
    rest = driver.logs("work-1", early.next_offset)
    assert early.text + rest.text == whole.text
    assert rest.next_offset == whole.next_offset == len(whole.text.encode())
    end = driver.logs("work-1", whole.next_offset)
    assert (end.text, end.next_offset, end.is_complete) == ("", whole.next_offset, True)
    text, offset = "", 0
    while offset < whole.next_offset:
        part = driver.logs("work-1", offset, limit=50)
        assert part.next_offset > offset
        text, offset = text + part.text, part.next_offset
        assert part.is_complete == (offset == whole.next_offset)
    assert text == whole.text


STRANGE = [
    spec(""),
    spec("'; DROP TABLE work; --"),
    spec("nul \0 byte"),
    spec("参考" * 200),
    spec(generation=-1),
    spec(epoch=-1),
    spec(epoch=2**40, generation=2**40),
    spec(run_seconds=-5.0),
    spec(run_seconds=math.inf),
    spec(run_seconds=math.nan),
    spec(max_seconds=-1),
    spec(milli=0),
    spec(milli=-1000),
    spec(milli=10**9),
    spec(node="no such node"),
    replace(spec(), devices=()),
]


@pytest.mark.parametrize("strange", STRANGE, ids=lambda s: f"{s.ref[:12]!a}-{STRANGE.index(s)}")
def test_whatever_is_asked_only_the_two_errors_come_back(site: Harness, strange: WorkloadSpec) -> None:
    driver = site.driver()
    for _ in range(2):
        with suppress(Unavailable, Rejected):
            assert driver.ensure(strange).ref == strange.ref
        with suppress(Unavailable, Rejected):
            assert driver.observe(strange.ref).ref == strange.ref
        site.advance(5)
    with suppress(Unavailable, Rejected):
        assert driver.remove(strange.ref).state in (O.ABSENT, O.STOPPING)
    start(site, replace(spec("sane", card=1), epoch=max(strange.epoch, 1)))
