"""Celery entry points: one id in, one step, nothing returned. Sweeps list what is due and enqueue it."""

from celery import shared_task
from django.conf import settings

from federation import calls, outputs
from federation.models import Allocation, Cluster, Pool
from federation.reconcile import admission, allocations, clusters, workloads
from portal import hints

_MOST = 500


@shared_task
def reconcile_allocation(pk: str) -> None:
    allocations.run(pk)


@shared_task
def reconcile_cluster(pk: str) -> None:
    clusters.run(pk)


@shared_task
def admit_pool(pk: str) -> None:
    if admission.run(pk):
        admit_pool.delay(pk)


@shared_task
def sweep_allocations() -> None:
    for pk in Allocation.objects.take_due(_MOST):
        hints.send("federation.tasks.reconcile_allocation", str(pk))


@shared_task
def sweep_clusters() -> None:
    for pk in Cluster.objects.take_due(_MOST):
        hints.send("federation.tasks.reconcile_cluster", str(pk))


@shared_task
def sweep_pools() -> None:
    """Queues are looked at by a process of their own (reconcile/queues.py). This is for when there is none."""
    for pk in Pool.objects.take_due(_MOST, since=settings.FEDERATION_PLANNER_SECONDS):
        hints.send("federation.tasks.admit_pool", str(pk))


@shared_task
def sweep_workloads() -> None:
    workloads.sweep()


@shared_task
def sweep_outputs() -> None:
    outputs.drop_old()
    calls.drop_old()
