"""Pools: where work queues, and over which clusters."""

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import F

from federation.accelerators.catalogue import all_records
from federation.models import AcceleratorModel, Cluster, Pool
from federation.reconcile import workloads
from portal import audit, events
from portal.audit import Actor
from portal.errors import ConcurrentUpdate, Invalid


@transaction.atomic
def create(*, by: Actor, slug: str, name: str, clusters: Iterable[Cluster] = (), **facts: Any) -> Pool:
    _check_models(facts.get("model_names", ()))
    pool = Pool.objects.create(slug=slug, name=name, **facts)
    pool.clusters.set(clusters)
    audit.record(by=by, what="pool.create", target=pool)
    events.publish("pool", pool.pk)
    return pool


@transaction.atomic
def edit(*, by: Actor, pool: Pool, clusters: Iterable[Cluster] | None = None, **facts: Any) -> Pool:
    _check_models(set(facts.get("model_names", ())) - set(pool.model_names))
    if not Pool.objects.filter(pk=pool.pk, version=pool.version).update(version=F("version") + 1, **facts):
        raise ConcurrentUpdate()
    pool.refresh_from_db()
    if clusters is not None:
        pool.clusters.set(clusters)
    audit.record(by=by, what="pool.edit", target=pool, detail={k: str(v) for k, v in facts.items()})
    events.publish("pool", pool.pk)
    workloads.wake_pool(pool.pk)
    return pool


def _check_models(names: Iterable[str]) -> None:
    """A pool may be made before its hardware comes, so the catalogue's names are good as well."""
    unknown = set(names) - {record.name for record in all_records()}
    unknown -= set(AcceleratorModel.objects.filter(name__in=unknown).values_list("name", flat=True))
    if unknown:
        said = ", ".join(sorted(unknown))
        raise Invalid.field("model_names", f"Neither sites nor the catalogue know a {said}.", "unknown-model")
