"""What a site shows, put over what we knew of it: new, changed, gone. A few statements, whatever the size."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from federation.accelerators import catalogue
from federation.drivers.base import DeviceSeen, NodeSeen
from federation.drivers.identities import plain
from federation.models import Accelerator, Allocation, Cluster, ClusterWatch, Node
from federation.reconcile import devices, nesting, sights, workloads
from federation.states import AllocationState as A
from federation.states import NodeState
from portal import bulk, events
from portal.audit import SYSTEM
from portal.models.base import uuid7
from portal.transitions import move

_LOSABLE = (A.RESERVED, A.STARTING, A.ACTIVE)
_MOST_DEVICES, _MOST_MILLI, _MOST_MIB = 1024, 10_000_000, 1 << 34  # beyond this a site is lying
_MOST_INDEX, _LONGEST_UUID = 32_767, 300
_MOST_GUESTS = 4096
_FIELDS = ("system_uuid", "guests", "rack", "labels", "cpu_milli", "memory_mib", "foreign_cpu_milli",
           "foreign_memory_mib")  # fmt: skip


class LeaseLost(Exception):
    """Somebody else follows this cluster now."""


def believable(seen: Iterable[NodeSeen]) -> tuple[list[NodeSeen], list[str]]:
    """Sort out what cannot be true (negative, absurd, twice the same name); the rest is used."""
    good: dict[str, NodeSeen] = {}
    complaints = []
    for node in seen:
        if not node.name or node.name in good or not (_amounts_fit(node) and _devices_fit(node.devices)):
            complaints.append(node.name or "(no name)")
        else:
            good[node.name] = node
    return list(good.values()), complaints


def _amounts_fit(node: NodeSeen) -> bool:
    is_whole = 0 < node.cpu_milli <= _MOST_MILLI and 0 < node.memory_mib <= _MOST_MIB
    is_whole = is_whole and len(node.guests) <= _MOST_GUESTS
    return is_whole and 0 <= node.foreign_cpu_milli <= _MOST_MILLI and 0 <= node.foreign_memory_mib <= _MOST_MIB


def _devices_fit(devices: Sequence[DeviceSeen]) -> bool:
    """Each once, with amounts that can be; a part with the card that it is of."""
    cards = {d.uuid for d in devices if not d.parent_uuid}
    is_single = len({d.uuid for d in devices}) == len(devices) == len({d.index for d in devices})
    return is_single and len(devices) <= _MOST_DEVICES and all(_device_fits(d, cards) for d in devices)


def _device_fits(device: DeviceSeen, cards: Collection[str]) -> bool:
    return (
        0 <= device.memory_mib <= _MOST_MIB  # 0: nobody says how much
        and 0 <= device.index <= _MOST_INDEX
        and 0 < len(device.uuid) <= _LONGEST_UUID
        and device.mode in catalogue.SLICING_MODES
        and 0 <= device.step_milli <= 1000
        and 0 <= device.most_shares <= _MOST_INDEX
        and device.foreign_milli >= 0
        and device.foreign_memory_mib >= 0
        and (not device.parent_uuid or device.parent_uuid in cards)
    )


def apply(cluster: Cluster, nodes_seen: list[NodeSeen], gone: Collection[str] | None = None) -> bool:
    """Bring nodes and devices in line with what was seen. True when anything differed. In a transaction.

    Without `gone` this is all there is, and what is missing from it is gone; with it, only these nodes differ.
    First all is compared, then locked in the order of grants (workload, node, device, each by id), then written.
    """
    models = devices.models_known()
    sight = sights.of(nodes_seen, models) if gone is None else ""
    if sight and sights.holds(cluster, sight):
        return False
    shown = {seen.name for seen in nodes_seen}
    known = _known(cluster, None if gone is None else [*shown, *gone])
    missing = {row.pk for name, row in known.items() if name not in shown and row.state != NodeState.GONE}
    fresh, changed, turned = [], [], {}
    for seen in nodes_seen:
        facts = _facts(seen)
        node = known.get(seen.name)
        if node is None:
            state = NodeState.READY if seen.is_ready else NodeState.NOT_READY
            fresh.append((uuid7(), cluster.pk, seen.name, state.value, *facts))
            continue
        if node.facts != facts:
            changed.append((node.pk, *facts))
        if _readiness(node.state, seen) is not None:
            turned[node.pk] = seen
    ids = {name: row.pk for name, row in known.items()} | {name: pk for pk, _, name, *_ in fresh}
    differing = devices.compare(None if gone is not None else cluster, nodes_seen, ids, models)
    if not (fresh or changed or missing or differing or turned):
        if gone is None:
            sights.note(cluster, sight, [row.sum for row in known.values()], differing.sums)
        return False
    if missing:
        workloads.lock_all(Allocation.objects.filter(node__in=missing, state__in=_LOSABLE))
    moved = missing.union(row.pk for row in known.values() if row.state == NodeState.GONE and row.pk in turned)
    reached = nesting.reach(_claims(known, fresh, changed, moved, differing.places), differing.touched)
    nesting.lock(Node, {*(pk for pk, *_ in changed), *missing, *turned, *reached.nodes})
    nesting.lock(Accelerator, differing.rows().union(reached.devices))
    bulk.insert(Node, ("id", "cluster_id", "name", "state", *_FIELDS), fresh)
    bulk.update(Node, _FIELDS, changed)
    if turned or missing:
        _turn(turned, missing)
    devices.write(differing)
    nesting.settle(reached)
    return True


class _Row(NamedTuple):
    pk: UUID
    state: str
    sum: int
    host: UUID | None
    facts: tuple[Any, ...]


def _claims(
    known: dict[str, _Row],
    fresh: Sequence[tuple[Any, ...]],
    changed: Sequence[tuple[Any, ...]],
    moved: set[UUID],
    places: set[UUID],
) -> nesting.Claims:
    """Of nodes that come, go or say anew which machine they are or have; and of linked ones whose cards differ."""
    claims = nesting.Claims()
    for _, _, _, _, uuid, guests, *_ in fresh:
        claims.add(uuid, guests)
    now = {pk: facts for pk, *facts in changed}
    for row in known.values():
        facts = now.get(row.pk, row.facts)
        is_moved = [*facts[:2]] != [*row.facts[:2]] or row.pk in moved
        if is_moved or (row.pk in places and (row.host is not None or row.facts[1])):
            claims.add(row.facts[0], row.facts[1], row.pk)
            claims.add(facts[0], facts[1])
    return claims


def _known(cluster: Cluster, names: list[str] | None) -> dict[str, _Row]:
    """By name; of these names alone, or all of the cluster's."""
    rows = Node.objects.filter(cluster=cluster)
    if names is not None:
        rows = rows.filter(bulk.among("name", names, "text"))
    found = rows.annotate(sum=sights.NODE).values_list("name", "pk", "state", "sum", "host_id", *_FIELDS)
    return {name: _Row(pk, state, total, host, tuple(facts)) for name, pk, state, total, host, *facts in found}


def _facts(seen: NodeSeen) -> tuple[Any, ...]:
    """In the order of _FIELDS."""
    return (
        plain(seen.system_uuid) if seen.system_uuid else "",
        sorted(map(plain, seen.guests)) if seen.guests else [],
        seen.rack,
        dict(seen.labels),
        seen.cpu_milli,
        seen.memory_mib,
        seen.foreign_cpu_milli,
        seen.foreign_memory_mib,
    )


def _readiness(state: str, seen: NodeSeen) -> NodeState | None:
    """READY and NOT_READY follow the site; a drain is a wish and stays. None: as it is."""
    to = NodeState.READY if seen.is_ready else NodeState.NOT_READY
    if state not in (NodeState.READY, NodeState.NOT_READY, NodeState.GONE) or state == to:
        return None
    return to


def _follow_readiness(node: Node, seen: NodeSeen) -> None:
    """Back from GONE wakes what was lost."""
    was_gone = node.state == NodeState.GONE
    to = _readiness(node.state, seen)
    if to is None:
        return
    move(node, to, by=SYSTEM, reason="SeenAgain" if was_gone else "SiteReports", message=seen.message)
    if was_gone:
        Allocation.objects.filter(node=node, state=A.LOST).update(next_check_at=Now())


def _turn(turned: dict[UUID, NodeSeen], missing: set[UUID]) -> None:
    """As they are under the lock: an operator may have drained one since it was compared."""
    for node in Node.objects.filter(pk__in=[*turned, *missing]).order_by("pk"):
        if node.pk in missing:
            _lose(node)
        else:
            _follow_readiness(node, turned[node.pk])


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


def store(
    cluster: Cluster, nodes_seen: list[NodeSeen], gone: Collection[str] | None = None, follower: UUID | None = None
) -> bool:
    """Apply an inventory in one transaction. True when anything differed.

    A whole one that was asked for is dropped when another was applied since. What a follower tells, by the token of
    its lease, is applied whatever came between, as later changes will reach it too; LeaseLost when it has the lease
    no more, since whoever has it now may have told newer things.
    """
    with transaction.atomic():
        here = Cluster.objects.filter(pk=cluster.pk)
        if gone is None and follower is None:
            here = here.filter(generation=cluster.generation)
        facts: dict[str, Any] = {} if gone is not None else {"inventory_at": Now()}
        if not here.update(generation=F("generation") + 1, **facts):
            return False
        # Asked under the lock of the cluster: who takes the lease after this writes after us.
        if follower is not None and not ClusterWatch.objects.held(cluster.pk, follower).exists():
            raise LeaseLost
        has_changed = apply(cluster, nodes_seen, gone)
        if has_changed:
            events.publish("inventory", cluster.pk)
        return has_changed
