"""The devices that a site shows, laid beside those we know: first only compared, then written."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from federation.accelerators import catalogue
from federation.drivers.base import DeviceSeen, NodeSeen
from federation.drivers.identities import pci_of, plain, serial_of
from federation.models import Accelerator, AcceleratorModel, Cluster
from federation.reconcile import sights, twins
from portal import bulk
from portal.models import ResourceFlavor
from portal.models.base import uuid7

_WHOLE = 1000
_FIELDS = (
    "is_present", "is_identified", "parent_id", "serial", "pci", "passed_to", "guest_pci", "index", "model_id",
    "memory_mib", "health", "mode", "step_milli", "most_shares", "resource", "foreign_milli", "foreign_memory_mib",
)  # fmt: skip
_PLACE = 9  # so many say which card it is, and where: when these change, where it counts has to be found out anew
Facts = tuple[Any, ...]


class Model(NamedTuple):
    pk: UUID
    smallest_share_milli: int


Models = dict[tuple[str, str], Model]


class _Row(NamedTuple):
    """Of a device that is known, or of a new one."""

    pk: UUID
    node_id: UUID
    uuid: str
    facts: Facts

    @property
    def is_present(self) -> bool:
        return bool(self.facts[0])


@dataclass
class Changes:
    """What differs. `touched` are the cards of which it has to be found out anew where they count, `places` the nodes
    that they are on."""

    cards: list[_Row] = field(default_factory=list)  # new ones
    parts: list[_Row] = field(default_factory=list)
    changed: list[_Row] = field(default_factory=list)
    missing: list[_Row] = field(default_factory=list)
    touched: twins.Named = field(default_factory=twins.Named)
    places: set[UUID] = field(default_factory=set)
    parents: set[UUID] = field(default_factory=set)  # cards whose parts come or go
    sums: list[int] = field(default_factory=list)  # of the rows that were compared

    def __bool__(self) -> bool:
        return bool(self.cards or self.parts or self.changed or self.missing)

    def rows(self) -> set[UUID]:
        """Of those that exist: what a write touches."""
        return {row.pk for row in (*self.changed, *self.missing)} | self.parents


def compare(cluster: Cluster | None, nodes_seen: list[NodeSeen], node_ids: dict[str, UUID], models: Models) -> Changes:
    """Reads, and makes the rows of new models; writes nothing else. `node_ids` by name, of new nodes too.

    With a cluster, of all its devices; without, of those on the nodes of `node_ids` alone.
    """
    _learn(models, {(d.vendor, d.model, d.memory_mib, bool(d.parent_uuid)) for n in nodes_seen for d in n.devices})
    changes = Changes()
    known, uuids = _known(cluster, node_ids, changes.sums)
    for node in nodes_seen:
        if not node.devices:
            continue
        cards_here: dict[str, UUID] = {}
        node_id, has_parts = node_ids[node.name], _has_parts(node)
        # Cards before their parts, which name them.
        for device in sorted(node.devices, key=lambda d: bool(d.parent_uuid)) if has_parts else node.devices:
            row = known.pop((node.name, device.uuid), None)
            facts = _facts(device, models, cards_here.get(device.parent_uuid))
            if row is None:
                row = _Row(uuid7(), node_id, device.uuid, facts)
                (changes.parts if device.parent_uuid else changes.cards).append(row)
                _touch(changes, row, uuids)
            elif row.facts != facts:
                is_moved = row.facts[:_PLACE] != facts[:_PLACE]
                if is_moved:
                    _touch(changes, row, uuids)
                row = row._replace(facts=facts)
                if is_moved:
                    _touch(changes, row, uuids)
                changes.changed.append(row)
            if has_parts:
                uuids[row.pk] = row.uuid
                cards_here[device.uuid] = row.pk
    for row in known.values():
        if row.is_present:
            row = row._replace(facts=(False, *row.facts[1:]))
            changes.missing.append(row)
            _touch(changes, row, uuids)
    changes.parents -= {row.pk for row in changes.cards}
    return changes


def _known(
    cluster: Cluster | None, node_ids: dict[str, UUID], sums: list[int]
) -> tuple[dict[tuple[str, str], _Row], dict[UUID, str]]:
    """By node and UUID; and the UUIDs of cards that have parts."""
    here = sights.on_nodes_of(cluster) if cluster is not None else bulk.among("node_id", node_ids.values())
    rows = Accelerator.objects.filter(here).annotate(sum=sights.DEVICE)
    # Their names are known here already: a join would read the nodes of all clusters.
    names = {pk: name for name, pk in node_ids.items()}
    known, cards = {}, {}
    for pk, node_id, uuid, total, *facts in rows.values_list("pk", "node_id", "uuid", "sum", *_FIELDS):
        known[names.get(node_id, ""), uuid] = _Row(pk, node_id, uuid, tuple(facts))
        sums.append(total)
        if facts[2] is not None:
            cards[facts[2]] = ""
    if cards:
        cards = {row.pk: row.uuid for row in known.values() if row.pk in cards}
    return known, cards


def _has_parts(node: NodeSeen) -> bool:
    return any(device.parent_uuid for device in node.devices)


def _touch(changes: Changes, row: _Row, uuids: dict[UUID, str]) -> None:
    _, is_identified, parent, serial, *_ = row.facts
    changes.places.add(row.node_id)
    if parent is not None:
        changes.parents.add(parent)
        changes.touched.uuids.add(uuids[parent])
        return
    if is_identified:
        changes.touched.uuids.add(row.uuid)
    if serial:
        changes.touched.serials.add(serial)


def write(changes: Changes) -> None:
    """In a transaction that has locked `changes.rows()`, in id order."""
    for rows in (changes.cards, changes.parts):
        bulk.insert(
            Accelerator, ("id", "node_id", "uuid", *_FIELDS), [(r.pk, r.node_id, r.uuid, *r.facts) for r in rows]
        )
    bulk.update(Accelerator, _FIELDS, ((row.pk, *row.facts) for row in (*changes.changed, *changes.missing)))


def _facts(device: DeviceSeen, models: Models, parent: UUID | None) -> Facts:
    """In the order of _FIELDS."""
    model = models[(device.vendor, device.model)]
    foreign, memory = device.foreign_milli, device.memory_mib
    return (
        True,
        device.is_identified,
        parent,
        serial_of(device.serial) if device.serial else "",
        pci_of(device.pci) if device.pci else "",
        plain(device.passed_to) if device.passed_to else "",
        pci_of(device.guest_pci) if device.guest_pci else "",
        device.index,
        model.pk,
        memory,
        device.health.value,
        device.mode,
        _WHOLE if parent is not None else device.step_milli or model.smallest_share_milli,
        device.most_shares,
        device.resource[:253],
        # Sites that let a card be taken more than once say so with more than all of it.
        min(foreign, _WHOLE) if foreign else 0,
        min(device.foreign_memory_mib, memory),
    )


def models_known() -> Models:
    rows = AcceleratorModel.objects.values_list("vendor", "name", "pk", "smallest_share_milli")
    return {(vendor, name): Model(pk, least) for vendor, name, pk, least in rows}


def _learn(rows: Models, found: set[tuple[str, str, int, bool]]) -> None:
    """A row for each model that the site shows, made from the catalogue the first time it is seen.

    A partition is a model of its own, usable whole: `A100-80G/1g.10gb`, with the memory that the site tells.
    """
    for vendor, name, memory, is_part in sorted(found):
        if (vendor, name) in rows:
            continue
        record = catalogue.lookup(vendor, name)
        flavor, _ = ResourceFlavor.objects.get_or_create(
            vendor=vendor,
            model=name,
            unit=ResourceFlavor.Unit.DEVICE,
            defaults={"name": flavor_name(vendor, name)},
        )
        model, _ = AcceleratorModel.objects.get_or_create(
            vendor=vendor,
            name=name,
            defaults={
                "flavor": flavor,
                "memory_mib": record.memory_mib or memory,
                "peak_tflops": record.peak_tflops,
                "power_watts": record.power_watts,
                "slicing_modes": [catalogue.PARTITIONED] if is_part else list(record.slicing_modes),
                "smallest_share_milli": _WHOLE if is_part else record.smallest_share_milli,
            },
        )
        rows[(vendor, name)] = Model(model.pk, model.smallest_share_milli)


def flavor_name(vendor: str, model: str) -> str:
    return f"{vendor}-{model}".lower().replace(" ", "-").replace("/", "-")[:63]
