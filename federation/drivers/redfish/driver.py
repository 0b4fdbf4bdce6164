"""Bare servers by their management controllers: a cluster is a set of servers, leased whole.

What a controller can keep is next to nothing, so the hub's database keeps the leases (`ledger.py`). See
docs/baremetal.md.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar

from federation.drivers.abilities import Power, Reading
from federation.drivers.base import (
    DriverConfig,
    NodeSeen,
    Observation,
    ObservedState,
    Rejected,
    SiteDriver,
    SiteInfo,
    Unavailable,
    UsageSample,
    WorkloadSpec,
)
from federation.drivers.redfish import figures, hands, tree
from federation.drivers.redfish.course import Step, deadline, stepping
from federation.drivers.redfish.devices import text
from federation.drivers.redfish.leases import check_sense, check_way, claim, fence, is_ref, seen_of
from federation.drivers.redfish.ledger import Lease, Ledger, MemoryLedger, Phase, Picture
from federation.drivers.redfish.machines import Machine, machines_of, rules_of
from federation.drivers.redfish.wire import Line, Refused, Silent, gathered, one

FORCE_AFTER_SECONDS = 30.0  # an operator who asks again to switch off has waited long enough for the system to do it
_NAMED = 5  # so many silent machines are named in a message


class RedfishDriver(SiteDriver):
    """Has power, sensors, many looks in one, and can name all its work."""

    kind: ClassVar[str] = "baremetal"
    can_hold: bool = True

    def __init__(self, config: DriverConfig) -> None:
        super().__init__(config)
        self._machines = machines_of(config)
        self._rules = rules_of(config)
        given: Any = config.port  # the registry passes a Ledger
        self._ledger: Ledger = given if given is not None else MemoryLedger(time.monotonic)

    # -- the six calls -----------------------------------------------------------------------------------

    def check(self) -> SiteInfo:
        until = deadline()

        async def version(machine: Machine) -> str | None:
            try:
                async with _line(machine, until) as line:
                    return text((await line.get(tree.ROOT)).get("RedfishVersion")) or "unknown"
            except (Silent, Refused):
                return None

        machines = list(self._machines.values())
        found = gathered(version(machine) for machine in machines)
        silent = [machine.name for machine, said in zip(machines, found, strict=True) if said is None]
        self._not_all(silent)
        with self._ledger.turn() as turn:
            turn.raise_epoch(self.config.epoch)
        versions = Counter(said for said in found if said)
        troubles = [self._rules.trouble] if self._rules.trouble else []
        if silent:
            troubles.append(f"{len(silent)} of {len(machines)} management controllers do not answer: {_names(silent)}.")
        return SiteInfo(f"Redfish {versions.most_common(1)[0][0]}", " ".join(troubles), is_degraded=bool(troubles))

    def inventory(self) -> Iterable[NodeSeen]:
        """Each server as it was last seen to be; those whose picture is oldest are looked at first."""
        kept = self._ledger.pictures()
        leased = {lease.machine: lease for lease in self._ledger.there()}
        order = sorted(self._machines.values(), key=lambda m: kept[m.name].at if m.name in kept else -1.0)
        now, until = self._ledger.now(), deadline()

        async def look(machine: Machine) -> tuple[Machine, Picture | None, str]:
            was = kept.get(machine.name)
            try:
                async with _line(machine, until) as line:
                    if was is None or now - was.at >= self._rules.picture_seconds or not was.seen.get("system"):
                        return machine, Picture(now, await tree.walk(line, machine)), ""
                    return machine, Picture(was.at, {**was.seen, **await hands.look(line, was.seen)}), ""
            except (Silent, Refused) as error:
                return machine, was, str(error)

        found = gathered(look(machine) for machine in order)
        self._not_all([machine.name for machine, _, trouble in found if trouble])
        new = {machine.name: picture for machine, picture, trouble in found if picture is not None and not trouble}
        self._ledger.keep_pictures({name: picture for name, picture in new.items() if kept.get(name) != picture})
        nodes = {
            machine.name: tree.node_of(
                machine,
                picture.seen if picture else {},
                trouble=f"Its management controller does not answer: {trouble}"
                if trouble
                else self._use_of_others(machine, picture.seen if picture else {}, leased),
            )
            for machine, picture, trouble in found
        }
        return [nodes[name] for name in self._machines]

    def ensure(self, spec: WorkloadSpec) -> Observation:
        check_sense(spec)
        with self._ledger.turn() as turn:
            fence(turn, spec)
        machine = self._machines.get(spec.node)
        if machine is None:
            raise Rejected("NodeGone", f"There is no server {spec.node} in this cluster.")
        check_way(spec, self._rules)
        until = deadline()
        seen = self._seen(machine, until)
        devices = tree.node_of(machine, seen).devices
        with self._ledger.turn() as turn:
            lease = claim(turn, spec, devices)
        with stepping(self._step(machine, seen, until)) as step:
            try:
                after = step.watch(lease) if lease.phase == Phase.RUNNING else self._forward(step, lease, spec)
            except Rejected:
                with self._ledger.turn() as turn:
                    current = turn.get(spec.ref)
                    if current is not None and not current.was_used and current.stop_at is None:
                        # Nothing was done to the server: the claim goes, and with it the ref.
                        turn.put(replace(current, phase=Phase.GONE, gone_at=self._ledger.now()))
                raise
        return seen_of(after, spec.ref, self._ledger.now())

    @staticmethod
    def _forward(step: Step, lease: Lease, spec: WorkloadSpec) -> Lease:
        return lease if lease.phase == Phase.ENDED else step.forward(lease, spec)

    def observe(self, ref: str) -> Observation:
        lease = self._ledger.look([ref]).get(ref) if is_ref(ref) else None
        if lease is None or not lease.is_there:
            return Observation(ref, ObservedState.ABSENT)
        (seen,) = self._observed([lease])
        if seen.state == ObservedState.BROKEN:
            raise Unavailable(seen.message)
        return seen

    def observe_many(self, refs: Sequence[str]) -> Iterable[Observation]:
        leases = self._ledger.look([ref for ref in refs if is_ref(ref)])
        there = [lease for lease in leases.values() if lease.is_there]
        found = self._observed(there)
        if there and all(seen.state == ObservedState.BROKEN for seen in found):
            raise Unavailable(found[0].message)
        return found

    def remove(self, ref: str) -> Observation:
        if not is_ref(ref):
            return Observation(ref, ObservedState.ABSENT)
        now, until = self._ledger.now(), deadline()
        with self._ledger.turn() as turn:
            turn.raise_epoch(self.config.epoch)
            lease = turn.get(ref)
            if lease is None:  # a late ensure must find this
                turn.put(Lease(ref, phase=Phase.GONE, epoch=self.config.epoch, gone_at=now))
                return Observation(ref, ObservedState.ABSENT)
            if not lease.is_there:
                return Observation(ref, ObservedState.ABSENT)
            if lease.stop_at is None:
                lease = replace(lease, stop_at=now, reason="", message="")
                turn.put(lease)
        machine = self._machines.get(lease.machine)
        if machine is None:
            raise Unavailable(f"{lease.machine} is no longer among the servers of this cluster: name it again.")
        with stepping(self._step(machine, self._seen(machine, until), until)) as step:
            return seen_of(step.back(lease), ref, now)

    def usage(self, start: datetime, end: datetime) -> Iterable[UsageSample]:
        """Of each device, and what a leased server draws in all by the ref of its lease."""
        kept, until = self._ledger.pictures(), deadline()
        leases = {lease.machine: lease for lease in self._ledger.there()}
        known = [(machine, kept[name].seen) for name, machine in self._machines.items() if name in kept]

        async def figures_of(machine: Machine, seen: Mapping[str, Any]) -> list[UsageSample] | None:
            try:
                async with _line(machine, until) as line:
                    cards, whole = await figures.measured(line, seen)
                    if not line.asked:  # it has nothing to measure: is it there at all?
                        await line.get(tree.ROOT)
            except (Silent, Refused):
                return None
            samples = [
                UsageSample(end, uuid=device["uuid"], power_watts=card.watts, temperature_celsius=card.celsius)
                for device, card in zip(seen["devices"], cards, strict=True)
                if (card.watts, card.celsius) != (None, None)
            ]
            if machine.name in leases and whole.watts is not None:
                samples.append(UsageSample(end, ref=leases[machine.name].ref, power_watts=whole.watts))
            return samples

        found = gathered(figures_of(machine, seen) for machine, seen in known)
        self._not_all([machine.name for (machine, _), samples in zip(known, found, strict=True) if samples is None],
                      len(known))  # fmt: skip
        return [sample for samples in found if samples for sample in samples]

    # -- abilities ---------------------------------------------------------------------------------------

    def refs(self) -> Iterable[str]:
        """All work that the ledger has; a site where no controller answers says nothing of its work."""
        leases = self._ledger.there()
        self.check()
        return [lease.ref for lease in leases]

    def power(self, node: str) -> Power:
        machine, until = self._known(node), deadline()
        seen = self._seen(machine, until)
        return Power(str(self._do(machine, seen, until, hands.look)["power"]))

    def set_power(self, node: str, power: Power) -> Power:
        """Off asks the system of the server first; asked again after half a minute, it is cut."""
        machine, until = self._known(node), deadline()
        seen = self._seen(machine, until)
        with stepping(self._step(machine, seen, until)):
            state = self._do(machine, seen, until, hands.look)
            if power == Power.ON:
                with self._ledger.turn() as turn:
                    turn.forget_off(node)
                if not hands.is_on(state):
                    self._do(machine, seen, until, hands.turn_on)
            elif power == Power.OFF and not hands.is_off(state):
                with self._ledger.turn() as turn:
                    asked = turn.ask_off(node)
                self._do(machine, seen, until, hands.shut_down, is_hard=asked >= FORCE_AFTER_SECONDS)
            elif power == Power.OFF:
                with self._ledger.turn() as turn:
                    turn.forget_off(node)
            return Power(str(self._do(machine, seen, until, hands.look)["power"]))

    def sensors(self, node: str) -> Iterable[Reading]:
        machine, until = self._known(node), deadline()
        seen = self._seen(machine, until)
        return list(self._do(machine, seen, until, figures.readings))

    # -- parts -------------------------------------------------------------------------------------------

    def _observed(self, leases: Sequence[Lease]) -> list[Observation]:
        """Each looked at; one whose machine is silent is BROKEN with NodeMissing, which is no proof of anything."""
        until, kept = deadline(), self._ledger.pictures()

        async def look(machine: Machine | None, seen: Mapping[str, Any]) -> dict[str, Any] | str:
            if machine is None:
                return "It is no longer among the servers of this cluster."
            try:
                async with _line(machine, until) as line:
                    return await hands.look(line, seen) if seen else "It was never seen."
            except (Silent, Refused) as error:
                return str(error)

        def picture(lease: Lease) -> Mapping[str, Any]:
            return kept[lease.machine].seen if lease.machine in kept else {}

        states = gathered(look(self._machines.get(lease.machine), picture(lease)) for lease in leases)
        found = []
        for lease, state in zip(leases, states, strict=True):
            machine = self._machines.get(lease.machine)
            if isinstance(state, str) or machine is None:
                message = f"{lease.machine}: {state}"
                found.append(Observation(lease.ref, ObservedState.BROKEN, lease.generation, lease.epoch,
                                         reason="NodeMissing", message=message))  # fmt: skip
                continue
            after = self._step(machine, picture(lease), until).taken_in(lease, state)
            found.append(seen_of(after, lease.ref, self._ledger.now()))
        return found

    def _step(self, machine: Machine, seen: Mapping[str, Any], until: float) -> Step:
        return Step(self._ledger, self._rules, machine, seen, self.config.cluster_id, until)

    def _known(self, node: str) -> Machine:
        machine = self._machines.get(node)
        if machine is None:
            raise Rejected("NodeGone", f"There is no server {node} in this cluster.")
        return machine

    def _seen(self, machine: Machine, until: float) -> Mapping[str, Any]:
        """What is known of a server; one that nobody has seen yet is walked through now."""
        kept = self._ledger.pictures().get(machine.name)
        if kept is not None and kept.seen.get("system"):
            return kept.seen

        async def through() -> dict[str, Any]:
            async with _line(machine, until) as line:
                return await tree.walk(line, machine)

        seen = one(through())
        self._ledger.keep_pictures({machine.name: Picture(self._ledger.now(), seen)})
        return seen

    @staticmethod
    def _do(machine: Machine, seen: Mapping[str, Any], until: float, what: Any, **named: Any) -> Any:
        async def through() -> Any:
            async with _line(machine, until) as line:
                return await what(line, seen, **named)

        return one(through())

    def _use_of_others(self, machine: Machine, seen: Mapping[str, Any], leased: Mapping[str, Lease]) -> str:
        if machine.name in leased or self._rules.takes_running or seen.get("power") != Power.ON:
            return ""
        return "It is switched on and not leased: somebody else uses it, or it was switched on by hand."

    def _not_all(self, silent: Sequence[str], of: int | None = None) -> None:
        count = len(self._machines) if of is None else of
        if not self._machines:
            raise Unavailable("This cluster names no servers.")
        if count and len(silent) == count:
            troubles = {machine.trouble for machine in self._machines.values() if machine.trouble}
            why = f" {troubles.pop()}" if len(troubles) == 1 else ""
            raise Unavailable(f"No management controller answers: {_names(silent)}.{why}")


def _line(machine: Machine, until: float) -> Line:
    if machine.endpoint is None:
        raise Silent(machine.trouble)
    return Line(machine.endpoint, until)


def _names(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(sorted(names)[:_NAMED]) + (f" and {more} more" if more > 0 else "")
