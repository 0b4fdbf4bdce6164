"""Every state and every arrow of the federation. Data only: this module imports nothing but enum.

`portal.transitions.move` is the only writer of a state and refuses what is not an arrow here.
The comment on each arrow says who fires it.
"""

from enum import StrEnum


class ClusterState(StrEnum):
    PENDING = "pending"
    CONNECTED = "connected"
    DEGRADED = "degraded"
    STALE = "stale"
    DISCONNECTED = "disconnected"
    DRAINING = "draining"
    MAINTENANCE = "maintenance"
    RETIRED = "retired"


class NodeState(StrEnum):
    READY = "ready"
    NOT_READY = "not-ready"
    DRAINING = "draining"
    DRAINED = "drained"
    GONE = "gone"


class WorkloadState(StrEnum):
    QUEUED = "queued"
    ADMITTED = "admitted"
    RUNNING = "running"
    SUSPENDED = "suspended"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class AllocationState(StrEnum):
    RESERVED = "reserved"
    STARTING = "starting"
    ACTIVE = "active"
    STOPPING = "stopping"
    RELEASED = "released"
    LOST = "lost"


class ServiceClass(StrEnum):
    """By what a grant was given. Not a state: it stays what it was at that moment."""

    GUARANTEED = "guaranteed"  # within the shares that were promised to project and tenant
    OVER_QUOTA = "over-quota"  # beyond one of them, while others leave it idle
    BEST_EFFORT = "best-effort"  # nothing of it was promised to the project, or to the tenant


C, N, W, A = ClusterState, NodeState, WorkloadState, AllocationState

_CLUSTER_WISHES = frozenset({C.DRAINING, C.MAINTENANCE, C.RETIRED})  # an operator asks: actions/clusters.py

CLUSTER_ARROWS = {
    C.PENDING: frozenset({C.CONNECTED}) | _CLUSTER_WISHES,  # first good answer: reconcile/clusters.py
    C.CONNECTED: frozenset({C.DEGRADED, C.STALE}) | _CLUSTER_WISHES,  # partial answer, silence
    C.DEGRADED: frozenset({C.CONNECTED, C.STALE}) | _CLUSTER_WISHES,  # healed, silence
    C.STALE: frozenset({C.CONNECTED, C.DEGRADED, C.DISCONNECTED}) | _CLUSTER_WISHES,  # back, or 5 min of silence
    C.DISCONNECTED: frozenset({C.CONNECTED, C.DEGRADED}) | _CLUSTER_WISHES,  # back
    # Leaving a wish is asked for as well; what is true then is found by the next look at the site.
    C.DRAINING: frozenset({C.PENDING, C.MAINTENANCE, C.RETIRED}),
    C.MAINTENANCE: frozenset({C.PENDING, C.DRAINING, C.RETIRED}),
    C.RETIRED: frozenset(),
}

NODE_ARROWS = {
    N.READY: frozenset({N.NOT_READY, N.DRAINING, N.GONE}),  # inventory; an operator; inventory
    N.NOT_READY: frozenset({N.READY, N.DRAINING, N.GONE}),  # inventory; an operator; inventory
    N.DRAINING: frozenset({N.DRAINED, N.READY, N.GONE}),  # nothing left on it; an operator takes it back
    N.DRAINED: frozenset({N.READY, N.DRAINING, N.GONE}),  # an operator takes it back
    N.GONE: frozenset({N.READY, N.NOT_READY}),  # inventory sees it again
}

WORKLOAD_ARROWS = {
    W.QUEUED: frozenset({W.ADMITTED, W.SUSPENDED, W.CANCELLED, W.FAILED}),  # admission; user; user; never fits
    W.ADMITTED: frozenset({W.RUNNING, W.QUEUED, W.SUSPENDED, W.SUCCEEDED, W.FAILED, W.CANCELLED}),  # follow allocations
    W.RUNNING: frozenset({W.QUEUED, W.SUSPENDED, W.SUCCEEDED, W.FAILED, W.CANCELLED}),  # eviction; user; exit codes
    W.SUSPENDED: frozenset({W.QUEUED, W.CANCELLED}),  # user resumes or cancels
    W.SUCCEEDED: frozenset({W.QUEUED}),  # user runs it again
    W.FAILED: frozenset({W.QUEUED}),  # retry, by the user or by max_retries
    W.CANCELLED: frozenset({W.QUEUED}),  # user runs it again
}

ALLOCATION_ARROWS = {
    A.RESERVED: frozenset({A.STARTING, A.STOPPING, A.LOST}),  # the site accepted; given up; site silent
    A.STARTING: frozenset({A.ACTIVE, A.STOPPING, A.LOST}),  # seen running; ended or given up; site or node silent
    A.ACTIVE: frozenset({A.STOPPING, A.LOST}),  # ended or asked to end; site or node silent beyond policy
    A.STOPPING: frozenset({A.RELEASED, A.LOST}),  # the driver saw ABSENT; the site cannot be asked any more
    A.LOST: frozenset({A.ACTIVE, A.STOPPING}),  # seen alive again: adopt if still wanted, else stop
    A.RELEASED: frozenset(),
}

# Stays put until somebody asks.
STABLE = frozenset({A.RELEASED})
WORKLOAD_ENDED = frozenset({W.SUCCEEDED, W.FAILED, W.CANCELLED})
WORKLOAD_HOLDING = frozenset({W.ADMITTED, W.RUNNING})
# Whatever is not released holds hardware, LOST too: the site may still run it.
ALLOCATION_HOLDING = frozenset(A) - {A.RELEASED}
# New work goes only to clusters that answer and that nobody has closed.
CLUSTER_PLACEABLE = frozenset({C.CONNECTED, C.DEGRADED})
NODE_PLACEABLE = frozenset({N.READY})
