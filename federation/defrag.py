"""Where running work of a pool could move so that what is free can be used: a plan to look at. Writes nothing.

The same snapshot and the same planner as admission, so what a plan says would start is what admission would start.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import ceil

from federation.models import Allocation, Pool, Workload
from federation.placement.defrag import Aim, MovePlan, Piece, Question, plan
from federation.placement.plan import Planner
from federation.placement.types import DeviceShare, Fleet, NodeFree, Placement
from federation.reconcile import waiting
from federation.reconcile.snapshot import QuotaRoom, asked_of, fleet_of, mix_of, request_of
from federation.states import AllocationState as A
from federation.states import WorkloadState as W
from federation.whatif import MOST_WAITING, planned

MOST_MOVES = 1000


@dataclass(frozen=True, slots=True)
class Found:
    """A plan, and the rows it speaks of. `pieces` has all that runs; workloads by id, those that wait too."""

    plan: MovePlan
    most_moves: int
    pieces: Sequence[Piece]
    running: Mapping[str, Workload]
    waiting: Sequence[Workload]
    nodes: Mapping[str, NodeFree]


def look(
    pool: Pool, *, aim: Aim, most_moves: int | None = None, most_share: float = 0.1, seconds: float = 5.0
) -> Found:
    """At most so many moves, or that share of the pool's running workloads, rounded up."""
    fleet, mix = fleet_of(pool), mix_of(pool)
    nodes = {node.id: node for node in fleet.nodes}
    held = (
        Allocation.objects.filter(workload__pool=pool, workload__state=W.RUNNING, state=A.ACTIVE)
        .select_related("workload__tenant", "workload__project", "flavor")
        .prefetch_related("shares__accelerator")
        .order_by("id")
    )
    running = {str(one.workload_id): one.workload for one in held}
    pieces = [piece for one in held if (piece := _piece(one, nodes)) is not None]
    if most_moves is None:
        most_moves = ceil(most_share * len(running))
    queue = waiting.head(pool, MOST_WAITING, "tenant", "project")
    room = QuotaRoom((w.tenant_id, w.project_id) for w in queue)

    def admit(of: Fleet) -> list[Placement]:
        outcomes = planned(Planner(of, pool.policy, mix=mix), queue, deepcopy(room))
        return [outcome for outcome in outcomes.values() if isinstance(outcome, Placement)]

    question = Question(
        fleet=fleet,
        pieces=pieces,
        most_moves=min(most_moves, MOST_MOVES),
        waiting=[request_of(w, room.of(w.tenant_id, w.project_id)) for w in queue],
        mix=asked_of(pool),
        aim=aim,
        seconds=seconds,
    )
    return Found(plan(question, admit), question.most_moves, pieces, running, queue, nodes)


def _piece(held: Allocation, nodes: Mapping[str, NodeFree]) -> Piece | None:
    """None for what holds something that the pool does not offer any more: it stays, and is not counted."""
    workload, shares = held.workload, list(held.shares.all())
    node = nodes.get(str(held.node_id))
    offered = {device.index for device in node.devices} if node is not None else set()
    if node is None or any(s.accelerator.node_id != held.node_id or s.accelerator.index not in offered for s in shares):
        return None
    # Storage and secrets that a cluster keeps are in no other.
    is_bound = bool(workload.secret_env or workload.pull_secrets) or any(
        volume["kind"] == "claim" for volume in workload.volumes
    )
    return Piece(
        id=str(workload.pk) if workload.replicas == 1 else f"{workload.pk}/{held.replica}",
        node=node.id,
        devices=tuple(
            sorted(
                (DeviceShare(s.accelerator.index, s.milli, s.memory_mib) for s in shares), key=lambda share: share.index
            )
        ),
        request=request_of(workload, {}),
        flavor=held.flavor.name,
        is_movable=workload.is_movable,
        is_bound=is_bound,
    )


def in_words(found: Found) -> str:
    """What the plan brings, or what stands in its way, in plain English."""
    plan, running = found.plan, len(found.running)
    gangs, fixed = plan.obstacles.get("gang", 0), plan.obstacles.get("not-movable", 0)
    stays = f" Of {len(found.pieces)} members that run, {fixed} are of work that may not be moved and {gangs} of gangs."
    if not running:
        return "Nothing runs in this pool."
    if not plan.moves:
        return "No move within this limit would bring anything." + stays
    before, after = plan.before, plan.after
    more = len(after.placed) - len(before.placed)
    return (
        f"{len(plan.moves)} of {running} running workloads would move. "
        f"Whole free devices: {before.free_devices} before, {after.free_devices} after. "
        f"Of {len(found.waiting)} workloads that wait, {more} more would start." + stays
    )
