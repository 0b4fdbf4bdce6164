"""All that a driver can be asked, on an open connection: what runs in the child process, and in tests beside it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from federation.drivers.abilities import EventSeen, LogChunk, Screen
from federation.drivers.base import (
    DeviceGrant,
    NodeSeen,
    Observation,
    Rejected,
    SiteInfo,
    UsageSample,
    WorkloadSpec,
)
from federation.drivers.base import ObservedState as O
from federation.drivers.kvm.cards import Cards, seen_of
from federation.drivers.kvm.domains import device_elements
from federation.drivers.kvm.figures import samples_of
from federation.drivers.kvm.guests import Guest, Held, held_by_others, text_of
from federation.drivers.kvm.host import Host
from federation.drivers.kvm.names import is_writable, name_of
from federation.drivers.kvm.states import PAUSED, PMSUSPENDED, SHUTOFF, ended
from federation.drivers.kvm.trees import parsed
from federation.drivers.kvm.ways import Ways
from federation.drivers.kvm.work import Found, Work

_WARNINGS = frozenset({"GuestCrashed", "StoppedAtSite", "StartFailed", "HostRestarted", "TimeLimit", "MovedAtSite"})


class Site:
    def __init__(self, host: Host, settings: Any) -> None:
        self.host, self.ways = host, Ways.of(settings)
        self.work = Work(host, self.ways)

    # -- the six calls -------------------------------------------------------------------------------

    def check(self) -> SiteInfo:
        facts = self.host.facts
        self.work.pool.names()
        if facts.virtualisation == "qemu":
            return SiteInfo(facts.version, "The host has no KVM: machines are emulated, and slow.", is_degraded=False)
        return SiteInfo(facts.version)

    def inventory(self) -> list[NodeSeen]:
        host, facts, ways = self.host, self.host.facts, self.ways
        cards = host.cards(ways.mdev_types)
        guests = [g for _, g in host.guests()]
        foreign = [g for g in guests if g.order is None and g.is_active]
        addresses, mediated = held_by_others(guests)
        taken = {
            uuid for card in cards.cards for uuid, is_taken in (
                (card.uuid, bool(addresses.intersection((card.address, *card.siblings)))),
                *((part.uuid, part.device in mediated) for part in card.parts),
            ) if is_taken
        }  # fmt: skip
        labels = {"aquifer.io/host-uuid": facts.uuid, "kubernetes.io/arch": _ARCHES.get(facts.arch, facts.arch)}
        return [
            NodeSeen(
                name=self.work.node,
                cpu_milli=max(facts.cpus * 1000 - ways.reserved_cpu_milli, 0),
                memory_mib=max(facts.memory_mib - ways.reserved_memory_mib, 0),
                devices=seen_of(cards, frozenset(taken)),
                message=" ".join((*cards.notes, *_bound(cards)))[:2000],
                labels={k: v for k, v in labels.items() if v},
                foreign_cpu_milli=sum(g.vcpus for g in foreign) * 1000,
                foreign_memory_mib=sum(g.memory_mib for g in foreign),
            )
        ]

    def ensure(self, spec: WorkloadSpec) -> Observation:
        return self.work.ensure(spec)

    def observe(self, ref: str) -> Observation:
        return self.work.observe(ref)

    def remove(self, ref: str) -> Observation:
        return self.work.remove(ref)

    def usage(self, start: datetime, end: datetime) -> list[UsageSample]:
        """Present figures of each machine, dated within the interval; a host knows nothing of how busy a card is."""
        return samples_of(self.host, min(max(datetime.now(UTC), start), end))

    # -- abilities -----------------------------------------------------------------------------------

    def observe_many(self, refs: Sequence[str]) -> list[Observation]:
        return self.work.observe_many(refs)

    def refs(self) -> list[str]:
        names = self.work.pool.names()
        self.work.pool.prune(names)
        return sorted(g.order.ref for _, g in self.host.guests() if g.order is not None)

    def logs(self, ref: str, offset: int, limit: int) -> LogChunk:
        found = self.host.find(name_of(ref))
        is_over = found is None or found[1].course.ended is not None or self._is_off(found)
        data, size = self.work.pool.read_log(ref, offset, limit)
        cut = len(data)
        if offset + cut < size or not is_over:
            cut = _whole(data)
        is_complete = is_over and offset + cut >= size
        return LogChunk(data[:cut].decode(errors="replace"), min(offset, max(size, offset)) + cut, is_complete)

    def events(self, ref: str) -> list[EventSeen]:
        found = self.host.find(name_of(ref))
        if found is None or found[1].order is None:
            return []
        domain, guest = found
        self.work.seen(domain, guest, is_gone=False)
        guest = self.host.guest(domain) or guest
        return [
            EventSeen(datetime.fromtimestamp(n.at, UTC), n.reason, n.message, n.reason in _WARNINGS)
            for n in guest.course.notes
        ]

    def suspend(self, ref: str) -> Observation:
        domain, guest = self._running(ref)
        if self.host.state(domain)[0] not in (PAUSED, PMSUSPENDED):
            self.host.hold_still(domain)
            guest = self._note(domain, guest, "Suspended", "It was told to stand still.")
        return self.work.seen(domain, guest, is_gone=False)

    def resume(self, ref: str) -> Observation:
        domain, guest = self._running(ref)
        state, _ = self.host.state(domain)
        if state == PMSUSPENDED:
            domain.pMWakeup(0)
        elif state == PAUSED:
            self.host.let_run(domain)
            guest = self._note(domain, guest, "Resumed", "It was told to go on.")
        return self.work.seen(domain, guest, is_gone=False)

    def restart(self, ref: str, is_hard: bool) -> Observation:
        domain, guest = self._running(ref)
        if is_hard:
            domain.reset(0)
        else:
            domain.reboot(0)
        guest = self._note(domain, guest, "Restarted", f"It was started anew{', as by the plug' if is_hard else ''}.")
        return self.work.seen(domain, guest, is_gone=False)

    def plug(self, ref: str, device: DeviceGrant) -> Observation:
        domain, guest = self._running(ref)
        order = guest.order
        assert order is not None
        if any(one.grant.uuid == device.uuid for one in order.devices):
            return self.work.seen(domain, guest, is_gone=False)
        cards = self.host.cards(self.ways.mdev_types)
        held = self.work.held_of([device], cards)
        self.work.check_free(ref, held, cards)
        # Noted first: a device that is noted and not there is given back by `unplug`; one that is there is never free.
        fresh = replace(order, devices=(*order.devices, *held))
        self.host.write_order(domain, fresh)
        self._change(domain, held, is_in=True, back=order)
        guest = self._note(domain, self.host.guest(domain) or guest, "Plugged", f"{device.uuid} was given to it.")
        return self.work.seen(domain, guest, is_gone=False)

    def unplug(self, ref: str, device: DeviceGrant) -> Observation:
        domain, guest = self._running(ref)
        order = guest.order
        assert order is not None
        gone = [one for one in order.devices if one.grant.uuid == device.uuid]
        if not gone:
            return self.work.seen(domain, guest, is_gone=False)
        self._change(domain, [one for one in gone if self._is_in(guest, one)], is_in=False, back=order)
        left = self.host.guest(domain)
        if left is not None and any(self._is_in(left, one) for one in gone):
            # The guest's own kernel gives it back when it is done with it: ask again.
            return replace(self.work.seen(domain, guest, is_gone=False), reason="Unplugging")
        self.host.write_order(domain, replace(order, devices=tuple(o for o in order.devices if o not in gone)))
        for one in gone:
            if one.is_made and one.mediated:
                self.host.drop_mediated(one.mediated)
        guest = self._note(domain, self.host.guest(domain) or guest, "Unplugged", f"{device.uuid} was taken from it.")
        return self.work.seen(domain, guest, is_gone=False)

    def screen(self, ref: str) -> Screen | None:
        domain, _ = self._running(ref)
        root = parsed(domain.XMLDesc(self.host.libvirt.VIR_DOMAIN_XML_SECURE))
        for graphics in root.iterfind("devices/graphics"):
            port = graphics.get("port", "-1")
            if graphics.get("type") in ("vnc", "spice") and port.isdecimal() and int(port) > 0:
                host = graphics.get("listen", "127.0.0.1")
                return Screen(str(graphics.get("type")), host, int(port), graphics.get("passwd", ""))
        return None

    def note_end(self, name: str) -> None:
        """The host told that it stopped: it ran up to this moment."""
        if (found := self.host.find(name)) is None:
            return
        domain, guest = found
        state = self.host.state(domain)
        if (
            guest.order is not None
            and guest.course.began is not None
            and guest.course.ended is None
            and state[0] == SHUTOFF
        ):
            fresh = ended(guest.course, state, self.host.clock(), self.host.wall(), is_sure=True)
            self.host.write_course(domain, fresh)

    # -- how -----------------------------------------------------------------------------------------

    def _running(self, ref: str) -> Found:
        """Raises Rejected("NotRunning")."""
        found = self.host.find(name_of(ref)) if is_writable(ref) else None
        if found is None or found[1].order is None or found[1].order.ref != ref:
            raise Rejected("NotRunning", "There is no such work at the host.")
        domain, guest = found
        is_gone = self.work.pool.is_gone(self.work.pool.names(), ref)
        if not guest.is_active or is_gone or self.work.seen(domain, guest, is_gone=False).state != O.RUNNING:
            raise Rejected("NotRunning", "It does not run.")
        return domain, self.host.guest(domain) or guest

    def _is_off(self, found: Found) -> bool:
        return found[1].course.began is not None and not found[1].is_active

    def _note(self, domain: Any, guest: Guest, reason: str, message: str) -> Guest:
        course = guest.course.noted(self.host.wall(), reason, message)
        self.host.write_course(domain, course)
        return replace(guest, course=course)

    def _is_in(self, guest: Guest, held: Held) -> bool:
        return bool(guest.addresses.intersection(held.addresses)) or held.mediated in guest.mediated

    def _change(self, domain: Any, held: Sequence[Held], *, is_in: bool, back: Any) -> None:
        change = self.host.attach if is_in else self.host.detach
        for element in device_elements(held):
            try:
                change(domain, text_of(element))
            except self.host.Error as error:
                if is_in:
                    guest = self.host.guest(domain)
                    if guest is not None and not any(self._is_in(guest, one) for one in held):
                        self.host.write_order(domain, back)
                text = str(error)
                raise Rejected("DeviceBusy" if "in use" in text else "Refused", text) from None


_ARCHES = {"x86_64": "amd64", "aarch64": "arm64"}


def _bound(cards: Cards) -> list[str]:
    return [
        f"The card at {card.address} cannot be kept apart from {', '.join(str(a) for a in card.strangers)}."
        for card in cards.cards
        if card.strangers
    ]


def _whole(data: bytes) -> int:
    """How much of it ends with a whole character."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        need = 1 if byte < 0x80 else 2 if byte >> 5 == 6 else 3 if byte >> 4 == 14 else 4 if byte >> 3 == 30 else 1
        return len(data) if need <= back else len(data) - back or len(data)
    return len(data)
