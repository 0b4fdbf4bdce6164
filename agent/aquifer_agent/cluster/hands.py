"""Carrying orders out and reading output: a few threads, one call of a fresh driver at a time in each."""

import logging
from collections.abc import Callable

from aquifer_agent import crash
from aquifer_agent.cluster.pieces import Job, Pieces
from aquifer_agent.cluster.site import Site
from aquifer_agent.cluster.specs import spec_of
from aquifer_agent.cluster.tails import Tails
from aquifer_agent.cluster.threads import Threads
from federation.drivers.abilities import LogReader
from federation.drivers.base import ObservedState as O
from federation.drivers.base import Rejected, Unavailable

logger = logging.getLogger(__name__)
WORKERS, READERS = 4, 2
_IDLE_SECONDS = 0.25


class Hands:
    def __init__(self, site: Site, pieces: Pieces, tails: Tails, threads: Threads, news: Callable[[], None]) -> None:
        self._site, self._pieces, self._tails, self._threads, self._news = site, pieces, tails, threads, news

    def start(self) -> None:
        for _ in range(WORKERS):
            self._threads.start("orders", self.carry_out)
        for _ in range(READERS):
            self._threads.start("output", self.read)

    def carry_out(self) -> float:
        """One order, if there is one. Returns in how many seconds to look for the next."""
        job = self._pieces.next_job(self._tails.is_behind)
        if job is None:
            return _IDLE_SECONDS
        try:
            self._do(job)
        except Rejected as refusal:
            self._pieces.refused(job, refusal)
        except Unavailable as error:
            self._pieces.failed(job, str(error) or "The site did not answer.", getattr(error, "retry_after", None))
        except Exception:  # a bug of the driver's: the other work goes on
            logger.exception("%s: the driver failed; trying again.", job.ref)
            self._pieces.failed(job, "The driver failed; the agent's log says how.")
        self._news()
        return 0.0

    def _do(self, job: Job) -> None:
        if job.order.is_run:
            if job.order.epoch < self._pieces.epoch:
                raise Rejected("OldGeneration", f"The order is of an epoch before {self._pieces.epoch}.")
            spec = spec_of(job.order)
            crash.point("ensure-before")
            with self._threads.calling():
                seen = self._site.driver().ensure(spec)
            crash.point("ensure-after")
            self._pieces.ensured(job, seen)
        else:
            crash.point("remove-before")
            with self._threads.calling():
                seen = self._site.driver().remove(job.ref)
            crash.point("remove-after")
            self._pieces.removed(job, seen)
            if seen.state == O.ABSENT:
                crash.point("removed")

    def read(self) -> float:
        """A piece of somebody's output, if any is wanted."""
        wanted = self._tails.next_read(self._pieces.has_output)
        if wanted is None:
            return 2 * _IDLE_SECONDS
        ref, offset, limit = wanted
        chunk = None
        try:
            driver = self._site.driver()
            if isinstance(driver, LogReader):
                with self._threads.calling():
                    chunk = driver.logs(ref, offset, limit)
        except (Unavailable, Rejected) as error:
            logger.debug("No output of %s just now: %s", ref, error)
        finally:
            self._tails.read(ref, offset, chunk, has_ended=self._pieces.has_ended(ref))
        if chunk is not None and chunk.next_offset > offset:
            self._news()
        return 0.0
