"""Making, looking at and removing one piece of work at a host: steps in an order that can be begun again at any point.

First what must never be seen without the rest: the tombstone before the end, the disks before the domain, the domain's
metadata with the domain in one step. What is there is always found by its name, which is made from the ref.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from federation.drivers.base import DeviceGrant, Observation, Rejected, Unavailable, WorkloadSpec
from federation.drivers.base import ObservedState as O
from federation.drivers.kvm import seed
from federation.drivers.kvm.cards import Cards
from federation.drivers.kvm.domains import Shape, domain_xml
from federation.drivers.kvm.guests import Course, Guest, Held, held_by_others, order_of
from federation.drivers.kvm.host import Host
from federation.drivers.kvm.images import BeingFetched, Images
from federation.drivers.kvm.names import is_writable, name_of
from federation.drivers.kvm.pool import Image, Pool, image_of
from federation.drivers.kvm.states import CRASHED, SHUTOFF, ended, seen_of
from federation.drivers.kvm.ways import Ways

FETCHING = "ImagePulling"
PROOF_SECONDS = 30.0  # a proof of life is written down this often
Found = tuple[Any, Guest]


class Work:
    def __init__(self, host: Host, ways: Ways) -> None:
        self.host, self.ways = host, ways
        self.pool = Pool(host, ways.pool, ways.pool_path)

    @property
    def node(self) -> str:
        return self.ways.node or self.host.name

    # -- making ----------------------------------------------------------------------------------------

    def ensure(self, spec: WorkloadSpec) -> Observation:
        check(spec)
        names = self.pool.names()
        self.pool.check_epoch(names, spec.epoch)
        if self.pool.is_gone(names, spec.ref):
            raise Rejected("OldGeneration", "This was taken back already.")
        found = self.host.find(name_of(spec.ref))
        if found is None:
            try:
                found = self._make(spec, names)
            except BeingFetched as step:  # nothing of it is here, so it is not taken on
                return Observation(spec.ref, O.PENDING, spec.generation, spec.epoch, None, None, FETCHING, str(step))
        domain, guest = found
        order = guest.order
        if order is None or order.ref != spec.ref:
            raise Rejected("NameTaken", f"The host has a domain {guest.name} that is not ours.")
        if (spec.epoch, spec.generation) < (order.epoch, order.generation):
            raise Rejected("OldGeneration", "A newer order of this has been seen.")
        if (spec.epoch, spec.generation) > (order.epoch, order.generation):
            order = replace(order, epoch=spec.epoch, generation=spec.generation)
            self.host.write_order(domain, order)
            guest = replace(guest, order=order)
        if guest.course.began is None and not spec.hold:
            guest = self._start(domain, guest)
        return self.seen(domain, guest, is_gone=False)

    def _make(self, spec: WorkloadSpec, names: frozenset[str]) -> Found:
        if spec.node != self.node:
            raise Rejected("NoSuchNode", f"There is no node {spec.node}; the host is {self.node}.")
        cards = self.host.cards(self.ways.mdev_types)
        held = self.held_of(spec.devices, cards)
        self.check_free(spec.ref, held, cards)
        image = self._image(spec, names)
        host, facts = self.host, self.host.facts
        disk = self.pool.make_disk(names, spec.ref, image, spec.boot.disk_mib if spec.boot else 0)
        order = order_of(spec, held)
        sown = self.pool.make_seed(names, spec.ref, seed.image_of(seed.files_of(spec, name_of(spec.ref))))
        nodes = {c.function.numa for one in held if (f := cards.find(one.grant.uuid)) for c in f[:1]}
        near = dict(facts.cells).get(next(iter(nodes)) or 0, "") if len(nodes) == 1 and len(facts.cells) > 1 else ""
        shape = Shape(
            virtualisation=facts.virtualisation, arch=facts.arch, disk=disk, seed=sown,
            log=self.pool.log_path(spec.ref), network=self._network(), bridge=self.ways.bridge,
            is_efi=self.ways.firmware == "efi", machine=self.ways.machine, cpu=self.ways.cpu, cpus=near,
            memory_nodes=str(next(iter(nodes)) or 0) if near else "", has_devices=self.host.passes_devices,
        )  # fmt: skip
        course = Course().noted(host.wall(), "Accepted", "The host has taken it on.")
        try:
            domain = host.define(domain_xml(order, shape, course))
        except host.Error as error:
            if host.find(name_of(spec.ref)) is not None:
                raise Unavailable("Somebody else is making the same work.") from None
            if error.get_error_code() in (host.libvirt.VIR_ERR_XML_ERROR, host.libvirt.VIR_ERR_CONFIG_UNSUPPORTED):
                raise Rejected("RefusedAtSite", str(error)) from None
            raise
        # A worker that froze above wakes here: what it made after a removal, or beside another's, must not stay.
        trouble = self._late_trouble(spec, held, domain.UUIDString())
        if trouble is not None:
            self._undo(domain, spec.ref)
            raise trouble
        guest = host.guest(domain)
        if guest is None:
            raise Unavailable("The host does not show what it was given.")
        return domain, guest

    def _late_trouble(self, spec: WorkloadSpec, held: Sequence[Held], uuid: str) -> Rejected | None:
        if self.pool.is_gone(self.pool.names(), spec.ref):
            return Rejected("OldGeneration", "This was taken back meanwhile.")
        for _, other in self.host.guests():
            if other.uuid == uuid or not (other.is_active or other.uuid < uuid):
                continue
            if clash(held, other) is not None:
                return Rejected("DeviceBusy", "Other work took the device at the same moment.")
        return None

    def _undo(self, domain: Any, ref: str) -> None:
        self.host.undefine(domain)
        self.pool.drop_all(ref)

    def held_of(self, grants: Sequence[DeviceGrant], cards: Cards) -> list[Held]:
        """What of the host each grant is. Raises Rejected."""
        granted = {g.uuid for g in grants}
        held = []
        for grant in grants:
            if grant.milli != 1000:
                raise Rejected("WholeDevicesOnly", "A device of this host is handed out whole.")
            found = cards.find(grant.uuid)
            if found is None:
                raise Rejected("DeviceMissing", f"The host has no device {grant.uuid}.")
            card, part = found
            if part is not None:
                held.append(Held(grant, mediated=part.device, is_made=not part.is_made))
                continue
            if any(p.is_made for p in card.parts):
                raise Rejected("DeviceBusy", f"{grant.uuid} is divided.")
            others = {c.address: c.uuid for c in cards.cards}
            bound = [a for a in card.strangers if others.get(a) not in granted]
            if bound:
                names = ", ".join(str(a) for a in bound)
                raise Rejected("IommuGroupShared", f"The host cannot keep {grant.uuid} apart from {names}.")
            held.append(Held(grant, addresses=(card.address, *card.siblings)))
        return held

    def check_free(self, ref: str, held: Sequence[Held], cards: Cards) -> None:
        """Refuse a device that other work holds here, ours or not, whatever the hub believed."""
        guests = [g for _, g in self.host.guests()]
        addresses, mediated = held_by_others(guests)
        for one in held:
            if addresses.intersection(one.addresses) or one.mediated in mediated:
                raise Rejected("DeviceBusy", f"{one.grant.uuid} is held by a machine that is not ours.")
        for guest in guests:
            if guest.order is None or guest.order.ref == ref:
                continue
            if (uuid := clash(held, guest)) is not None:
                raise Rejected("DeviceBusy", f"{uuid} is held by other work here.")

    def _image(self, spec: WorkloadSpec, names: frozenset[str]) -> Image:
        if spec.boot is not None and spec.boot.image_url:
            return Images(self.host, self.pool, self.ways).fetched(names, spec.boot)
        word = spec.image or self.ways.default_image
        if not word:
            raise Rejected("NoImage", "Say from which image the machine starts.")
        return image_of(self.host, word, self.ways.image_pool)

    def _network(self) -> str:
        try:
            is_there = self.host.connection.networkLookupByName(self.ways.network).isActive()
        except self.host.Error:
            is_there = False
        return self.ways.network if is_there else "user"

    def _start(self, domain: Any, guest: Guest) -> Guest:
        """Loaded first, then noted as begun, then let run: so nothing runs that was not noted."""
        host, order = self.host, guest.order
        assert order is not None
        for one in order.devices:
            if one.is_made:
                self._make_mediated(one)
        if not guest.is_active:
            try:
                host.load(domain)
            except host.Error as error:
                raise _start_trouble(host, error) from None
        course = replace(guest.course, began=host.clock(), seen=host.clock())
        course = course.noted(host.wall(), "Started", "It runs.")
        host.write_course(domain, course)
        host.let_run(domain)
        return replace(guest, is_active=True, course=course)

    def _make_mediated(self, held: Held) -> None:
        cards = self.host.cards(self.ways.mdev_types)
        found = cards.find(held.grant.uuid)
        if found is None or found[1] is None:
            raise Rejected("DeviceMissing", f"The host has no device {held.grant.uuid}.")
        card, part = found
        if part is not None and not part.is_made:
            parent = f"pci_{card.address}".replace(":", "_").replace(".", "_")
            self.host.make_mediated(part.device, part.kind, parent)

    # -- looking ---------------------------------------------------------------------------------------

    def observe(self, ref: str) -> Observation:
        names = self.pool.names()
        found = self.host.find(name_of(ref))
        if found is None or found[1].order is None or found[1].order.ref != ref:
            return Observation(ref, O.ABSENT)
        return self.seen(*found, is_gone=self.pool.is_gone(names, ref))

    def observe_many(self, refs: Sequence[str]) -> list[Observation]:
        wanted, names = set(refs), self.pool.names()
        return [
            self.seen(domain, guest, is_gone=self.pool.is_gone(names, guest.order.ref))
            for domain, guest in self.host.guests()
            if guest.order is not None and guest.order.ref in wanted
        ]

    def seen(self, domain: Any, guest: Guest, *, is_gone: bool) -> Observation:
        """Notes, where it is time, that it is alive, or that it has ended."""
        host, course, order = self.host, guest.course, guest.order
        assert order is not None
        state, clock = host.state(domain), host.clock()
        if course.began is not None and course.ended is None:
            fresh = course
            if state[0] in (SHUTOFF, CRASHED):
                fresh = ended(course, state, clock, host.wall(), is_sure=False)
            elif order.max_seconds is not None and not is_gone and clock - course.began >= order.max_seconds:
                host.destroy(domain)
                over = replace(course, end="TimeLimit", seen=course.began + order.max_seconds)
                state = host.state(domain)
                fresh = ended(over, state, clock, host.wall(), is_sure=False)
            elif course.seen is None or clock - course.seen >= PROOF_SECONDS:
                fresh = replace(course, seen=clock)
            if fresh != course:
                host.write_course(domain, fresh)
                guest = replace(guest, course=fresh)
        return seen_of(guest, state, clock, is_gone=is_gone)

    # -- removing --------------------------------------------------------------------------------------

    def remove(self, ref: str) -> Observation:
        names = self.pool.names()
        self.pool.bury(names, ref)
        found = self.host.find(name_of(ref))
        if found is None or found[1].order is None or found[1].order.ref != ref:
            if self.pool.leftovers(names, ref):
                self.pool.drop_all(ref)
            return Observation(ref, O.ABSENT)
        domain, guest = found
        trouble = ""
        try:
            if guest.is_active:
                self._end(domain, guest)
            if not domain.isActive():
                self._clear(domain, guest)
                return Observation(ref, O.ABSENT)
        except self.host.Error as error:
            trouble = str(error)
        again = self.host.find(name_of(ref))
        if again is None:
            return Observation(ref, O.ABSENT)
        seen = self.seen(*again, is_gone=True)
        return replace(seen, reason="RefusedAtSite", message=trouble) if trouble else seen

    def _end(self, domain: Any, guest: Guest) -> None:
        """Asks once, and pulls the plug when the time it was given is over. What stands still cannot hear."""
        host, course, order = self.host, guest.course, guest.order
        assert order is not None
        clock = host.clock()
        is_deaf = course.began is None or host.state(domain)[0] not in (1, 2, 4)
        if course.asked is None:
            course = replace(course, asked=clock).noted(host.wall(), "AskedToEnd", "It was asked to shut down.")
            host.write_course(domain, course)
            if order.grace_seconds > 0 and not is_deaf:
                host.shut_down(domain)
                return
        if is_deaf or course.asked is None or not 0 <= clock - course.asked < order.grace_seconds:
            host.destroy(domain)

    def _clear(self, domain: Any, guest: Guest) -> None:
        """The domain goes last: as long as it is there, something is left."""
        order = guest.order
        assert order is not None
        for one in order.devices:
            if one.is_made and one.mediated:
                self.host.drop_mediated(one.mediated)
        self.pool.drop_all(order.ref)
        self.host.undefine(domain)


def clash(held: Sequence[Held], guest: Guest) -> str | None:
    """The uuid of a device that this guest holds too: by what it was granted, or by what it really has."""
    granted = guest.order.devices if guest.order is not None else ()
    addresses = guest.addresses.union(*(one.addresses for one in granted))
    mediated = guest.mediated.union(one.mediated for one in granted if one.mediated)
    for one in held:
        if addresses.intersection(one.addresses) or (one.mediated and one.mediated in mediated):
            return one.grant.uuid
    return None


def check(spec: WorkloadSpec) -> None:
    """Raises Rejected for what cannot be meant."""
    texts: Mapping[str, str] = {
        "ref": spec.ref, "name": spec.name, "tenant": spec.tenant, "project": spec.project, "workload": spec.workload,
        "image": spec.image, "kind": spec.kind, "node": spec.node,
    }  # fmt: skip
    for name, text in texts.items():
        if not is_writable(text):
            raise Rejected("InvalidSpec", f"{name} has characters that cannot be written down.")
    if not spec.ref or spec.epoch < 0 or spec.generation < 0 or spec.epoch >= 10**20:
        raise Rejected("InvalidSpec", "A piece of work has a ref, an epoch and a generation.")
    if spec.memory_mib <= 0 or spec.cpu_milli <= 0:
        raise Rejected("InvalidSpec", "A machine needs memory and CPUs.")
    if spec.max_seconds is not None and spec.max_seconds <= 0:
        raise Rejected("InvalidSpec", "The longest time must be more than nothing.")
    if spec.volumes:
        raise Rejected("VolumesNotSupported", "A virtual machine has the disk of its image and no other volumes.")
    if spec.secret_env or spec.pull_secrets:
        raise Rejected("SecretsNotSupported", "A KVM host keeps no secrets for work.")


def _start_trouble(host: Host, error: Any) -> Exception:
    text = str(error)
    if "in use by driver" in text or "is in use" in text or "already in use" in text:
        return Rejected("DeviceBusy", text)
    if error.get_error_code() in (host.libvirt.VIR_ERR_CONFIG_UNSUPPORTED, host.libvirt.VIR_ERR_XML_ERROR):
        return Rejected("RefusedAtSite", text)
    return Unavailable(f"The host could not start it: {text}")
