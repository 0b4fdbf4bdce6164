"""What people do with work: submit, cancel, suspend, resume, try again."""

from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from federation import gates
from federation.accelerators.catalogue import SLICING_MODES
from federation.models import AcceleratorModel, Pool, QueueOrder, Site, Workload, WorkloadKind
from federation.placement import terms
from federation.reconcile import waiting
from federation.reconcile import workloads as flow
from federation.states import WorkloadState as W
from portal import audit, events
from portal.audit import Actor
from portal.errors import Invalid
from portal.models import Project
from portal.transitions import move


@transaction.atomic
def submit(*, by: Actor, project: Project, pool: Pool, **spec: Any) -> Workload:
    """Queue a workload. Whether it can ever run is for admission to say, with the reason."""
    check(pool, spec)
    workload = Workload.objects.create(
        tenant_id=project.tenant_id,
        project=project,
        pool=pool,
        submitted_by=by.actor_name,
        reason="Submitted",
        predicted_seconds=predicted(project, spec),
        **spec,
    )
    gates.let_in(by=by, work=workload, ids=[workload.pk])
    audit.record(by=by, what="workload.create", target=workload)
    events.publish("workload", workload.pk, workload.tenant_id)
    flow.wake_pool(pool.pk)
    return workload


def draft(*, by: Actor, project: Project, pool: Pool, **spec: Any) -> Workload:
    """The workload that `submit` would make, refused as there, and made by nobody."""
    check(pool, spec)
    is_asked = pool.queue_order == QueueOrder.SHORTEST_PREDICTED  # a what-if drafts hundreds, mostly in vain
    return Workload(
        tenant_id=project.tenant_id, project=project, pool=pool, submitted_by=by.actor_name, queued_at=timezone.now(),
        predicted_seconds=predicted(project, spec) if is_asked else None, **spec,
    )  # fmt: skip


def predicted(project: Project, spec: dict[str, Any]) -> float | None:
    """How long it will run, as far as the project's runs so far tell."""
    limits = (spec.get("run_seconds"), spec.get("max_seconds"))
    return waiting.predicted_seconds(project, spec.get("name", ""), spec.get("kind", WorkloadKind.BATCH), limits)


def check(pool: Pool, spec: dict[str, Any]) -> None:
    """Refuse what makes no sense, naming the field."""
    devices, milli = spec.get("accelerators", 0), spec.get("accelerator_milli", 1000)
    if milli < 1000 and devices != 1:
        raise Invalid.field(
            "accelerator_milli", "A share is of one accelerator: ask for accelerators = 1.", "share-of-one"
        )
    if names := set(spec.get("model_names", ())):
        known = set(AcceleratorModel.objects.filter(name__in=names).values_list("name", flat=True))
        if unknown := sorted(names - known):
            raise Invalid.field("model_names", f"No site has shown a {', '.join(unknown)} yet.", "unknown-model")
        if not devices:
            raise Invalid.field(
                "model_names", "A model is named, but no accelerators are asked for.", "no-accelerators"
            )
    if slugs := set(spec.get("site_slugs", ())):
        known = set(Site.objects.filter(slug__in=slugs).values_list("slug", flat=True))
        if unknown := sorted(slugs - known):
            raise Invalid.field("site_slugs", f"There is no site {', '.join(unknown)}.", "unknown-site")
    if pool.model_names and not devices:
        raise Invalid.field("pool", f"{pool.name} is for accelerators only.", "pool-for-accelerators")
    if spec.get("boot") and spec.get("kind") not in (WorkloadKind.VM, WorkloadKind.SERVER):
        raise Invalid.field(
            "boot", "Only a virtual machine or a server starts in this way: choose its kind.", "boot-kind"
        )
    _check_terms(spec)


def _check_terms(spec: dict[str, Any]) -> None:
    """What is wanted of where it goes; see placement/terms.py."""
    replicas, least = spec.get("replicas", 1), spec.get("min_replicas") or 0
    if least > replicas:
        raise Invalid.field(
            "min_replicas", f"At least {least} members are wanted, of {replicas} in all.", "more-than-all"
        )
    topology, spread = spec.get("topology", terms.SITE), spec.get("spread", "")
    if terms.contradict(topology, spread):
        raise Invalid.field(
            "spread",
            f"Members on one {topology} cannot be each on another {spread}: choose a wider topology, such as any.",
            "contradiction",
        )
    modes = set(spec.get("slicing_modes", ()))
    if unknown := sorted(modes - set(SLICING_MODES)):
        raise Invalid.field("slicing_modes", f"There is no slicing mode {', '.join(unknown)}.", "unknown-mode")
    if modes and not spec.get("accelerators", 0):
        raise Invalid.field(
            "slicing_modes", "A slicing mode is named, but no accelerators are asked for.", "no-accelerators"
        )
    deadline = spec.get("deadline_at")
    if deadline is not None and deadline <= timezone.now():
        raise Invalid.field("deadline_at", "The deadline has to be in the future.", "in-the-past")


@transaction.atomic
def cancel(*, by: Actor, workload: Workload) -> Workload:
    """The end, by wish. What runs is stopped; its hardware is free once the site has let go."""
    workload = flow.lock(workload.pk)
    move(workload, W.CANCELLED, by=by, reason="CancelledByUser", finished_at=Now())
    flow.stop_allocations(workload, by=by, reason="CancelledByUser")
    audit.record(by=by, what="workload.cancel", target=workload)
    return workload


@transaction.atomic
def suspend(*, by: Actor, workload: Workload, reason: str = "SuspendedByUser", message: str = "") -> Workload:
    """Stop for now; `resume` queues it again, to start from where the work itself saved."""
    workload = flow.lock(workload.pk)
    move(
        workload, W.SUSPENDED, by=by, reason=reason, message=message, attempt=F("attempt") + 1, preferred_node=None
    )  # fmt: skip
    workload.refresh_from_db(fields=["attempt"])
    flow.stop_allocations(workload, by=by, reason=reason, message=message)
    audit.record(by=by, what="workload.suspend", target=workload)
    return workload


@transaction.atomic
def resume(*, by: Actor, workload: Workload) -> Workload:
    return _queue_again(by, workload, "resume", "ResumedByUser")


@transaction.atomic
def retry(*, by: Actor, workload: Workload) -> Workload:
    """Run what has ended once more, as a new attempt."""
    return _queue_again(by, workload, "retry", "RetriedByUser")


def _queue_again(by: Actor, workload: Workload, verb: str, reason: str) -> Workload:
    workload = flow.lock(workload.pk)
    move(
        workload,
        W.QUEUED,
        by=by,
        reason=reason,
        attempt=F("attempt") + 1,
        retries=0,
        queued_at=Now(),
        started_at=None,
        finished_at=None,
        exit_code=None,
        preferred_node=None,
    )
    workload.refresh_from_db(fields=["attempt", "queued_at"])
    gates.let_in(by=by, work=workload, ids=[workload.pk])
    audit.record(by=by, what=f"workload.{verb}", target=workload)
    flow.wake_pool(workload.pool_id)
    return workload
