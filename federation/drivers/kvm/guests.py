"""What a host says of its domains, and what we wrote on ours. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from xml.etree import ElementTree

from federation.drivers.base import DeviceGrant, WorkloadSpec
from federation.drivers.kvm.cards import Address
from federation.drivers.kvm.names import COURSE_SPACE, WORK_SPACE
from federation.drivers.kvm.trees import parsed

Element = ElementTree.Element
ElementTree.register_namespace("aq", WORK_SPACE)
ElementTree.register_namespace("aqc", COURSE_SPACE)
_UNITS = {"b": 1 / 1048576, "bytes": 1 / 1048576, "KiB": 1 / 1024, "k": 1 / 1024, "MiB": 1, "M": 1, "GiB": 1024,
          "G": 1024, "TiB": 1048576, "T": 1048576}  # fmt: skip
MOST_NOTES = 24


@dataclass(frozen=True, slots=True)
class Held:
    """A device that work of ours holds: as the hub knows it, and what of the host it is."""

    grant: DeviceGrant
    addresses: tuple[Address, ...] = ()  # all functions of the card
    mediated: str = ""  # or the UUID of a mediated device
    is_made: bool = False  # by us: it goes with the work


@dataclass(frozen=True, slots=True)
class Order:
    """What the hub asked for, as it stands on the domain."""

    ref: str
    epoch: int
    generation: int
    tenant: str = ""
    project: str = ""
    workload: str = ""
    name: str = ""
    kind: str = ""
    node: str = ""
    vcpus: int = 1
    memory_mib: int = 0
    grace_seconds: int = 10
    max_seconds: int | None = None
    devices: tuple[Held, ...] = ()


@dataclass(frozen=True, slots=True)
class Note:
    """Something that happened to the work. `at`: seconds since 1970, by the clock of whoever looked."""

    at: float
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Course:
    """What has become of it. Times are of the host's own clock (Host.clock), but for the notes."""

    began: float | None = None  # it was let run
    seen: float | None = None  # when it was last seen running
    ended: float | None = None
    end: str = ""  # how it ended: a word of states.ENDS
    asked: float | None = None  # when it was asked to end
    notes: tuple[Note, ...] = ()

    def noted(self, at: float, reason: str, message: str) -> "Course":
        return replace(self, notes=(*self.notes, Note(at, reason, message))[-MOST_NOTES:])

    @property
    def ran(self) -> float | None:
        """Up to the last proof of life."""
        if self.began is None:
            return None
        last = self.ended if self.ended is not None else self.seen
        return max((last if last is not None else self.began) - self.began, 0.0)


@dataclass(frozen=True, slots=True)
class Guest:
    """One domain. `order` is None where it is not ours."""

    name: str
    uuid: str
    is_active: bool
    vcpus: int
    memory_mib: int
    addresses: frozenset[Address]
    mediated: frozenset[str]
    order: Order | None
    course: Course

    @property
    def is_changed(self) -> bool:
        """Does it hold other devices, or other amounts, than what was granted?"""
        if self.order is None:
            return False
        held = self.order.devices
        return (
            self.addresses != {a for one in held for a in one.addresses}
            or self.mediated != {one.mediated for one in held if one.mediated}
            or self.vcpus != self.order.vcpus
            or self.memory_mib != self.order.memory_mib
        )


def order_of(spec: WorkloadSpec, devices: Sequence[Held]) -> Order:
    return Order(
        ref=spec.ref, epoch=spec.epoch, generation=spec.generation, tenant=spec.tenant, project=spec.project,
        workload=spec.workload, name=spec.name, kind=spec.kind, node=spec.node,
        vcpus=vcpus_of(spec), memory_mib=spec.memory_mib, grace_seconds=max(spec.grace_seconds, 0),
        max_seconds=spec.max_seconds, devices=tuple(devices),
    )  # fmt: skip


def vcpus_of(spec: WorkloadSpec) -> int:
    """Whole ones: what was asked for, rounded up."""
    return max(-(-spec.cpu_milli // 1000), 1)


# -- reading ---------------------------------------------------------------------------------------------


def guest_of(text: str, *, is_active: bool) -> Guest | None:
    """None for what cannot be read; it is then nobody's."""
    try:
        root = parsed(text)
    except ElementTree.ParseError:
        return None
    addresses, mediated = _devices(root)
    memory = root.find("memory")
    vcpus = (root.findtext("vcpu") or "1").strip()
    return Guest(
        name=root.findtext("name") or "",
        uuid=root.findtext("uuid") or "",
        is_active=is_active,
        vcpus=int(vcpus) if vcpus.isdecimal() else 1,
        memory_mib=0 if memory is None else _mib(memory),
        addresses=addresses,
        mediated=mediated,
        order=_order(root.find(f"metadata/{{{WORK_SPACE}}}work")),
        course=_course(root.find(f"metadata/{{{COURSE_SPACE}}}course")),
    )


def _mib(element: Element) -> int:
    text = (element.text or "0").strip()
    return int(int(text) * _UNITS.get(element.get("unit", "KiB"), 1 / 1024)) if text.isdecimal() else 0


def _devices(root: Element) -> tuple[frozenset[Address], frozenset[str]]:
    addresses, mediated = set(), set()
    for device in root.iterfind("devices/hostdev"):
        where = device.find("source/address")
        if where is None:
            continue
        if device.get("type") == "mdev":
            mediated.add(where.get("uuid", ""))
        elif device.get("type") == "pci":
            numbers = (where.get(n, "0") for n in ("domain", "bus", "slot", "function"))
            addresses.add(Address(*(int(n, 0) for n in numbers)))
    for device in root.iterfind("devices/interface[@type='hostdev']/source/address"):
        numbers = (device.get(n, "0") for n in ("domain", "bus", "slot", "function"))
        addresses.add(Address(*(int(n, 0) for n in numbers)))
    return frozenset(addresses), frozenset(mediated)


def _order(work: Element | None) -> Order | None:
    if work is None:
        return None
    try:
        most = work.get("max", "")
        return Order(
            ref=work.attrib["ref"], epoch=int(work.attrib["epoch"]), generation=int(work.attrib["generation"]),
            tenant=work.get("tenant", ""), project=work.get("project", ""), workload=work.get("workload", ""),
            name=work.get("name", ""), kind=work.get("kind", ""), node=work.get("node", ""),
            vcpus=int(work.get("vcpus", "1")), memory_mib=int(work.get("memory", "0")),
            grace_seconds=int(work.get("grace", "10")), max_seconds=int(most) if most else None,
            devices=tuple(_held(one) for one in work.findall(f"{{{WORK_SPACE}}}device")),
        )  # fmt: skip
    except (KeyError, ValueError):
        return None  # written into by hand: it is no work that we can speak for


def _held(device: Element) -> Held:
    grant = DeviceGrant(
        int(device.attrib["index"]), device.attrib["uuid"], int(device.attrib["milli"]), int(device.attrib["memory"])
    )
    addresses = tuple(Address.read(word) for word in device.get("addresses", "").split())
    return Held(grant, addresses, device.get("mediated", ""), device.get("made") == "yes")


def _course(found: Element | None) -> Course:
    if found is None:
        return Course()
    try:
        times = {n: float(found.attrib[n]) for n in ("began", "seen", "ended", "asked") if n in found.attrib}
        notes = tuple(
            Note(float(one.attrib["at"]), one.attrib["reason"], one.text or "")
            for one in found.findall(f"{{{COURSE_SPACE}}}note")
        )
    except (KeyError, ValueError):
        return Course()
    return Course(**times, end=found.get("end", ""), notes=notes)


# -- writing ---------------------------------------------------------------------------------------------


def work_element(order: Order) -> Element:
    work = Element(f"{{{WORK_SPACE}}}work", _texts(
        ref=order.ref, epoch=order.epoch, generation=order.generation, tenant=order.tenant, project=order.project,
        workload=order.workload, name=order.name, kind=order.kind, node=order.node, vcpus=order.vcpus,
        memory=order.memory_mib, grace=order.grace_seconds, max=order.max_seconds,
    ))  # fmt: skip
    for held in order.devices:
        grant = held.grant
        ElementTree.SubElement(work, f"{{{WORK_SPACE}}}device", _texts(
            index=grant.index, uuid=grant.uuid, milli=grant.milli, memory=grant.memory_mib,
            addresses=" ".join(str(a) for a in held.addresses), mediated=held.mediated,
            made="yes" if held.is_made else "",
        ))  # fmt: skip
    return work


def course_element(course: Course) -> Element:
    times = {n: getattr(course, n) for n in ("began", "seen", "ended", "asked")}
    found = Element(f"{{{COURSE_SPACE}}}course", _texts(
        **{n: f"{v:.3f}" for n, v in times.items() if v is not None}, end=course.end,
    ))  # fmt: skip
    for note in course.notes:
        one = ElementTree.SubElement(found, f"{{{COURSE_SPACE}}}note", at=f"{note.at:.3f}", reason=note.reason)
        one.text = note.message
    return found


def text_of(element: Element) -> str:
    return ElementTree.tostring(element, encoding="unicode")


def _texts(**values: object) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value not in (None, "")}


def held_by_others(guests: Iterable[Guest]) -> tuple[frozenset[Address], frozenset[str]]:
    """What running domains that are not ours have."""
    foreign = [g for g in guests if g.order is None and g.is_active]
    return (
        frozenset(a for g in foreign for a in g.addresses),
        frozenset(m for g in foreign for m in g.mediated),
    )
