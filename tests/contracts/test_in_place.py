"""What drivers promise that can let running work stand still, start it anew in place, or show its screen."""

from collections.abc import Callable
from typing import Any

import pytest

from federation.drivers.abilities import Power, PowerControl, Restartable, Screen, ScreenAccess, Suspendable
from federation.drivers.base import Observation, Rejected, Unavailable
from federation.drivers.base import ObservedState as O
from tests.contracts.harness import NODE, Harness, spec
from tests.contracts.test_drivers import end, refusal, start


def able(site: Harness, ability: Any) -> Any:
    driver = site.driver()
    if not site.has_containers or not isinstance(driver, ability):
        pytest.skip(f"has no {ability.__name__} here")
    return driver


def settled(site: Harness, look: Callable[[], Observation], reason: str) -> Observation:
    """It runs, and stands still or not, within the time that a site may take."""
    for _ in range(site.steps):
        seen = look()
        if (seen.state, seen.reason) == (O.RUNNING, reason):
            return seen
        site.advance(1)
    raise AssertionError(f"{seen} and never {reason or 'going on'}")


def test_work_stands_still_and_goes_on_and_holds_what_it_holds(site: Harness) -> None:
    able(site, Suspendable)
    start(site, spec())
    for _ in range(2):  # twice is once
        site.driver().suspend("work-1")
    still = settled(site, lambda: site.driver().observe("work-1"), "Suspended")
    site.advance(5)
    later = site.driver().observe("work-1")
    assert later.reason == "Suspended"
    assert (later.ran_seconds or 0) > (still.ran_seconds or 0), "it holds its devices, and that counts"
    assert refusal(site, spec("work-2")) == "DeviceBusy"
    for _ in range(2):
        site.driver().resume("work-1")
    settled(site, lambda: site.driver().observe("work-1"), "")


def test_what_stands_still_is_removed_like_any_other(site: Harness) -> None:
    able(site, Suspendable)
    start(site, spec())
    site.driver().suspend("work-1")
    assert end(site, "work-1").state == O.ABSENT
    assert site.objects() == []


@pytest.mark.parametrize("is_hard", [False, True])
def test_work_is_started_anew_in_place(site: Harness, is_hard: bool) -> None:
    driver = able(site, Restartable)
    start(site, spec())
    driver.restart("work-1", is_hard=is_hard)
    settled(site, lambda: site.driver().observe("work-1"), "")
    assert site.objects() == ["work-1"]


def test_only_what_runs_is_told_anything(site: Harness) -> None:
    calls: list[Callable[[], object]] = []
    driver = site.driver()
    if site.has_containers and isinstance(driver, Suspendable):
        calls += [lambda: driver.suspend("nobody"), lambda: driver.resume("nobody")]
    if site.has_containers and isinstance(driver, Restartable):
        calls += [lambda: driver.restart("nobody")]
    if not calls:
        pytest.skip("can do nothing in place")
    for call in calls:
        with pytest.raises(Rejected):
            call()
    site.break_site()
    for call in calls:
        with pytest.raises(Unavailable):
            call()


def test_a_screen_is_told_or_there_is_none(site: Harness) -> None:
    driver = able(site, ScreenAccess)
    start(site, spec())
    found = driver.screen("work-1")
    assert found is None or (isinstance(found, Screen) and found.port > 0 and found.kind in ("vnc", "spice"))
    with pytest.raises(Rejected):
        driver.screen("nobody")


def test_a_node_is_switched_on_and_off(site: Harness) -> None:
    driver = site.driver()
    if not isinstance(driver, PowerControl):
        pytest.skip("switches nothing")
    for wish in (Power.ON, Power.ON, Power.OFF):  # twice is once
        driver.set_power(NODE, wish)
        for _ in range(site.steps):
            if driver.power(NODE) == wish:
                break
            site.advance(1)
        assert driver.power(NODE) == wish
    with pytest.raises((Rejected, Unavailable)):
        driver.set_power("nobody", Power.OFF)
    site.break_site()
    with pytest.raises(Unavailable):
        driver.set_power(NODE, Power.OFF)
