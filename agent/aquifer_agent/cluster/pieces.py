"""All work of a site as its agent has it in mind: what is wanted of each piece, and what was last seen of it.

Used by several threads: each method is short and holds the one lock. Calls of the driver are made outside, by
whoever took a `Job`; while one is out for a ref, looks at that ref do not count, since they may be older.
"""

import logging
import math
import random
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aquifer_agent import processes
from aquifer_agent.orders import Order
from federation.drivers.base import Observation, Rejected
from federation.drivers.base import ObservedState as O

logger = logging.getLogger(__name__)
ORDER_LIFE_SECONDS = 60.0  # an order to run is carried out no longer than this after the hub was last heard
LINGER_SECONDS = 5.0  # how long ended work may wait for the rest of its output to be sent
FRESH_SECONDS = 20.0  # a look that began longer ago says nothing about what is there now
MOST_BACKOFF_SECONDS = 60.0
_STOPPING_LOOK_SECONDS = _PENDING_LOOK_SECONDS = 1.0
_BURIED_SECONDS = 60.0
_TAKEN_ON = frozenset({O.RUNNING, O.SUCCEEDED, O.FAILED, O.STOPPING})
Key = tuple[int, int, bool]


def key_of(order: Order) -> Key:
    """Higher is newer; of the same generation, "let it run" is newer than "hold it"."""
    return order.epoch, order.generation, not order.spec.get("hold")


@dataclass(frozen=True, slots=True)
class Job:
    """One call of the driver to be made now, for this order."""

    ref: str
    order: Order


@dataclass(slots=True)
class Piece:
    ref: str
    order: Order | None = None
    seen: Observation | None = None
    refusal: Rejected | None = None
    done: Key | None = None  # of the order that the site has taken on
    is_removed: bool = False  # the driver said that nothing is left
    is_named: bool = False  # the site named it when it was asked for all it holds
    is_busy: bool = False  # a call is out
    touched_at: float = -math.inf  # when the last call of ours for it ended
    failures: int = 0
    next_try: float = 0.0
    trouble: str = ""
    waits_for: tuple[str, str] = ("", "")  # reason and message of a site that has not taken it on yet
    linger_until: float | None = None

    @property
    def is_unsettled(self) -> bool:
        return self.order is not None and self.order.is_run and (self.done is None or key_of(self.order) > self.done)

    @property
    def is_ending(self) -> bool:
        return self.order is not None and not self.order.is_run and not self.is_removed

    @property
    def has_vanished(self) -> bool:
        """Taken on once and not there any more, without an order; the site may still hold its devices for it."""
        is_wanted = self.order is not None and self.order.is_run and not self.is_unsettled
        return self.seen is not None and self.seen.state == O.ABSENT and (self.is_named or is_wanted)

    @property
    def is_here(self) -> bool:
        return self.seen is not None and self.seen.state != O.ABSENT


class Pieces:
    def __init__(self, clock: Callable[[], float] = processes.boottime) -> None:
        self.clock = clock  # goes on while a machine sleeps, so that an old look is known to be old
        self._lock = threading.RLock()
        self._all: dict[str, Piece] = {}
        self._buried: dict[str, float] = {}
        self._starting: dict[str, None] = {}  # refs with something to do, oldest first
        self._ending: dict[str, None] = {}
        self._heard_at = -math.inf
        self._looked_at = -math.inf
        self.epoch = 0
        self.changes = 0  # rises whenever there is something new to tell

    # What the hub says

    def take(self, orders: Iterable[Order], epoch: int) -> None:
        """The whole wish list. An order to run that is not in it any more is not carried out any more."""
        with self._lock:
            self._heard_at = self.clock()
            self.epoch = max(self.epoch, epoch)
            mentioned = set()
            for order in orders:
                self.epoch = max(self.epoch, order.epoch)
                piece = self._all.setdefault(order.ref, Piece(order.ref))
                mentioned.add(order.ref)
                if order.is_run:
                    self._want(piece, order)
                else:
                    self._take_back(piece, order)
            for ref in [*self._starting]:
                piece = self._all[ref]
                if ref not in mentioned and piece.order is not None and piece.order.is_run:
                    piece.order = None
                    del self._starting[ref]
                    self._forget_if_gone(piece)

    def _want(self, piece: Piece, order: Order) -> None:
        known = piece.order
        if not order.spec:  # it was seen at work here, and the hub spares us the rest
            if known is None:
                piece.order, piece.done = order, key_of(order)
            return
        if known is not None and (not known.is_run or key_of(order) < key_of(known)):
            return
        if known is None or key_of(order) > key_of(known):
            piece.order, piece.failures, piece.next_try, piece.trouble = order, 0, 0.0, ""
        if piece.is_unsettled and not (piece.refusal and known is not None and key_of(order) <= key_of(known)):
            self._starting[order.ref] = None

    def _take_back(self, piece: Piece, order: Order) -> None:
        if piece.is_ending or piece.is_removed:
            return
        if piece.seen is not None and (order.generation < piece.seen.generation or order.epoch < piece.seen.epoch):
            logger.warning("Ignoring an order of the past to end %s.", piece.ref)
            return
        piece.order, piece.failures, piece.next_try, piece.trouble = order, 0, 0.0, ""
        self._starting.pop(piece.ref, None)
        self._ending[piece.ref] = None

    def be_blind(self) -> None:
        """Somebody else speaks for this site: carry out nothing, and know nothing until looking anew."""
        with self._lock:
            self._looked_at = self._heard_at = -math.inf
            for piece in [*self._all.values()]:
                if not piece.is_busy:
                    del self._all[piece.ref]
            self._starting.clear()
            self._ending.clear()

    # What there is to do

    def next_job(self, is_log_wanted: Callable[[str], bool]) -> Job | None:
        """The next call to make; whoever takes it says how it ended. What ends makes room for what starts."""
        with self._lock:
            now = self.clock()
            for ref in self._ending:
                piece = self._all[ref]
                if not piece.is_busy and now >= piece.next_try and not self._lingers(piece, now, is_log_wanted):
                    return self._begin(piece)
            if now - self._heard_at > ORDER_LIFE_SECONDS:
                return None
            for ref in [*self._starting]:
                piece = self._all[ref]
                if self._settle_by_sight(piece):
                    del self._starting[ref]
                elif not piece.is_busy and now >= piece.next_try:
                    return self._begin(piece)
            return None

    def _begin(self, piece: Piece) -> Job:
        assert piece.order is not None
        piece.is_busy = True
        return Job(piece.ref, piece.order)

    def _settle_by_sight(self, piece: Piece) -> bool:
        """It runs already, as ordered: an agent that begins anew need not ask for it again."""
        assert piece.order is not None
        seen, key = piece.seen, key_of(piece.order)
        if seen is None or seen.state not in _TAKEN_ON or (seen.epoch, seen.generation) < key[:2]:
            return False
        piece.done = key
        return True

    def _lingers(self, piece: Piece, now: float, is_log_wanted: Callable[[str], bool]) -> bool:
        if piece.seen is None or piece.seen.state not in (O.SUCCEEDED, O.FAILED) or not is_log_wanted(piece.ref):
            return False
        if piece.linger_until is None:
            piece.linger_until = now + LINGER_SECONDS
        return now < piece.linger_until

    # How a call ended

    def ensured(self, job: Job, seen: Observation) -> None:
        with self._lock:
            piece = self._end(job)
            if seen.state == O.PENDING:  # nothing of it is there yet, and the site wants to be asked again
                piece.waits_for, piece.next_try = (seen.reason, seen.message), self.clock() + _PENDING_LOOK_SECONDS
                return
            piece.seen, piece.refusal = seen, None
            piece.done = max(piece.done or key_of(job.order), key_of(job.order))
            if not piece.is_unsettled:
                self._starting.pop(job.ref, None)

    def refused(self, job: Job, refusal: Rejected) -> None:
        if not job.order.is_run:
            self.failed(job, str(refusal))
            return
        with self._lock:
            piece = self._end(job)
            logger.warning("The site refuses %s: %s", job.ref, refusal)
            piece.refusal = refusal
            if piece.order is not None and piece.order.is_run and key_of(piece.order) <= key_of(job.order):
                self._starting.pop(job.ref, None)

    def removed(self, job: Job, seen: Observation) -> None:
        with self._lock:
            piece = self._end(job)
            piece.seen = seen
            if seen.state != O.ABSENT:
                piece.next_try = self.clock() + _STOPPING_LOOK_SECONDS
                return
            logger.info("Nothing is left of %s.", job.ref)
            piece.is_removed, piece.is_named, piece.refusal = True, False, None
            self._ending.pop(job.ref, None)
            self._forget_if_gone(piece)

    def failed(self, job: Job, trouble: str, retry_after: float | None = None) -> None:
        with self._lock:
            piece = self._end(job, failures=1)
            wait = min(2.0**piece.failures, MOST_BACKOFF_SECONDS) * random.uniform(0.5, 1.0)
            piece.next_try = self.clock() + max(wait, retry_after or 0.0)
            if trouble != piece.trouble:
                logger.warning("%s: %s Trying again.", job.ref, trouble)
            piece.trouble = trouble

    def _end(self, job: Job, failures: int = 0) -> Piece:
        piece = self._all[job.ref]
        self.changes += 1
        piece.is_busy = False
        piece.touched_at = self.clock()
        piece.failures = min(piece.failures + failures, 10) if failures else 0
        if not failures:
            piece.trouble = ""
        return piece

    # What a look shows

    def refs(self) -> list[str]:
        with self._lock:
            return [*self._all]

    def looked(
        self,
        began: float,
        asked: Iterable[str],
        found: Mapping[str, Observation],
        named: Collection[str] | None = None,
    ) -> None:
        """One look at all of it, begun then. What was asked for and is not in the answer is absent.

        `named`: all that the site names as held there, when it was asked for that too.
        """
        with self._lock:
            for ref in asked:
                seen = found.get(ref) or Observation(ref, O.ABSENT)
                piece = self._all.get(ref)
                is_named = named is not None and ref in named
                if piece is None:
                    if (seen.state == O.ABSENT and not is_named) or self._buried.get(ref, -math.inf) >= began:
                        continue
                    piece = self._all[ref] = Piece(ref)
                if not piece.is_busy and piece.touched_at < began:
                    self.changes += piece.seen is None or piece.seen.state != seen.state
                    piece.seen = seen
                    piece.is_named = is_named if named is not None else piece.is_named
                    self._forget_if_gone(piece)
            self._looked_at = max(self._looked_at, began)
            old = self.clock() - _BURIED_SECONDS
            self._buried = {ref: at for ref, at in self._buried.items() if at > old}

    def _forget_if_gone(self, piece: Piece) -> None:
        if piece.is_here or piece.is_busy or piece.refusal or piece.is_ending or piece.is_unsettled:
            return
        if piece.has_vanished:
            return  # the hub hears of it, and has it removed: only then the site lets go of its devices
        del self._all[piece.ref]
        self._buried[piece.ref] = self.clock()

    # What the hub is told

    def silence(self) -> float | None:
        """Seconds since the last look that succeeded began; None when there was none."""
        with self._lock:
            return None if self._looked_at == -math.inf else max(0.0, self.clock() - self._looked_at)

    def is_known(self) -> bool:
        """Whether a list of this work may be read as "and nothing else is there"."""
        silence = self.silence()
        return silence is not None and silence <= FRESH_SECONDS

    def has_ended(self, ref: str) -> bool:
        with self._lock:
            piece = self._all.get(ref)
            return piece is None or piece.seen is None or piece.seen.state in (O.SUCCEEDED, O.FAILED, O.ABSENT)

    def has_output(self, ref: str) -> bool:
        with self._lock:
            piece = self._all.get(ref)
            return piece is not None and piece.seen is not None and piece.seen.state in _TAKEN_ON

    def reports(self) -> list[dict[str, Any]]:
        with self._lock:
            return [item for piece in self._all.values() if (item := _report(piece))]


def _report(piece: Piece) -> dict[str, Any] | None:
    """One piece in the words of the protocol; None when nothing of it is there and nothing of it is to come."""
    seen, order = piece.seen, piece.order
    item = {"ref": piece.ref, "generation": 0, "epoch": 0, "ran_seconds": None, "exit_code": None}
    if seen is not None:
        item |= {"generation": seen.generation, "epoch": seen.epoch, "ran_seconds": seen.ran_seconds}
    if piece.is_ending:
        why = ("SiteUnavailable", piece.trouble) if piece.trouble else ("Stopped", "")
        return item | _said(O.STOPPING, *why)
    if piece.refusal is not None and (seen is None or seen.state not in _TAKEN_ON):
        assert order is not None
        ordered = {"generation": order.generation, "epoch": order.epoch, "ran_seconds": None}
        return item | ordered | _said("rejected", piece.refusal.reason, piece.refusal.message)
    if seen is not None and piece.is_here:
        return item | _said(seen.state, seen.reason, seen.message) | {"exit_code": seen.exit_code}
    if piece.has_vanished:
        ordered = {"generation": order.generation, "epoch": order.epoch} if order is not None else {}
        return item | ordered | _said(O.BROKEN, "VanishedAtSite", "Nothing of it is there any more.")
    if piece.is_unsettled or piece.is_busy:
        why = ("SiteUnavailable", piece.trouble) if piece.trouble else piece.waits_for
        return item | _said(O.PENDING, *why)
    return None


def _said(state: str, reason: str, message: str) -> dict[str, Any]:
    return {"state": str(state), "reason": clean(reason)[:64], "message": clean(message)[:1000]}


def clean(text: str) -> str:
    return text.replace("\0", "?")
