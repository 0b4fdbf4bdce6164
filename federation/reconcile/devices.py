"""The devices that a site shows, laid beside those we know: first only compared, then written."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from federation.accelerators import catalogue
from federation.drivers.base import DeviceSeen, NodeSeen
from federation.models import Accelerator, AcceleratorModel, Cluster
from federation.reconcile import bulk, twins
from portal.models import ResourceFlavor

_WHOLE = 1000
_FIELDS = [
    "index", "model", "parent", "memory_mib", "health", "is_present", "is_identified", "mode", "step_milli",
    "most_shares", "resource", "foreign_milli", "foreign_memory_mib",
]  # fmt: skip


class _Model(NamedTuple):
    pk: UUID
    smallest_share_milli: int


@dataclass
class Changes:
    """What differs. `touched` are the cards of which it has to be found out anew where they count."""

    cards: list[Accelerator] = field(default_factory=list)  # new ones
    parts: list[Accelerator] = field(default_factory=list)
    changed: list[Accelerator] = field(default_factory=list)
    missing: list[Accelerator] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)
    parents: set[UUID] = field(default_factory=set)  # cards whose parts come or go

    def __bool__(self) -> bool:
        return bool(self.cards or self.parts or self.changed or self.missing)

    def rows(self) -> set[UUID]:
        """Of those that exist: what a write touches."""
        return {row.pk for row in (*self.changed, *self.missing)} | self.parents


def compare(cluster: Cluster | None, nodes_seen: list[NodeSeen], node_ids: dict[str, UUID]) -> Changes:
    """Reads, and makes the rows of new models; writes nothing else. `node_ids` by name, of new nodes too.

    With a cluster, of all its devices; without, of those on the nodes of `node_ids` alone.
    """
    models = _models({(d.vendor, d.model, d.memory_mib, bool(d.parent_uuid)) for n in nodes_seen for d in n.devices})
    here = {"node__cluster": cluster} if cluster is not None else {"node__in": list(node_ids.values())}
    rows = list(Accelerator.objects.filter(**here).iterator(5000))
    known = {(row.node_id, row.uuid): row for row in rows}
    uuids = {row.pk: row.uuid for row in rows}
    changes = Changes()
    for node in nodes_seen:
        cards_here: dict[str, UUID] = {}
        # Cards before their parts, which name them.
        for device in sorted(node.devices, key=lambda d: bool(d.parent_uuid)) if _has_parts(node) else node.devices:
            row = known.pop((node_ids[node.name], device.uuid), None)
            facts = _facts(device, models, cards_here.get(device.parent_uuid))
            if row is None:
                row = Accelerator(node_id=node_ids[node.name], uuid=device.uuid, **facts)
                (changes.parts if device.parent_uuid else changes.cards).append(row)
                _touch(changes, row, uuids)
            elif any(getattr(row, name) != value for name, value in facts.items()):
                is_moved = any(
                    getattr(row, name) != facts[name] for name in ("is_present", "is_identified", "parent_id")
                )
                if is_moved:
                    _touch(changes, row, uuids)
                for name, value in facts.items():
                    setattr(row, name, value)
                if is_moved:
                    _touch(changes, row, uuids)
                changes.changed.append(row)
            uuids[row.pk] = row.uuid
            cards_here[device.uuid] = row.pk
    for row in known.values():
        if row.is_present:
            row.is_present = False
            changes.missing.append(row)
            _touch(changes, row, uuids)
    changes.parents -= {row.pk for row in changes.cards}
    return changes


def _has_parts(node: NodeSeen) -> bool:
    return any(device.parent_uuid for device in node.devices)


def _touch(changes: Changes, row: Accelerator, uuids: dict[UUID, str]) -> None:
    if row.parent_id is not None:
        changes.parents.add(row.parent_id)
        changes.touched.add(uuids[row.parent_id])
    elif row.is_identified:
        changes.touched.add(row.uuid)


def write(changes: Changes) -> None:
    """In a transaction that has locked `changes.rows()` and the rows of `changes.touched`, in id order."""
    bulk.insert(changes.cards)
    bulk.insert(changes.parts)
    bulk.update(changes.changed + changes.missing, _FIELDS)
    twins.settle(changes.touched)


def _facts(device: DeviceSeen, models: dict[tuple[str, str], _Model], parent: UUID | None) -> dict[str, Any]:
    model = models[(device.vendor, device.model)]
    step = _WHOLE if parent is not None else device.step_milli or model.smallest_share_milli
    return {
        "index": device.index,
        "model_id": model.pk,
        "parent_id": parent,
        "memory_mib": device.memory_mib,
        "health": device.health.value,
        "is_present": True,
        "is_identified": device.is_identified,
        "mode": device.mode,
        "step_milli": step,
        "most_shares": device.most_shares,
        "resource": device.resource[:253],
        # Sites that let a card be taken more than once say so with more than all of it.
        "foreign_milli": min(device.foreign_milli, _WHOLE),
        "foreign_memory_mib": min(device.foreign_memory_mib, device.memory_mib),
    }


def _models(found: set[tuple[str, str, int, bool]]) -> dict[tuple[str, str], _Model]:
    """A row for each model that the site shows, made from the catalogue the first time it is seen.

    A partition is a model of its own, usable whole: `A100-80G/1g.10gb`, with the memory that the site tells.
    """
    rows = {(m.vendor, m.name): _Model(m.pk, m.smallest_share_milli) for m in AcceleratorModel.objects.all()}
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
        rows[(vendor, name)] = _Model(model.pk, model.smallest_share_milli)
    return rows


def flavor_name(vendor: str, model: str) -> str:
    return f"{vendor}-{model}".lower().replace(" ", "-").replace("/", "-")[:63]
