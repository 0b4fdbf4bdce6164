"""What the agent asks the site by itself: how its work does, which nodes it has, how busy they are, how it is."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from aquifer_agent.cluster.following import Following
from aquifer_agent.cluster.picture import Picture
from aquifer_agent.cluster.pieces import Pieces, clean
from aquifer_agent.cluster.site import Site
from aquifer_agent.cluster.threads import Threads
from federation.drivers.abilities import BulkObserver, Watchable, WorkLister
from federation.drivers.base import Rejected, SiteDriver, SiteInfo, Unavailable

logger = logging.getLogger(__name__)
WORK_SECONDS, REFS_SECONDS, NODES_SECONDS, SITE_SECONDS, FIGURES_SECONDS = 1.0, 15.0, 15.0, 10.0, 5.0
MOST_FIGURES = 5000  # in one report; a larger site is told in turn
_SOON_SECONDS = 3.0
_BETWEEN_STEPS_SECONDS = 0.5  # while the picture of what is followed is not whole
_QUICK_SECONDS = 0.3  # a look at work that takes longer is not made for each change
_MOST_BETWEEN_LOOKS_SECONDS = 3.0


class Looks:
    """Each kind of look has its thread; a slow one takes its own time and never more than half of it."""

    def __init__(
        self, site: Site, pieces: Pieces, picture: Picture, threads: Threads, news: Callable[[], None]
    ) -> None:
        self._site, self._pieces, self._picture, self._threads, self._news = site, pieces, picture, threads, news
        self._lock = threading.Lock()
        self._info = SiteInfo("")
        self._troubles = {"work": "The agent has not looked yet."}  # by kind of look; empty: it was answered
        self._refs_at: float | None = None
        self._abilities: list[str] = []
        self._figures: list[dict[str, Any]] | None = None
        self._of_work: dict[str, dict[str, int | None]] = {}
        self._turn = 0
        self._following = Following(site, picture, self._has_changed)
        self._work_seconds = 0.0  # that the last look took

    def start(self) -> None:
        self._threads.start("work", self._look_at_work)
        self._threads.start("nodes", self._look_at_nodes)
        self._threads.start("site", self._look_at_site)
        self._threads.start("figures", self._look_at_figures)

    def let_go(self) -> None:
        """Somebody else speaks for this site: follow nothing."""
        self._following.end()

    def _has_changed(self) -> None:
        self._news()
        if self._work_seconds < _QUICK_SECONDS:
            self._threads.wake("work")

    # What the report says of it

    def site(self) -> dict[str, Any]:
        silence = self._pieces.silence()
        with self._lock:
            trouble = next(filter(None, self._troubles.values()), "")
            return {
                "version": clean(self._info.version)[:100],
                "message": clean(trouble or self._info.message)[:1000],
                "is_degraded": bool(trouble) or self._info.is_degraded,
                "silent_seconds": None if silence is None else round(silence, 3),
                "abilities": self._abilities,
            }

    def figures(self) -> list[dict[str, Any]] | None:
        """Figures of devices once after each look; None: nothing newer than was said before."""
        with self._lock:
            found, self._figures = self._figures, None
            return found

    def of_work(self, ref: str) -> dict[str, int | None]:
        return self._of_work.get(ref) or {"cpu_milli": None, "memory_mib": None}

    # The looks. Each returns in how many seconds it wants to look again.

    def _look_at_work(self) -> float:
        began = self._pieces.clock()
        known = self._pieces.refs()
        lists = self._refs_at is None or began - self._refs_at > REFS_SECONDS or not self._pieces.is_known()

        def look(driver: SiteDriver) -> None:
            named = {*filter(_is_ours, driver.refs())} if lists and isinstance(driver, WorkLister) else None
            asked = {*known, *(named or ())}
            if isinstance(driver, BulkObserver):
                found = list(driver.observe_many(sorted(asked)))
            else:
                found = [driver.observe(ref) for ref in sorted(asked)]
            self._pieces.looked(began, asked, {seen.ref: seen for seen in found}, named)
            if lists:
                self._refs_at = began
            self._news()

        if not self._ask("work", look):
            return _SOON_SECONDS
        self._work_seconds = self._pieces.clock() - began
        return min(max(WORK_SECONDS, 2 * self._work_seconds), _MOST_BETWEEN_LOOKS_SECONDS)

    def _look_at_nodes(self) -> float:
        if isinstance(self._site.driver(), Watchable):
            return 0.0 if self._ask("nodes", self._following.step) else _BETWEEN_STEPS_SECONDS
        began = time.monotonic()
        if not self._ask("nodes", lambda driver: self._picture.look(driver.inventory())):
            return _SOON_SECONDS
        self._news()
        return max(NODES_SECONDS, 3 * (time.monotonic() - began))

    def _look_at_site(self) -> float:
        def look(driver: SiteDriver) -> None:
            info, abilities = driver.check(), self._site.abilities()
            with self._lock:
                self._info, self._abilities = info, abilities

        return SITE_SECONDS if self._ask("site", look) else _SOON_SECONDS

    def _look_at_figures(self) -> float:
        now = datetime.now(UTC)

        def look(driver: SiteDriver) -> None:
            samples = list(driver.usage(now - timedelta(seconds=FIGURES_SECONDS), now))
            of_devices = [s for s in samples if s.uuid]
            turn = self._turn if self._turn < len(of_devices) else 0
            self._turn = turn + MOST_FIGURES
            with self._lock:
                self._of_work = {
                    s.ref: {
                        "cpu_milli": s.cpu_milli,
                        "memory_mib": s.memory_used_mib,
                        "disk_read_kibps": s.disk_read_kibps,
                        "disk_write_kibps": s.disk_write_kibps,
                        "net_in_kibps": s.net_in_kibps,
                        "net_out_kibps": s.net_out_kibps,
                    }
                    for s in samples
                    if s.ref
                }
                self._figures = [
                    {
                        "uuid": clean(s.uuid)[:300],
                        "busy_percent": s.busy_percent,
                        "memory_used_mib": s.memory_used_mib,
                        "power_watts": s.power_watts,
                        "temperature_celsius": s.temperature_celsius,
                    }
                    for s in of_devices[turn : turn + MOST_FIGURES]
                ] or None

        return FIGURES_SECONDS if self._ask("figures", look) else 2 * _SOON_SECONDS

    def _ask(self, kind: str, look: Callable[[SiteDriver], None]) -> bool:
        """False when the site did not answer, or said that we may not."""
        trouble = ""
        try:
            with self._threads.calling():
                look(self._site.driver())
        except (Unavailable, Rejected) as error:
            trouble = str(error) or "The site did not answer."
        except Exception as error:  # a bug of the driver's; the hub is told that something is wrong
            logger.exception("The driver failed.")
            trouble = f"The driver failed: {type(error).__name__}."
        with self._lock:
            was, self._troubles[kind] = self._troubles.get(kind, ""), trouble
        if trouble != was:
            logger.log(logging.WARNING if trouble else logging.INFO, "The site (%s): %s", kind, trouble or "answers.")
        return not trouble


def _is_ours(ref: str) -> bool:
    """Our names are ids. Whatever else carries our label at a site was put there by hand, and stays."""
    try:
        return str(UUID(ref)) == ref
    except ValueError:
        return False
