"""The cards of a host, from the XML of its node devices. Pure: what is strange is left out and told."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import NAMESPACE_URL, uuid5
from xml.etree import ElementTree

from federation.accelerators.catalogue import EXCLUSIVE, PASSTHROUGH, VGPU, lookup
from federation.drivers.base import DeviceSeen
from federation.drivers.kvm.pci import BOARD_DISPLAYS, BRIDGE, CLASSES, MODELS, VENDORS
from federation.drivers.kvm.trees import parsed

Element = ElementTree.Element


@dataclass(frozen=True, slots=True, order=True)
class Address:
    domain: int
    bus: int
    slot: int
    function: int

    def __str__(self) -> str:
        return f"{self.domain:04x}:{self.bus:02x}:{self.slot:02x}.{self.function:x}"

    @classmethod
    def read(cls, text: str) -> "Address":
        """Raises ValueError."""
        found = re.fullmatch(r"([0-9a-f]{4,8}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])", text)
        if found is None:
            raise ValueError(f"{text!r} is no PCI address")
        return cls(*(int(word, 16) for word in found.groups()))


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of mediated device that a card can be divided into. `free`: so many more could be made now."""

    id: str
    name: str
    free: int


@dataclass(frozen=True, slots=True)
class Function:
    """One function of one PCI device. `group`: the others that the IOMMU cannot keep apart from it."""

    address: Address
    device_class: int
    vendor_id: int
    product_id: int
    product: str
    serial: str
    numa: int | None
    group: tuple[Address, ...]
    driver: str
    kinds: tuple[Kind, ...]

    @property
    def is_card(self) -> bool:
        return self.device_class in CLASSES and (self.vendor_id, self.product_id) not in BOARD_DISPLAYS


@dataclass(frozen=True, slots=True)
class Mediated:
    """A mediated device that exists."""

    uuid: str
    kind: str
    parent: Address


@dataclass(frozen=True, slots=True)
class Part:
    """What can be handed out of a divided card: a mediated device that is there, or a place for one."""

    uuid: str  # as the hub knows it
    device: str  # the UUID of the mediated device, there or to be made
    kind: str
    is_made: bool


@dataclass(frozen=True, slots=True)
class Card:
    uuid: str
    is_identified: bool
    function: Function
    siblings: tuple[Address, ...]  # its other functions (sound, USB): they go where it goes
    strangers: tuple[Address, ...]  # other devices that the IOMMU cannot keep apart from it
    parts: tuple[Part, ...]

    @property
    def address(self) -> Address:
        return self.function.address


@dataclass(frozen=True, slots=True)
class Cards:
    cards: tuple[Card, ...]
    notes: tuple[str, ...] = ()
    functions: Mapping[Address, Function] = field(default_factory=dict)

    def find(self, uuid: str) -> tuple[Card, Part | None] | None:
        for card in self.cards:
            if card.uuid == uuid:
                return card, None
            for part in card.parts:
                if part.uuid == uuid:
                    return card, part
        return None


def cards_of(descriptions: Iterable[str], host_uuid: str, kinds: Sequence[str] = ()) -> Cards:
    """`kinds`: the types of mediated device that may be made here, by id; without any, only those that exist count."""
    functions: dict[Address, Function] = {}
    mediated: list[Mediated] = []
    notes: list[str] = []
    names: dict[str, Address] = {}
    roots: list[Element] = []
    for text in descriptions:
        try:
            roots.append(parsed(text))
        except ElementTree.ParseError:
            notes.append("The host described a device in a way that cannot be read.")
    for root in roots:
        if (capability := root.find("capability[@type='pci']")) is None:
            continue
        try:
            function = _function(capability, root.findtext("driver/name") or "")
        except ValueError as error:
            notes.append(f"The device {root.findtext('name')} is left out: {error}.")
            continue
        functions[function.address] = function
        names[root.findtext("name") or ""] = function.address
    for root in roots:
        if (capability := root.find("capability[@type='mdev']")) is not None:
            name = root.findtext("parent") or ""
            kind = capability.find("type")
            if name in names and kind is not None and (uuid := capability.findtext("uuid")):
                mediated.append(Mediated(uuid, kind.get("id", ""), names[name]))
    found = [_card(f, functions, mediated, host_uuid, kinds) for _, f in sorted(functions.items()) if f.is_card]
    return Cards(_unique(found, host_uuid, notes), tuple(notes), functions)


def _unique(cards: list[Card], host_uuid: str, notes: list[str]) -> tuple[Card, ...]:
    """Cards that say the same serial have none."""
    counts: dict[str, int] = {}
    for card in cards:
        counts[card.uuid] = counts.get(card.uuid, 0) + 1
    made = []
    for card in cards:
        if counts[card.uuid] > 1:
            notes.append(f"The card at {card.address} shares its serial number with another: it is known by its place.")
            made.append(replace(card, uuid=f"{host_uuid}/{card.address}", is_identified=False))
        else:
            made.append(card)
    return tuple(made)


def _function(capability: Element, driver: str) -> Function:
    address = Address(*(_number(capability.findtext(n)) for n in ("domain", "bus", "slot", "function")))
    vendor, product = capability.find("vendor"), capability.find("product")
    if vendor is None or product is None:
        raise ValueError("it has no vendor or product")
    group = capability.find("iommuGroup")
    others = [] if group is None else [_address(one) for one in group.findall("address")]
    numa = capability.find("numa")
    return Function(
        address=address,
        device_class=_number(capability.findtext("class") or "0") >> 8,
        vendor_id=_number(vendor.get("id")),
        product_id=_number(product.get("id")),
        product=(product.text or "").strip(),
        serial=_serial(capability),
        numa=None if numa is None else _number(numa.get("node")),
        group=tuple(sorted(other for other in others if other != address)),
        driver=driver,
        kinds=tuple(
            Kind(
                one.attrib["id"],
                (one.findtext("name") or one.attrib["id"]).strip(),
                max(_number(one.findtext("availableInstances") or "0"), 0),
            )
            for one in capability.findall("capability[@type='mdev_types']/type[@id]")
        ),
    )


def _serial(capability: Element) -> str:
    """From the card's vital product data: what its maker wrote into it."""
    for fields in capability.findall("capability[@type='vpd']/fields"):
        if text := (fields.findtext("serial_number") or "").strip():
            return text if re.fullmatch(r"[A-Za-z0-9_.:/ -]{4,64}", text) and text.strip("0 ") else ""
    return ""


def _number(text: str | None) -> int:
    if text is None:
        raise ValueError("a number is missing")
    return int(text.strip(), 0)


def _address(element: Element) -> Address:
    return Address(*(_number(element.get(n)) for n in ("domain", "bus", "slot", "function")))


def _card(
    function: Function,
    functions: Mapping[Address, Function],
    mediated: Sequence[Mediated],
    host_uuid: str,
    kinds: Sequence[str],
) -> Card:
    here = function.address
    siblings = tuple(
        sorted(a for a in functions if a != here and (a.domain, a.bus, a.slot) == (here.domain, here.bus, here.slot)
               and not functions[a].is_card)
    )  # fmt: skip
    strangers = tuple(
        a for a in function.group
        if a not in siblings and a in functions and functions[a].device_class >> 8 != BRIDGE
    )  # fmt: skip
    uuid = function.serial or f"{host_uuid}/{here}"
    made = [m for m in mediated if m.parent == here]
    return Card(uuid, bool(function.serial), function, siblings, strangers, _parts(uuid, function, made, kinds))


def _parts(uuid: str, function: Function, made: Sequence[Mediated], kinds: Sequence[str]) -> tuple[Part, ...]:
    found = []
    ours: set[str] = set()
    for kind in function.kinds:
        if kind.id not in kinds:
            continue
        there = {m.uuid for m in made}
        places = [(n, str(uuid5(NAMESPACE_URL, f"aquifer:{uuid}/{kind.id}/{n}"))) for n in range(64)]
        taken = [(n, device) for n, device in places if device in there]
        free = [(n, device) for n, device in places if device not in there][: kind.free]
        for number, device in sorted(taken + free):
            found.append(Part(f"{uuid}/{kind.id}/{number}", device, kind.id, device in there))
            ours.add(device)
    found += [Part(m.uuid, m.uuid, m.kind, True) for m in sorted(made, key=lambda m: m.uuid) if m.uuid not in ours]
    return tuple(found)


def seen_of(cards: Cards, foreign: frozenset[str]) -> tuple[DeviceSeen, ...]:
    """As the hub counts them. `foreign`: uuids of cards and parts that work which is not ours holds."""
    seen: list[DeviceSeen] = []
    for card in cards.cards:
        vendor = VENDORS.get(card.function.vendor_id, f"pci-{card.function.vendor_id:04x}")
        model = model_of(card.function)
        memory = lookup(vendor, model).memory_mib or 0
        is_divided = bool(card.parts)
        seen.append(
            DeviceSeen(
                index=len(seen),
                uuid=card.uuid,
                vendor=vendor,
                model=model,
                memory_mib=memory,
                numa=card.function.numa,
                mode=VGPU if is_divided else PASSTHROUGH,
                step_milli=1000,
                most_shares=1,
                is_identified=card.is_identified,
                resource=str(card.address),
                foreign_milli=1000 if card.uuid in foreign else 0,
                foreign_memory_mib=memory if card.uuid in foreign else 0,
            )
        )
        names = {kind.id: kind.name for kind in card.function.kinds}
        for part in card.parts:
            seen.append(
                DeviceSeen(
                    index=len(seen),
                    uuid=part.uuid,
                    vendor=vendor,
                    model=f"{model}/{names.get(part.kind, part.kind)}",
                    memory_mib=0,
                    numa=card.function.numa,
                    mode=EXCLUSIVE,
                    step_milli=1000,
                    most_shares=1,
                    parent_uuid=card.uuid,
                    is_identified=card.is_identified,
                    resource=part.kind,
                    foreign_milli=1000 if part.uuid in foreign else 0,
                )
            )
    return tuple(seen)


def model_of(function: Function) -> str:
    """As the catalogue names it, or as the host does: the words in brackets are the product's own name."""
    if known := MODELS.get((function.vendor_id, function.product_id)):
        return known
    bracketed = re.search(r"\[([^\]]+)\]", function.product)
    name = bracketed.group(1) if bracketed else function.product
    name = re.sub(r"[^A-Za-z0-9.+_-]+", "-", name).strip("-")
    return name or f"{function.vendor_id:04x}-{function.product_id:04x}"
