"""Where a fake site keeps what happened at it: outside the driver, as with a real site.

Drivers come and go with each call; the site stays. `MemoryStore` is for tests; fake_postgres.PostgresStore
survives restarts of the hub and is shared by all its workers.
"""

import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from federation.drivers.fake_knobs import CONTROLS

NEVER = 1e15  # the moment at which held work starts
FORGET_SECONDS = 7 * 86400.0  # a tombstone outlives every worker that could still send a late ensure


@dataclass(frozen=True, slots=True)
class Grant:
    uuid: str
    milli: int
    memory_mib: int


@dataclass(frozen=True, slots=True)
class Work:
    """One piece of work and its whole course, laid down when it is created; what is true now is read off the clock.

    Moments are seconds of the hub's clock. A removed ref stays as a tombstone: `gone_at` says since when
    nothing of it is left. `gone_at` is None while it is there, or while its end cannot be seen.
    """

    ref: str
    generation: int = 0
    epoch: int = 0
    node: str = ""
    grants: tuple[Grant, ...] = ()
    scale: float = 1.0  # seconds at the site in one second of the hub
    starts_at: float = 0.0
    ends_at: float | None = None
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    removed_at: float | None = None
    gone_at: float | None = None
    made_at: float = 0.0
    env: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[int, ...] = ()
    paused_at: float | None = None  # since when it stands still; its end is then put off

    @property
    def is_held(self) -> bool:
        """Taken on, and to run only when told again without `hold`."""
        return self.starts_at >= NEVER

    def is_there(self, now: float) -> bool:
        """Does it still hold what it was granted? Ended work does, until it is removed."""
        return self.gone_at is None or now < self.gone_at


def to_json(work: Work) -> dict[str, Any]:
    return asdict(work)


def from_json(document: Mapping[str, Any]) -> Work:
    grants = tuple(Grant(**grant) for grant in document["grants"])
    return Work(**{**document, "grants": grants, "ports": tuple(document.get("ports", ()))})


@dataclass(frozen=True, slots=True)
class Shown:
    """What one look into the store brought."""

    control: Mapping[str, Any] = field(default_factory=dict)
    epoch: int = 0
    work: Mapping[str, Work] = field(default_factory=dict)


class Turn(Protocol):
    """A moment in which nobody else changes the site."""

    epoch: int

    def get(self, ref: str) -> Work | None: ...
    def there(self, node: str, now: float) -> Collection[Work]: ...
    def put(self, work: Work) -> None: ...
    def raise_epoch(self, epoch: int) -> None: ...
    def forget(self, before: float) -> None: ...


class Store(Protocol):
    """What a fake site needs of its store. Raises Unavailable when the store cannot be reached."""

    def look(self, refs: Collection[str]) -> Shown:
        """These pieces of work, tombstones too, with control document and epoch."""

    def there(self, now: float) -> Shown:
        """All work that is still there."""

    def turn(self) -> AbstractContextManager[Turn]:
        """Change the site: all of it or nothing, one at a time."""

    def count(self, key: str, now: float) -> int:
        """How often this was called, this time included."""

    def set_control(self, changes: Mapping[str, Any]) -> None:
        """Merge into the control document; None takes an override back."""


def set_control(store: Store, **changes: Any) -> None:
    """Override settings of a fake site while it lives: `set_control(store, down=True)`; None takes it back."""
    if unknown := changes.keys() - CONTROLS:
        raise ValueError(f"A fake site has no such control: {', '.join(sorted(unknown))}.")
    store.set_control({k: sorted(v) if isinstance(v, (set, frozenset)) else v for k, v in changes.items()})


def get_control(store: Store) -> Mapping[str, Any]:
    return store.look(()).control


class MemoryStore:
    """A site in this process. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._control: dict[str, Any] = {}
        self._work: dict[str, Work] = {}
        self._calls: dict[str, int] = {}
        self.epoch = 0

    def look(self, refs: Collection[str]) -> Shown:
        with self._lock:
            return Shown(dict(self._control), self.epoch, {ref: self._work[ref] for ref in refs if ref in self._work})

    def there(self, now: float) -> Shown:
        with self._lock:
            work = {ref: work for ref, work in self._work.items() if work.is_there(now)}
            return Shown(dict(self._control), self.epoch, work)

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        with self._lock:
            turn = _MemoryTurn(self.epoch, self._work)
            yield turn
            self.epoch, self._work = turn.epoch, turn.work  # reached only when nothing was raised

    def count(self, key: str, now: float) -> int:
        with self._lock:
            self._calls[key] = self._calls.get(key, 0) + 1
            return self._calls[key]

    def set_control(self, changes: Mapping[str, Any]) -> None:
        with self._lock:
            merged = {**self._control, **changes}
            self._control = {name: value for name, value in merged.items() if value is not None}


class _MemoryTurn:
    def __init__(self, epoch: int, work: Mapping[str, Work]) -> None:
        self.epoch = epoch
        self.work = dict(work)

    def get(self, ref: str) -> Work | None:
        return self.work.get(ref)

    def there(self, node: str, now: float) -> Collection[Work]:
        return [work for work in self.work.values() if work.node == node and work.is_there(now)]

    def put(self, work: Work) -> None:
        self.work[work.ref] = work

    def raise_epoch(self, epoch: int) -> None:
        self.epoch = max(self.epoch, epoch)

    def forget(self, before: float) -> None:
        self.work = {r: w for r, w in self.work.items() if w.gone_at is None or w.gone_at >= before}
