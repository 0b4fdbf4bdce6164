"""The simulated site beyond what every driver promises: its knobs, its clock, its nodes, its figures."""

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from federation.drivers.base import DriverConfig, Rejected, Unavailable, WorkloadSpec
from federation.drivers.base import ObservedState as O
from federation.drivers.fake import FakeDriver, World, store_of
from federation.drivers.fake_knobs import FLAVOURS, flavour_of
from federation.drivers.fake_store import FORGET_SECONDS, MemoryStore, get_control, set_control
from tests.contracts.fake import FakeHarness
from tests.contracts.harness import NODE, spec, uuid_of

AT = datetime(2027, 1, 15, 12, tzinfo=UTC)
FLEET = {"accelerators": 64}


def make(kind: str = "kubernetes", **settings: Any) -> FakeHarness:
    return FakeHarness(kind, MemoryStore(), **settings)


def free(ref: str, **changes: Any) -> WorkloadSpec:
    """Work without a device, so that there is room for any number of it."""
    return replace(spec(ref, **changes), devices=())


def running(site: FakeHarness, wanted: WorkloadSpec) -> FakeHarness:
    site.until(lambda: site.driver().ensure(wanted), O.RUNNING)
    return site


# -- flavours and seeds ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FLAVOURS)
def test_each_kind_shows_a_version_of_its_own(kind: str) -> None:
    assert make(kind).driver().check().version in FLAVOURS[kind].versions


def test_a_virtual_machine_takes_longer_to_start_than_a_container() -> None:
    delays = {}
    for kind in ("docker", "kubernetes", "kvm", "openstack"):
        site = make(kind)
        site.driver().ensure(spec())
        delays[kind] = site.store.look(["work-1"]).work["work-1"].starts_at - site.now
    assert delays["docker"] < delays["kubernetes"] < delays["kvm"] < delays["openstack"]


def course(site: FakeHarness) -> list[object]:
    refs = [f"w{i}" for i in range(40)]
    for ref in refs:
        try:
            site.driver().ensure(free(ref, run_seconds=100.0))
        except (Rejected, Unavailable):
            continue
    site.advance(50)
    return [site.driver().observe(ref) for ref in refs]


def test_the_same_seed_brings_the_same_course_and_another_one_another() -> None:
    rates: dict[str, Any] = {"fail_rate": 0.5, "reject_rate": 0.2, "start_seconds": 20.0}
    first = course(make(seed=1, **rates))
    assert course(make(seed=1, **rates)) == first
    assert course(make(seed=2, **rates)) != first


def test_two_sites_without_a_seed_do_not_show_the_same_cards() -> None:
    cards = []
    for name in ("one", "two"):
        driver = FakeDriver(DriverConfig(name, "kubernetes", 1, FLEET, port=World(MemoryStore())))
        cards.append({device.uuid for node in driver.inventory() for device in node.devices})
    assert not cards[0] & cards[1]


# -- faults ---------------------------------------------------------------------------------------


def outcomes(site: FakeHarness, call: Callable[[str], object], times: int = 400) -> list[bool]:
    """True where the site did not answer."""
    lost = []
    for i in range(times):
        try:
            call(f"w{i % 20}")
            lost.append(False)
        except Unavailable:
            lost.append(True)
    return lost


def test_errors_come_at_their_rate_and_in_the_same_order_for_the_same_seed() -> None:
    site = make(error_rate=0.25)
    first = outcomes(site, site.driver().observe)
    assert 60 <= sum(first) <= 140
    other = make(error_rate=0.25)
    assert outcomes(other, other.driver().observe) == first
    assert outcomes(site, site.driver().observe) != first  # it goes on, it does not begin again


def test_an_error_leaves_nothing_behind_and_a_lost_answer_does() -> None:
    site = make(error_rate=1.0)
    with pytest.raises(Unavailable):
        site.driver().ensure(spec())
    assert site.objects() == []
    set_control(site.store, error_rate=0.0, lost_answer_rate=1.0)
    with pytest.raises(Unavailable):
        site.driver().ensure(spec())
    assert site.objects() == ["work-1"]


def test_work_is_refused_at_its_rate_and_always_the_same_work() -> None:
    site = make(kind="slurm", reject_rate=0.3)
    refused = set()
    for i in range(200):
        try:
            site.driver().ensure(free(f"w{i}"))
        except Rejected as error:
            assert (error.reason, error.message) == flavour_of("slurm").refusal
            refused.add(f"w{i}")
    assert 35 <= len(refused) <= 85
    site.advance(60)
    for ref in refused:
        with pytest.raises(Rejected):
            site.driver().ensure(free(ref))


def test_work_fails_at_its_rate_with_the_reasons_of_its_kind() -> None:
    site = make(kind="openstack", fail_rate=0.4)
    for i in range(200):
        site.driver().ensure(free(f"w{i}", run_seconds=100.0))
    site.advance(3600)
    seen = [site.driver().observe(f"w{i}") for i in range(200)]
    failed = [s for s in seen if s.state == O.FAILED]
    assert 50 <= len(failed) <= 110
    assert {s.reason for s in failed} == {failure.reason for failure in flavour_of("openstack").failures}
    assert all(s.exit_code and s.message and s.ran_seconds is not None and s.ran_seconds < 100 for s in failed)
    assert all(s.exit_code == 0 and s.ran_seconds == 100 for s in seen if s.state == O.SUCCEEDED)


def test_work_that_never_ends_by_itself_fails_as_well() -> None:
    site = running(make(fail_rate=1.0), spec())
    site.advance(601)
    assert site.driver().observe("work-1").state == O.FAILED


def test_work_is_ended_at_its_time_limit() -> None:
    site = running(make(), spec(run_seconds=100.0, max_seconds=60))
    site.advance(200)
    seen = site.driver().observe("work-1")
    assert (seen.state, seen.reason, seen.exit_code, seen.ran_seconds) == (O.FAILED, "TimeLimit", 124, 60)


def test_work_that_ends_just_at_its_time_limit_has_succeeded() -> None:
    site = running(make(), spec(run_seconds=60.0, max_seconds=60))
    site.advance(200)
    assert site.driver().observe("work-1").state == O.SUCCEEDED


def test_a_grant_never_changes() -> None:
    site = running(make(), spec())
    for other in (spec(card=1, generation=2), spec(milli=500, generation=2), spec(node="node-2", generation=2)):
        with pytest.raises(Rejected, match="GrantChanged"):
            site.driver().ensure(other)
    assert site.driver().ensure(spec(generation=2)).generation == 2


def test_only_devices_and_nodes_of_the_site_are_granted() -> None:
    for wanted, reason in (
        (spec(node="node-2"), "NodeGone"),
        (spec(card=4), "DeviceGone"),
        (replace(spec(), devices=(replace(spec().devices[0], uuid=uuid_of(1)),)), "DeviceGone"),
    ):
        site = make()
        with pytest.raises(Rejected) as refused:
            site.driver(5).ensure(replace(wanted, epoch=5))
        assert refused.value.reason == reason
        assert site.store.look([wanted.ref]) == MemoryStore().look([])  # no trace of it, not even of its epoch


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (spec(milli=0), "BadGrant"),
        (spec(milli=-500), "BadGrant"),
        (spec(milli=1001), "BadGrant"),
        (spec(run_seconds=math.inf), "BadSpec"),
        (spec(run_seconds=math.nan), "BadSpec"),
    ],
    ids=["nothing", "less", "more", "endless", "no-number"],
)
def test_what_makes_no_sense_is_refused(wanted: WorkloadSpec, reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        make().driver().ensure(wanted)


# -- the clock ------------------------------------------------------------------------------------


def test_a_faster_clock_runs_everything_faster() -> None:
    site = running(make(time_scale=60.0, start_seconds=60.0, stop_seconds=120.0), spec(run_seconds=3600.0))
    before = site.driver().observe("work-1").ran_seconds
    site.advance(10)
    after = site.driver().observe("work-1").ran_seconds
    assert before is not None and after == pytest.approx(before + 600, abs=0.01)
    site.advance(50)
    assert site.driver().observe("work-1").ran_seconds == 3600
    site.driver().remove("work-1")
    site.advance(1.9)
    assert site.driver().remove("work-1").state == O.STOPPING
    site.advance(0.2)
    assert site.driver().remove("work-1").state == O.ABSENT


def test_turning_the_clock_does_not_change_the_past_of_running_work() -> None:
    site = running(make(), spec())
    site.advance(100)
    before = site.driver().observe("work-1")
    set_control(site.store, time_scale=1000.0)
    assert site.driver().observe("work-1") == before


def test_the_time_of_removed_work_stands_still() -> None:
    site = running(make(stop_seconds=30.0), spec(run_seconds=20.0))
    site.advance(5)
    ran = site.driver().remove("work-1").ran_seconds
    site.advance(25)
    assert ran is not None
    assert site.driver().observe("work-1").ran_seconds == ran
    assert site.driver().logs("work-1").is_complete
    assert "exit code" not in site.driver().logs("work-1").text


def test_tombstones_are_forgotten_after_a_week() -> None:
    site = make()
    site.driver().remove("old")
    site.advance(FORGET_SECONDS - 60)
    site.driver().remove("newer")
    assert set(site.store.look(["old", "newer"]).work) == {"old", "newer"}
    site.advance(120)
    site.driver().remove("newest")
    assert set(site.store.look(["old", "newer"]).work) == {"newer"}


# -- missing nodes --------------------------------------------------------------------------------


def test_work_on_a_missing_node_is_neither_gone_nor_proven_alive_and_is_found_again() -> None:
    site = running(make(), spec())
    ran = site.driver().observe("work-1").ran_seconds
    set_control(site.store, missing_nodes={NODE})
    assert list(site.driver().inventory()) == []
    seen = site.driver().observe("work-1")
    assert (seen.state, seen.reason, seen.ran_seconds) == (O.BROKEN, "NodeMissing", None)
    assert list(site.driver().observe_many(["work-1"])) == [seen]
    assert list(site.driver().refs()) == ["work-1"]
    assert list(site.driver().usage(AT, AT)) == []
    with pytest.raises(Unavailable):
        site.driver().logs("work-1")
    with pytest.raises(Rejected, match="NodeGone"):
        site.driver().ensure(spec("work-2", card=1))
    site.advance(3600)
    set_control(site.store, missing_nodes=None)
    assert [node.name for node in site.driver().inventory()] == [NODE]
    seen = site.driver().observe("work-1")
    assert seen.state == O.RUNNING
    assert ran is not None and seen.ran_seconds == pytest.approx(ran + 3600)


def test_work_removed_on_a_missing_node_is_held_until_the_node_shows_its_end() -> None:
    site = running(make(), spec())
    set_control(site.store, missing_nodes=[NODE])
    for _ in range(3):
        seen = site.driver().remove("work-1")
        assert (seen.state, seen.reason) == (O.STOPPING, "NodeMissing")
        site.advance(600)
    with pytest.raises(Rejected, match="OldGeneration"):
        site.driver().ensure(spec())
    set_control(site.store, missing_nodes=None)
    assert site.driver().observe("work-1").state == O.STOPPING
    with pytest.raises(Rejected, match="DeviceBusy"):
        site.driver().ensure(spec("work-2"))
    site.until(lambda: site.driver().remove("work-1"), O.ABSENT)
    site.driver().ensure(spec("work-2"))


# -- control --------------------------------------------------------------------------------------


def test_control_overrides_settings_while_the_site_lives_and_can_be_taken_back() -> None:
    site = make(degraded="As it was set up.")
    set_control(site.store, degraded="The network is slow.", fail_rate=0.5)
    assert get_control(site.store) == {"degraded": "The network is slow.", "fail_rate": 0.5}
    info = site.driver().check()
    assert (info.message, info.is_degraded) == ("The network is slow.", True)
    set_control(site.store, degraded=None)
    assert get_control(site.store) == {"fail_rate": 0.5}
    assert site.driver().check().message == "As it was set up."


def test_a_control_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match="eror_rate"):
        set_control(MemoryStore(), eror_rate=1.0)


def test_the_epoch_of_a_look_fences_what_is_older() -> None:
    site = make()
    site.driver(3).check()
    with pytest.raises(Rejected, match="OldGeneration"):
        site.driver(2).ensure(spec(epoch=2))
    site.driver(4).remove("nobody")
    with pytest.raises(Rejected, match="OldGeneration"):
        site.driver(3).ensure(spec(epoch=3))


def test_without_an_address_the_site_lives_in_this_process() -> None:
    settings = {"seed": 1, **FLEET}
    one, same, other = (DriverConfig(name, "kvm", 1, settings) for name in ("a-1", "a-1", "a-2"))
    assert store_of(one) is store_of(same)
    assert store_of(one) is not store_of(other)
