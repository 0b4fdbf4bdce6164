"""What people do with running work in place: let it stand still and go on, start it anew, see its screen.

The hardware stays held all the while. The site is asked at once, by whoever calls; nothing is wished for later, so a
site that does not answer changes nothing.
"""

from collections.abc import Callable
from typing import TypeVar

from federation.drivers.abilities import Restartable, Screen, ScreenAccess, Suspendable
from federation.drivers.agent_calls import ABILITIES
from federation.drivers.base import Observation, Rejected, SiteDriver, Unavailable
from federation.models import Allocation, Cluster
from federation.registry import abilities_in_place, able_driver
from federation.states import AllocationState as A
from portal import audit, hints
from portal.audit import Actor
from portal.errors import Conflict, IllegalTransition, SiteSilent

# Verbs of an allocation, and what its site has to be able to do.
NEEDS = {"pause": "suspend", "unpause": "suspend", "restart": "restart", "screen": "screen"}
STATES = frozenset({A.ACTIVE})
T = TypeVar("T")


def verbs(cluster: Cluster) -> frozenset[str]:
    """Which of these can be done at a site, by the hub or by the site's agent."""
    can = abilities_in_place(cluster)
    return frozenset(verb for verb, need in NEEDS.items() if need in can)


def pause(*, by: Actor, allocation: Allocation) -> Allocation:
    """It stands still, and holds what it holds."""

    def ask(driver: SiteDriver, ref: str) -> Observation:
        assert isinstance(driver, Suspendable)
        return driver.suspend(ref)

    return _told(by, allocation, "pause", ask)


def unpause(*, by: Actor, allocation: Allocation) -> Allocation:
    def ask(driver: SiteDriver, ref: str) -> Observation:
        assert isinstance(driver, Suspendable)
        return driver.resume(ref)

    return _told(by, allocation, "unpause", ask)


def restart(*, by: Actor, allocation: Allocation, is_hard: bool = False) -> Allocation:
    """Started anew in place, asked kindly or as by pulling the plug."""

    def ask(driver: SiteDriver, ref: str) -> Observation:
        assert isinstance(driver, Restartable)
        return driver.restart(ref, is_hard=is_hard)

    return _told(by, allocation, "restart", ask, is_hard=is_hard)


def screen(*, by: Actor, allocation: Allocation) -> Screen | None:
    """Where the picture of its screen is; None where it has none. Noted, since it lets one in."""
    driver = _able(allocation, "screen")
    assert isinstance(driver, ScreenAccess)
    found = _asked(lambda: driver.screen(str(allocation.pk)))
    audit.record(by=by, what="allocation.screen", target=allocation)
    return found


def _told(
    by: Actor, allocation: Allocation, verb: str, ask: Callable[[SiteDriver, str], Observation], **detail: object
) -> Allocation:
    driver = _able(allocation, verb)
    _asked(lambda: ask(driver, str(allocation.pk)))
    audit.record(by=by, what=f"allocation.{verb}", target=allocation, detail=dict(detail))
    hints.soon("federation.tasks.reconcile_allocation", allocation.pk)
    return allocation


def _able(allocation: Allocation, verb: str) -> SiteDriver:
    if allocation.state not in STATES:
        raise IllegalTransition(f"Cannot {verb} this: it is {allocation.state}, not active.")
    driver = able_driver(allocation.cluster)
    if not isinstance(driver, ABILITIES[NEEDS[verb]]):
        raise Conflict(f"This site cannot {verb} work when the hub asks.")
    return driver


def _asked(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except Unavailable as error:
        raise SiteSilent(str(error)) from None
    except Rejected as error:
        raise Conflict(error.message) from None
