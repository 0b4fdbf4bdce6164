"""Grants: take one back."""

from django.db import transaction

from federation.models import Allocation
from federation.reconcile import workloads as flow
from portal import audit
from portal.audit import Actor


@transaction.atomic
def release(*, by: Actor, allocation: Allocation) -> Allocation:
    """Stop what runs on it; its workload goes back to the queue (a gang as a whole)."""
    workload = flow.lock(allocation.workload_id)
    allocation.refresh_from_db()
    flow.stop(allocation, by=by, reason="ReleasedByUser")
    audit.record(by=by, what="allocation.release", target=allocation)
    flow.follow(workload)
    return allocation
