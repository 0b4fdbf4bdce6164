"""The nodes of a site that tells of changes by itself: no list is asked for twice, however large the site is."""

import logging
import threading
import time
from collections.abc import Callable, Mapping

from aquifer_agent.cluster.picture import Picture
from aquifer_agent.cluster.site import Site
from federation.drivers.abilities import Watch, Watchable
from federation.drivers.base import SiteDriver, Unavailable

logger = logging.getLogger(__name__)
COALESCE_SECONDS = 0.05  # changes come in bursts: a pod that starts is five of them
_WAIT_SECONDS = 1.0
_WAY_IN_SECONDS = 30.0  # between looks at whether the way to the site has changed


class Following:
    """One watch at a time, begun anew when its way in has changed, or when the hub lacks what it has told already."""

    def __init__(
        self, site: Site, picture: Picture, changed: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._site, self._picture, self._changed, self._clock = site, picture, changed, clock
        self._watch: Watch | None = None
        self._stop = threading.Event()
        self._way_in: tuple[Mapping[str, str], Mapping[str, object]] | None = None
        self._look_at = 0.0
        self._has_told_all = False

    def step(self, driver: SiteDriver) -> None:
        """Wait a moment for changes and take them. Raises Unavailable while the picture is not known to be whole."""
        watch = self._begun(driver)
        if watch.wait(_WAIT_SECONDS):
            self._stop.wait(COALESCE_SECONDS)
            changes = watch.changes()
            if changes.is_complete:
                self._picture.look(changes.nodes)
                self._has_told_all = True
            elif changes.nodes or changes.gone:
                self._picture.change(changes.nodes, changes.gone)
            if changes.nodes or changes.gone or changes.refs or changes.is_complete:
                self._changed()
        if trouble := watch.trouble():
            raise Unavailable(trouble)

    def end(self) -> None:
        """Ask for nothing any more; the next step begins anew, with all there is."""
        self._stop.set()
        self._watch = None

    def _begun(self, driver: SiteDriver) -> Watch:
        if self._watch is not None and self._clock() >= self._look_at:
            self._look_at = self._clock() + _WAY_IN_SECONDS
            if self._way_in != (self._site.secrets(), self._site.settings()):
                logger.info("The way to the site has changed; following it anew.")
                self.end()
        if self._has_told_all and self._picture.needs_look():
            self.end()
        if self._watch is None:
            assert isinstance(driver, Watchable)
            self._stop, self._has_told_all = threading.Event(), False
            self._way_in = (self._site.secrets(), self._site.settings())
            self._look_at = self._clock() + _WAY_IN_SECONDS
            self._watch = driver.watch()
            for loop in self._watch.loops():
                threading.Thread(target=loop, args=(self._stop,), name="follow", daemon=True).start()
        return self._watch
