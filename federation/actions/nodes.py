"""Nodes: empty one, take it back, switch it."""

from django.db import transaction

from federation.actions.sites import evict
from federation.drivers.abilities import Power
from federation.models import Node
from federation.reconcile import workloads
from federation.states import AllocationState as A
from federation.states import NodeState as N
from portal import audit
from portal.audit import Actor
from portal.errors import Conflict
from portal.transitions import move


@transaction.atomic
def drain(*, by: Actor, node: Node) -> Node:
    """No new work here; what runs is stopped and queued anew for elsewhere."""
    running = node.allocations.filter(state__in=(A.RESERVED, A.STARTING, A.ACTIVE))
    workloads.lock_all(running)
    move(node, N.DRAINING, by=by, reason="DrainedByOperator")
    audit.record(by=by, what="node.drain", target=node)
    evict(by, running, "NodeDrained", node.name)
    if not node.allocations.holding().exists():
        move(node, N.DRAINED, by=by, reason="Empty")
    return node


@transaction.atomic
def undrain(*, by: Actor, node: Node) -> Node:
    """Open for work again."""
    move(node, N.READY, by=by, reason="OpenedByOperator")
    audit.record(by=by, what="node.undrain", target=node)
    for pool_id in node.cluster.pools.values_list("pk", flat=True):
        workloads.wake_pool(pool_id)
    return node


@transaction.atomic
def may_switch(*, by: Actor, node: Node, power: Power) -> Node:
    """What is asked of the site after this has been committed: a site is never spoken to in a transaction."""
    if power == Power.OFF and node.allocations.holding().exists():
        raise Conflict(f"{node.name} holds work: drain it first.")
    audit.record(by=by, what="node.power", target=node, detail={"power": power.value})
    return node
