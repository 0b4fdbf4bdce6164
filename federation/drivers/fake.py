"""A site that is not there: it acts as each kind of site for demonstrations and tests, and is strict as few are.

All that it is set up with is in docs/drivers.md. Its state lives in a store outside the driver, and what is true
of its work is read off the clock, so any number of workers may speak to it and all may be restarted.
"""

import math
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import ClassVar

from federation.drivers.abilities import Channel, EventSeen, LogChunk, Power, Reading, Screen
from federation.drivers.base import (
    CALL_TIMEOUT_SECONDS,
    DriverConfig,
    NodeSeen,
    Observation,
    Rejected,
    SiteDriver,
    SiteInfo,
    Unavailable,
    UsageSample,
    WorkloadSpec,
)
from federation.drivers.fake_course import go_on, is_running, lay_down, look_at, pause, take_away
from federation.drivers.fake_events import events_of
from federation.drivers.fake_figures import log_of, samples, samples_of_work
from federation.drivers.fake_knobs import Knobs, draw, flavour_of, knobs_of
from federation.drivers.fake_nodes import fleet_of, seen_nodes
from federation.drivers.fake_port import EchoPort
from federation.drivers.fake_postgres import PostgresStore, link_to
from federation.drivers.fake_shell import ToyShell
from federation.drivers.fake_store import (
    FORGET_SECONDS,
    Grant,
    MemoryStore,
    Shown,
    Store,
    Turn,
    Work,
    set_control,
)

_SILENCE_SECONDS = 0.25  # between looks at a followed log that says nothing
_LONGEST_SLEEP_SECONDS = 0.05  # latency is felt, yet no worker is kept


@dataclass(frozen=True)
class World:
    """What a test puts in `DriverConfig.port`: a store of its own, and its own clock (seconds)."""

    store: Store
    clock: Callable[[], float] = time.time


_in_this_process: dict[str, MemoryStore] = {}


def store_of(config: DriverConfig) -> Store:
    """Where this fake site keeps its state: given by a test, in PostgreSQL, or (without a dsn) in this process."""
    if isinstance(config.port, World):
        return config.port.store
    if dsn := config.settings.get("dsn"):
        return PostgresStore(link_to(str(dsn)), config.cluster_id)
    return _in_this_process.setdefault(config.cluster_id, MemoryStore())


_MEASURED_WORK = ("docker", "kvm")  # kinds whose hosts say what each piece of work uses


class FakeDriver(SiteDriver):
    """Has every ability there is but those of hosts: suspending, restarting, plugging, screens."""

    kind: ClassVar[str] = "fake"  # config.kind says what it acts as
    can_hold: bool = True

    def __init__(self, config: DriverConfig) -> None:
        super().__init__(config)
        self.store = store_of(config)
        # Two sites that nobody gave a seed must not show the same cards.
        self._settings = {"seed": zlib.crc32(config.cluster_id.encode()), **config.settings}
        self._clock = config.port.clock if isinstance(config.port, World) else time.time

    def check(self) -> SiteInfo:
        shown = self.store.look(())
        knobs = self._answer(shown, "check")
        if self.config.epoch > shown.epoch:  # from now on nothing of an older epoch is taken
            with self.store.turn() as turn:
                turn.raise_epoch(self.config.epoch)
        versions = flavour_of(self.config.kind).versions
        version = versions[int(draw(knobs.seed, self.config.kind, "version") * len(versions))]
        return SiteInfo(version, knobs.degraded, is_degraded=bool(knobs.degraded))

    def inventory(self) -> Iterable[NodeSeen]:
        knobs = self._answer(self.store.look(()), "inventory")
        return seen_nodes(fleet_of(self._settings, self.config.kind), knobs)

    def ensure(self, spec: WorkloadSpec) -> Observation:
        knobs = self._answer(self.store.look(()), spec.ref)
        with self.store.turn() as turn:
            seen = self._ensure(turn, spec, knobs)
        self._may_lose_answer(knobs, spec.ref)
        return seen

    def _ensure(self, turn: Turn, spec: WorkloadSpec, knobs: Knobs) -> Observation:
        _check_sense(spec)
        now = self._clock()
        work = turn.get(spec.ref)
        if work is not None and work.removed_at is not None:
            raise Rejected("OldGeneration", "This was taken back already.")
        if spec.epoch < turn.epoch:
            raise Rejected("OldGeneration", f"The site has seen epoch {turn.epoch}, this is of {spec.epoch}.")
        if work is not None and spec.generation < work.generation:
            raise Rejected("OldGeneration", f"The site has generation {work.generation}, this is {spec.generation}.")
        if work is None:
            grants = self._grants(turn, spec, knobs, now)
            work = lay_down(spec, kind=self.config.kind, knobs=knobs, grants=grants, now=now)
        else:
            if work.node != spec.node or {(g.uuid, g.milli) for g in work.grants} != {
                (g.uuid, g.milli) for g in spec.devices
            }:
                raise Rejected("GrantChanged", "A grant never changes: remove it and ask for another.")
            if work.is_held and not spec.hold:
                work = lay_down(spec, kind=self.config.kind, knobs=knobs, grants=work.grants, now=now)
            work = replace(work, generation=spec.generation, epoch=spec.epoch)
        turn.raise_epoch(spec.epoch)
        turn.put(work)
        return look_at(work, spec.ref, missing=knobs.missing_nodes, now=now)

    def _grants(self, turn: Turn, spec: WorkloadSpec, knobs: Knobs, now: float) -> tuple[Grant, ...]:
        """The devices of new work, after the site has made sure that it has them and that they are free."""
        node = fleet_of(self._settings, self.config.kind).by_name.get(spec.node)
        if node is None or node.name in knobs.missing_nodes:
            raise Rejected("NodeGone", f"There is no node {spec.node} at the site.")
        taken: dict[str, int] = {}
        for other in turn.there(spec.node, now):
            for grant in other.grants:
                taken[grant.uuid] = taken.get(grant.uuid, 0) + grant.milli
        known = {(device.index, device.uuid) for device in node.devices}
        for wanted in spec.devices:
            if (wanted.index, wanted.uuid) not in known:
                raise Rejected("DeviceGone", f"{spec.node} has no device {wanted.index} ({wanted.uuid}).")
            taken[wanted.uuid] = taken.get(wanted.uuid, 0) + wanted.milli
            if taken[wanted.uuid] > 1000:
                raise Rejected("DeviceBusy", f"Device {wanted.index} of {spec.node} is taken by other work.")
        if draw(knobs.seed, spec.ref, "refused") < knobs.reject_rate:
            raise Rejected(*flavour_of(self.config.kind).refusal)
        return tuple(Grant(d.uuid, d.milli, d.memory_mib) for d in spec.devices)

    def observe(self, ref: str) -> Observation:
        shown = self.store.look((ref,))
        knobs = self._answer(shown, ref)
        return look_at(shown.work.get(ref), ref, missing=knobs.missing_nodes, now=self._clock())

    def observe_many(self, refs: Sequence[str]) -> Iterable[Observation]:
        shown = self.store.look(refs)
        knobs = self._answer(shown, "observe_many")
        now = self._clock()
        return [look_at(shown.work.get(ref), ref, missing=knobs.missing_nodes, now=now) for ref in refs]

    def remove(self, ref: str) -> Observation:
        knobs = self._answer(self.store.look(()), ref)
        with self.store.turn() as turn:
            now = self._clock()
            turn.raise_epoch(self.config.epoch)
            was = turn.get(ref)
            work = take_away(was, ref, knobs=knobs, now=now)
            if work != was:
                turn.put(work)
                turn.forget(now - FORGET_SECONDS)
            seen = look_at(work, ref, missing=knobs.missing_nodes, now=now)
        self._may_lose_answer(knobs, ref)
        return seen

    def refs(self) -> Iterable[str]:
        shown = self.store.there(self._clock())
        self._answer(shown, "refs")
        return list(shown.work)

    def usage(self, start: datetime, end: datetime) -> Iterable[UsageSample]:
        now = self._clock()
        shown = self.store.there(now)
        knobs = self._answer(shown, "usage")
        fleet = fleet_of(self._settings, self.config.kind)
        nodes = (node for node in fleet.nodes if node.name not in knobs.missing_nodes)
        found = samples(nodes, shown.work.values(), seed=knobs.seed, at=end, now=now)
        if self.config.kind in _MEASURED_WORK:
            found += samples_of_work(shown.work.values(), seed=knobs.seed, at=end, now=now)
        return found

    def logs(self, ref: str, offset: int = 0, limit: int = 65536) -> LogChunk:
        now = self._clock()
        shown = self.store.look((ref,))
        knobs = self._answer(shown, ref)
        work = shown.work.get(ref)
        if work is None or not work.is_there(now):
            return LogChunk("", offset, is_complete=True)
        if work.node in knobs.missing_nodes:
            raise Unavailable(f"{work.node} is not at the site just now.")
        return log_of(work, offset=offset, limit=limit, now=now)

    def follow(self, ref: str, offset: int = 0) -> Iterator[bytes]:
        while True:
            chunk = self.logs(ref, offset)
            offset = chunk.next_offset
            if chunk.is_complete and not chunk.text:
                return
            yield chunk.text.encode()
            if not chunk.text:
                time.sleep(_SILENCE_SECONDS)

    def events(self, ref: str) -> Iterable[EventSeen]:
        shown = self.store.look((ref,))
        self._answer(shown, ref)
        work = shown.work.get(ref)
        return [] if work is None else events_of(work, self._clock())

    def shell(self, ref: str, command: Sequence[str], *, is_tty: bool = True) -> Channel:
        work = self._running(ref)
        env = {**work.env, "AQUIFER_REF": ref}
        return ToyShell(command, env, is_tty=is_tty, is_alive=lambda: self._is_running(ref))

    def reach(self, ref: str, port: int) -> Channel:
        work = self._running(ref)
        if work.ports and port not in work.ports:
            raise Rejected("NobodyListens", f"Nothing listens on port {port}.")
        return EchoPort()

    def suspend(self, ref: str) -> Observation:
        return self._in_place(ref, pause)

    def resume(self, ref: str) -> Observation:
        return self._in_place(ref, go_on)

    def restart(self, ref: str, *, is_hard: bool = False) -> Observation:
        """What it does goes on as it was laid down; standing still ends."""
        return self._in_place(ref, go_on)

    def screen(self, ref: str) -> Screen | None:
        """A simulated machine has no picture."""
        self._running(ref)
        return None

    def _in_place(self, ref: str, change: Callable[[Work, float], Work]) -> Observation:
        knobs = self._answer(self.store.look(()), ref)
        with self.store.turn() as turn:
            now, was = self._clock(), turn.get(ref)
            if was is None or not is_running(was, now):
                raise Rejected("NotRunning", "It does not run just now.")
            if (work := change(was, now)) != was:
                turn.put(work)
        self._may_lose_answer(knobs, ref)
        return look_at(work, ref, missing=knobs.missing_nodes, now=now)

    def power(self, node: str) -> Power:
        """A node that is off is one that does not report ready."""
        knobs = self._answer(self.store.look(()), node)
        self._check_node(node, knobs)
        return Power.OFF if node in knobs.not_ready_nodes else Power.ON

    def set_power(self, node: str, power: Power) -> Power:
        knobs = self._answer(self.store.look(()), node)
        self._check_node(node, knobs)
        off = set(knobs.not_ready_nodes) - {node} | ({node} if power == Power.OFF else set())
        set_control(self.store, not_ready_nodes=off or None)
        return power

    def sensors(self, node: str) -> Iterable[Reading]:
        now = self._clock()
        shown = self.store.there(now)
        knobs = self._answer(shown, node)
        self._check_node(node, knobs)
        nodes = [fleet_of(self._settings, self.config.kind).by_name[node]]
        seen = samples(nodes, shown.work.values(), seed=knobs.seed, at=datetime.fromtimestamp(now, UTC), now=now)
        drawn = [Reading(f"{s.uuid} power", s.power_watts or 0.0, "W") for s in seen]
        return [*drawn, *(Reading(f"{s.uuid} temperature", s.temperature_celsius or 0.0, "Cel") for s in seen)]

    def _check_node(self, node: str, knobs: Knobs) -> None:
        if node not in fleet_of(self._settings, self.config.kind).by_name or node in knobs.missing_nodes:
            raise Rejected("NodeGone", f"There is no node {node} at the site.")

    def _running(self, ref: str) -> Work:
        shown = self.store.look((ref,))
        knobs = self._answer(shown, ref)
        work = shown.work.get(ref)
        if work is None or not is_running(work, self._clock()):
            raise Rejected("NotRunning", "It does not run just now.")
        if work.node in knobs.missing_nodes:
            raise Unavailable(f"{work.node} is not at the site just now.")
        return work

    def _is_running(self, ref: str) -> bool:
        work = self.store.look((ref,)).work.get(ref)
        return work is not None and is_running(work, self._clock())

    def _answer(self, shown: Shown, key: str) -> Knobs:
        """How the site is set just now, if it answers this call at all."""
        knobs = knobs_of(self._settings, shown.control)
        if knobs.down:
            raise Unavailable("The site does not answer.")
        if knobs.latency_seconds > CALL_TIMEOUT_SECONDS:
            raise Unavailable(f"The site did not answer within {CALL_TIMEOUT_SECONDS:.0f} s.")
        if knobs.latency_seconds > 0:
            time.sleep(min(knobs.latency_seconds, _LONGEST_SLEEP_SECONDS))
        if knobs.error_rate > 0 and self._draw(knobs, key, "error") < knobs.error_rate:
            raise Unavailable("The site answered with an error (503).")
        return knobs

    def _may_lose_answer(self, knobs: Knobs, ref: str) -> None:
        if knobs.lost_answer_rate > 0 and self._draw(knobs, ref, "lost") < knobs.lost_answer_rate:
            raise Unavailable("The connection was lost before the answer came.")

    def _draw(self, knobs: Knobs, key: str, what: str) -> float:
        """A new draw for each call, and the same ones for the same seed and the same calls."""
        return draw(knobs.seed, key, what, self.store.count(f"{what} {key}", self._clock()))


def _check_sense(spec: WorkloadSpec) -> None:
    if any(not 1 <= grant.milli <= 1000 or grant.memory_mib < 0 for grant in spec.devices):
        raise Rejected("BadGrant", "A share is 1 to 1000 of a device.")
    if spec.run_seconds is not None and not math.isfinite(spec.run_seconds):
        raise Rejected("BadSpec", "run_seconds is a number.")
