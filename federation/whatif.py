"""What would happen if: the queue of a pool planned twice, as things are and as they might be. Writes nothing.

The same planner, in the same order, on the same snapshot as admission; so a placement here is one that admission would
make now, and a refusal is the one that it would write down. What it cannot know is what is submitted meanwhile.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from federation.models import Allocation, Node, Pool, Workload
from federation.placement.plan import Planner
from federation.placement.types import DeviceFree, Fleet, NodeFree, Outcome, Placement
from federation.reconcile import grants, waiting
from federation.reconcile.snapshot import QuotaRoom, fleet_of, mix_of, request_of
from portal.models import Quota

MOST_WAITING = 5000  # of the queue, from its head
QuotaKey = tuple[UUID, UUID | None, str]  # tenant, project, flavor


@dataclass(frozen=True, slots=True)
class Change:
    """How things might be. `asked` are workloads that were never saved; `quotas` are new nominal amounts (1/1000)."""

    asked: Sequence[Workload] = ()
    quotas: Mapping[QuotaKey, int] = field(default_factory=dict)
    closed_sites: frozenset[str] = frozenset()
    added: Sequence[NodeFree] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What becomes of one workload. `was` is None for what does not wait today: new work, and what runs on a closed
    site (`is_displaced`)."""

    workload: Workload
    now: Outcome
    was: Outcome | None
    is_displaced: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    findings: Sequence[Finding]
    nodes: Mapping[str, NodeFree]  # by id, those that were added too


def look(pool: Pool, change: Change) -> Result:
    fleet, mix = fleet_of(pool), mix_of(pool)
    queue = waiting.head(pool, MOST_WAITING, "tenant", "project")
    displaced, held = _displaced(pool, change.closed_sites)
    pairs = {(w.tenant_id, w.project_id) for w in (*queue, *displaced, *change.asked)}
    was = planned(Planner(fleet, pool.policy, mix=mix), queue, QuotaRoom(pairs))
    after = _changed(fleet, change, held)
    room = QuotaRoom(pairs)
    _change_room(room, change.quotas, held)
    # What is displaced comes by when it was first queued, what is new last of its equals.
    later = waiting.arranged(pool, [*queue, *displaced, *change.asked], freed=held)
    now = planned(Planner(after, pool.policy, mix=mix), later, room)
    gone = {w.pk for w in displaced}
    return Result(
        [Finding(w, now[w.pk], was.get(w.pk), w.pk in gone) for w in later],
        {node.id: node for node in after.nodes},
    )


def planned(planner: Planner, queue: Sequence[Workload], room: QuotaRoom) -> dict[UUID, Outcome]:
    """As admission does it, but for the commit."""
    found: dict[UUID, Outcome] = {}
    for workload in queue:
        request = request_of(workload, room.of(workload.tenant_id, workload.project_id))
        if workload._state.adding:  # who asks what would fit has not said yet what the work will come as
            request = replace(request, form="")
        outcome = planner.place(request)
        found[workload.pk] = outcome
        if isinstance(outcome, Placement):
            for member in outcome.members:
                counted = grants.counted_milli(workload, member)
                room.take(workload.tenant_id, workload.project_id, member.flavor, counted)
    return found


def _displaced(pool: Pool, sites: frozenset[str]) -> tuple[list[Workload], list[Allocation]]:
    """Work of the pool of which a member is at one of these sites, and all that it holds: a gang goes as a whole."""
    if not sites:
        return [], []
    there = Allocation.objects.holding().filter(cluster__site__slug__in=sites, workload__pool=pool)
    work = list(Workload.objects.filter(pk__in=there.values("workload")).select_related("tenant", "project"))
    held = Allocation.objects.holding().filter(workload__in=work).select_related("flavor", "node")
    return work, list(held.prefetch_related("shares__accelerator"))


def _changed(fleet: Fleet, change: Change, held: Sequence[Allocation]) -> Fleet:
    """The fleet without the closed sites, with what is added, and with what displaced work leaves elsewhere."""
    left: dict[str, list[Allocation]] = defaultdict(list)
    for allocation in held:
        left[str(allocation.node_id)].append(allocation)
    nodes = []
    for node in fleet.nodes:
        if node.site in change.closed_sites:
            node = replace(node, is_open=False, closed_reason="site closed")
        elif node.id in left:
            node = _relieved(node, left[node.id])
        nodes.append(node)
    return Fleet((*nodes, *change.added), fleet.sites)


def _relieved(node: NodeFree, left: Sequence[Allocation]) -> NodeFree:
    shares: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for allocation in left:
        for share in allocation.shares.all():
            shares[share.accelerator.index].append((share.milli, share.memory_mib))
    devices = tuple(
        replace(
            device,
            free_milli=device.free_milli + sum(milli for milli, _ in shares[device.index]),
            free_memory_mib=device.free_memory_mib + sum(memory for _, memory in shares[device.index]),
            held_shares=device.held_shares - len(shares[device.index]),
        )
        if device.index in shares
        else device
        for device in node.devices
    )
    return replace(
        node,
        cpu_milli=node.cpu_milli + sum(a.cpu_milli for a in left),
        memory_mib=node.memory_mib + sum(a.memory_mib for a in left),
        devices=devices,
    )


def _change_room(room: QuotaRoom, quotas: Mapping[QuotaKey, int], held: Sequence[Allocation]) -> None:
    held_now = {
        (q.tenant_id, q.project_id, q.flavor.name): q.held_milli for q in Quota.objects.select_related("flavor")
    }
    for key, nominal in quotas.items():
        room.set(*key, nominal - held_now.get(key, 0))
    for allocation in held:
        room.take(allocation.tenant_id, allocation.project_id, allocation.flavor.name, -allocation.held_milli)


def copies_of(node: Node, count: int, fleet: Fleet) -> list[NodeFree]:
    """So many empty nodes like this one, at its site. `fleet` is where its devices are read from."""
    like = next((one for one in fleet.nodes if one.id == str(node.pk)), None)
    if like is None:
        return []
    return [
        replace(
            like,
            id=f"added-{node.pk}-{number}",
            name=f"{like.name}+{number}",
            cpu_milli=like.total_cpu_milli,
            memory_mib=like.total_memory_mib,
            devices=tuple(_emptied(device) for device in like.devices),
            is_open=True,
            closed_reason="",
        )
        for number in range(1, count + 1)
    ]


def _emptied(device: DeviceFree) -> DeviceFree:
    return replace(device, free_milli=1000, free_memory_mib=device.memory_mib, held_shares=0, is_healthy=True)
