"""Much work that differs by a number alone: one for each setting of a sweep, say."""

from typing import Any
from uuid import UUID

from django.db import transaction

from federation import gates
from federation.actions.workloads import check, predicted
from federation.models import Pool, Workload
from federation.reconcile.workloads import wake_pool
from portal import audit, bulk, events
from portal.audit import Actor
from portal.models import Project
from portal.models.base import uuid7

INDEX = "AQUIFER_ARRAY_INDEX"  # the variable that tells work its number


@transaction.atomic
def submit_many(*, by: Actor, project: Project, pool: Pool, count: int, **spec: Any) -> list[UUID]:
    """Queue `count` workloads named `name-0`, `name-1` …, all or none; their ids in that order. Refused as `submit` is.

    Each is a workload like any other from then on, and knows its number by the variable AQUIFER_ARRAY_INDEX.
    """
    check(pool, spec)
    name, env = spec.pop("name"), spec.pop("env", {})
    spec["predicted_seconds"] = predicted(project, {**spec, "name": f"{name}-0"})
    names = ["id", "tenant", "project", "pool", "submitted_by", "reason", "name", "env", *spec]
    ids = [uuid7() for _ in range(count)]
    whose = (project.tenant_id, project.pk, pool.pk, by.actor_name, "Submitted")
    rows = [
        (pk, *whose, f"{name}-{number}", {**env, INDEX: str(number)}, *spec.values()) for number, pk in enumerate(ids)
    ]
    bulk.insert(Workload, names, rows)
    work = Workload(tenant_id=project.tenant_id, project=project, pool=pool, name=f"{name}-0", **spec)
    gates.let_in(by=by, work=work, ids=ids)
    audit.record(by=by, what="workload.create", target=Workload(pk=ids[0], tenant_id=project.tenant_id, name=name),
                 detail={"count": count, "last": str(ids[-1])})  # fmt: skip
    events.publish_many(Workload.topic, [(pk, project.tenant_id) for pk in ids])
    wake_pool(pool.pk)
    return ids
