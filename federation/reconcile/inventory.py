"""What a site shows, put over what we knew of it: new, changed, gone. A few statements, whatever the size."""

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from federation.accelerators import catalogue
from federation.drivers.base import DeviceSeen, NodeSeen
from federation.models import Accelerator, AcceleratorModel, Allocation, Cluster, Node
from federation.reconcile import workloads
from federation.states import AllocationState as A
from federation.states import NodeState
from portal import events
from portal.audit import SYSTEM
from portal.models import ResourceFlavor
from portal.transitions import move

_LOSABLE = (A.RESERVED, A.STARTING, A.ACTIVE)
_MOST_DEVICES, _MOST_MILLI, _MOST_MIB = 1024, 10_000_000, 1 << 34  # beyond this a site is lying


def believable(seen: Iterable[NodeSeen]) -> tuple[list[NodeSeen], list[str]]:
    """Sort out what cannot be true (negative, absurd, twice the same name); the rest is used."""
    good: dict[str, NodeSeen] = {}
    complaints = []
    for node in seen:
        amounts_fit = 0 < node.cpu_milli <= _MOST_MILLI and 0 < node.memory_mib <= _MOST_MIB
        devices_fit = len(node.devices) <= _MOST_DEVICES and all(
            0 <= d.memory_mib <= _MOST_MIB and d.index >= 0 and d.uuid for d in node.devices
        )
        is_single = len({d.uuid for d in node.devices}) == len(node.devices) == len({d.index for d in node.devices})
        if not node.name or node.name in good or not (amounts_fit and devices_fit and is_single):
            complaints.append(node.name or "(no name)")
        else:
            good[node.name] = node
    return list(good.values()), complaints


def apply(cluster: Cluster, nodes_seen: list[NodeSeen]) -> bool:
    """Bring nodes and devices in line with what was seen. True when anything differed. In a transaction."""
    known = {node.name: node for node in Node.objects.filter(cluster=cluster)}
    shown = {seen.name for seen in nodes_seen}
    missing = [node for name, node in known.items() if name not in shown and node.state != NodeState.GONE]
    workloads.lock_all(Allocation.objects.filter(node__in=missing, state__in=_LOSABLE))
    models = _models({(d.vendor, d.model, d.memory_mib) for n in nodes_seen for d in n.devices})
    fresh, changed, woken = [], [], False
    for seen in nodes_seen:
        node = known.pop(seen.name, None)
        if node is None:
            fresh.append(
                Node(
                    cluster=cluster, name=seen.name, rack=seen.rack, labels=dict(seen.labels), cpu_milli=seen.cpu_milli,
                    memory_mib=seen.memory_mib, state=NodeState.READY if seen.is_ready else NodeState.NOT_READY,
                )
            )  # fmt: skip
            continue
        facts = {
            "rack": seen.rack,
            "labels": dict(seen.labels),
            "cpu_milli": seen.cpu_milli,
            "memory_mib": seen.memory_mib,
        }
        if any(getattr(node, name) != value for name, value in facts.items()):
            for name, value in facts.items():
                setattr(node, name, value)
            changed.append(node)
        woken |= _follow_readiness(node, seen)
    Node.objects.bulk_create(fresh, batch_size=1000)
    Node.objects.bulk_update(changed, ["rack", "labels", "cpu_milli", "memory_mib"], batch_size=500)
    for node in missing:
        _lose(node)
    devices_differ = _devices(cluster, nodes_seen, models)
    return bool(fresh or changed or missing or devices_differ or woken)


def _follow_readiness(node: Node, seen: NodeSeen) -> bool:
    """READY and NOT_READY follow the site; a drain is a wish and stays. Back from GONE wakes what was lost."""
    to = NodeState.READY if seen.is_ready else NodeState.NOT_READY
    if node.state not in (NodeState.READY, NodeState.NOT_READY, NodeState.GONE) or node.state == to:
        return False
    was_gone = node.state == NodeState.GONE
    move(node, to, by=SYSTEM, reason="SeenAgain" if was_gone else "SiteReports", message=seen.message)
    if was_gone:
        Allocation.objects.filter(node=node, state=A.LOST).update(next_check_at=Now())
    return True


def _lose(node: Node) -> None:
    """A node is missing from a complete answer: what ran there is lost until the node or its work is seen again."""
    move(node, NodeState.GONE, by=SYSTEM, reason="NotInInventory")
    rows = Allocation.objects.filter(node=node, state__in=_LOSABLE)
    for allocation in rows.order_by("workload_id", "pk"):
        workload = workloads.lock(allocation.workload_id)
        lose(allocation, message=f"{node.name} is gone from its site.")
        workloads.follow(workload)


def lose(allocation: Allocation, *, message: str) -> None:
    """To LOST. What it ran counts up to the last proof of life; the hardware stays held."""
    proof = allocation.ended_at or allocation.proof_at or allocation.started_at
    move(
        allocation, A.LOST, by=SYSTEM, reason="SiteLost", message=message, effective_at=proof,
        ended_at=proof if allocation.started_at else None,
    )  # fmt: skip


def _models(found: set[tuple[str, str, int]]) -> dict[tuple[str, str], Any]:
    """A row for each model that the site shows, made from the catalogue the first time it is seen."""
    rows = {(m.vendor, m.name): m.pk for m in AcceleratorModel.objects.all()}
    for vendor, name, memory in sorted(found):
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
                "slicing_modes": list(record.slicing_modes),
                "smallest_share_milli": record.smallest_share_milli,
            },
        )
        rows[(vendor, name)] = model.pk
    return rows


def flavor_name(vendor: str, model: str) -> str:
    return f"{vendor}-{model}".lower().replace(" ", "-")[:63]


def _devices(cluster: Cluster, nodes_seen: list[NodeSeen], models: dict[tuple[str, str], Any]) -> bool:
    node_ids = dict(Node.objects.filter(cluster=cluster).values_list("name", "pk"))
    known = {(row.node_id, row.uuid): row for row in Accelerator.objects.filter(node__cluster=cluster).iterator(5000)}
    fresh: list[Accelerator] = []
    changed: list[Accelerator] = []
    for node in nodes_seen:
        for device in node.devices:
            row = known.pop((node_ids[node.name], device.uuid), None)
            facts = _facts(device, models)
            if row is None:
                fresh.append(Accelerator(node_id=node_ids[node.name], uuid=device.uuid, **facts))
            elif any(getattr(row, name) != value for name, value in facts.items()):
                for name, value in facts.items():
                    setattr(row, name, value)
                changed.append(row)
    missing = [row for row in known.values() if row.is_present]
    for row in missing:
        row.is_present = False
    Accelerator.objects.bulk_create(fresh, batch_size=2000)
    fields = ["index", "model", "memory_mib", "health", "is_present"]
    Accelerator.objects.bulk_update(changed + missing, fields, batch_size=500)
    return bool(fresh or changed or missing)


def _facts(device: DeviceSeen, models: dict[tuple[str, str], Any]) -> dict[str, Any]:
    return {
        "index": device.index,
        "model_id": models[(device.vendor, device.model)],
        "memory_mib": device.memory_mib,
        "health": device.health.value,
        "is_present": True,
    }


def store(cluster: Cluster, nodes_seen: list[NodeSeen]) -> bool:
    """Apply an inventory in one transaction, unless a newer one has been applied meanwhile."""
    with transaction.atomic():
        is_newest = Cluster.objects.filter(pk=cluster.pk, generation=cluster.generation).update(
            generation=F("generation") + 1, inventory_at=Now()
        )
        if not is_newest:
            return False
        has_changed = apply(cluster, nodes_seen)
        if has_changed:
            events.publish("inventory", cluster.pk)
        return has_changed
