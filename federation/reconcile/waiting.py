"""The queue of one pool in the pool's order, without loading the whole of it; and how long its work will run."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, F, OuterRef, Q, Subquery, Sum, Window
from django.db.models.functions import RowNumber

from federation.models import Accelerator, Allocation, Node, Pool, QueueOrder, Workload
from federation.models.workloads import WorkloadQuerySet
from federation.placement import orders
from federation.placement.orders import CPU, DEVICES, MEMORY, Item, Part, Run
from federation.states import AllocationState as A
from federation.states import NodeState
from federation.states import WorkloadState as W
from portal.actions.quotas import CPU as CPU_FLAVOR
from portal.models import Project, Quota

RUNS_OF_PROJECT = 100  # of its newest runs, from which it is told how long the next will take
KEEP_SECONDS = 5.0  # much work is sent at once, and reading the runs costs more than all else of a submit
_MOST_KEPT = 1000  # projects
_kept: dict[UUID, tuple[float, list[Run]]] = {}
_DEPTH = 64  # of each tenant's queue is read at least for fair share

_SQL: Mapping[str, Sequence[Any]] = {
    QueueOrder.FIFO: ("queued_at", "id"),
    QueueOrder.PRIORITY: ("-priority", "queued_at", "id"),
    QueueOrder.EARLIEST_DEADLINE: (F("deadline_at").asc(nulls_last=True), "queued_at", "id"),
    QueueOrder.SHORTEST_PREDICTED: (F("predicted_seconds").asc(nulls_last=True), "queued_at", "id"),
}


def waiting(pool: Pool) -> WorkloadQuerySet:
    """All that waits, in no order. Work whose earlier attempt still holds hardware waits until that is released."""
    still_there = Allocation.objects.filter(workload=OuterRef("pk")).exclude(state__in=(A.RELEASED, A.LOST))
    rows: WorkloadQuerySet = (
        Workload.objects.waiting().filter(pool=pool).exclude(tenant__state="suspended").filter(~Exists(still_there))
    )
    return rows


def head(pool: Pool, most: int, *related: str) -> list[Workload]:
    """The first of the queue in the pool's order, at most so many; `related` are joined."""
    found = waiting(pool).select_related(*related) if related else waiting(pool)
    if pool.queue_order != QueueOrder.FAIR_SHARE:
        return list(found.order_by(*_SQL[pool.queue_order])[:most])
    ids = _fair_head(pool, most)
    by_id = found.in_bulk(ids)
    return [by_id[pk] for pk in ids if pk in by_id]  # who was cancelled in between is not there any more


def rows(pool: Pool, fields: Sequence[str], most: int, read: int) -> Iterator[Any]:
    """The same with these fields only, the first of which is `pk`; so many are read at once."""
    found = waiting(pool).values_list(*fields, named=True)
    if pool.queue_order != QueueOrder.FAIR_SHARE:
        queue = found.order_by(*_SQL[pool.queue_order])
        first = list(queue[: min(read, most)])
        # A cursor of the server costs more than most queues are long.
        yield from first if len(first) < read else queue[:most].iterator(read)
        return
    ids = _fair_head(pool, most)
    for at in range(0, len(ids), read):
        some = ids[at : at + read]
        by_id = {row.pk: row for row in found.filter(pk__in=some)}
        yield from (by_id[pk] for pk in some if pk in by_id)


def arranged(pool: Pool, work: Iterable[Workload], freed: Iterable[Allocation] = ()) -> list[Workload]:
    """These in the pool's order, as if what is `freed` were held by nobody."""
    work = list(work)
    by_id = {workload.pk: workload for workload in work}
    items = [_item(workload) for workload in work]
    if pool.queue_order != QueueOrder.FAIR_SHARE:
        return [by_id[item.id] for item in orders.in_order(pool.queue_order, items)]
    return [by_id[item.id] for item in orders.fair_share(items, *shares_of(pool, freed))]


def _fair_head(pool: Pool, most: int) -> list[UUID]:
    """Of each tenant the first of its own queue are read, about as many as are asked for in all, and deeper only when
    that is not enough."""
    tenants = waiting(pool).aggregate(count=Count("tenant", distinct=True))["count"]
    if not tenants:
        return []
    parts, whole = shares_of(pool)
    depth = max(2 * most // tenants, _DEPTH)
    while True:
        place = Window(
            RowNumber(), partition_by=F("tenant_id"), order_by=[F("priority").desc(), F("queued_at"), F("id")]
        )
        found = waiting(pool).annotate(place=place).filter(place__lte=depth).values_list(
            "id", "tenant_id", "queued_at", "priority", "replicas", "accelerators", "accelerator_milli", "cpu_milli",
            "memory_mib",
        )  # fmt: skip
        items = [
            Item(pk, tenant, queued_at, priority, demand=_demand(*amounts))
            for pk, tenant, queued_at, priority, *amounts in found.iterator(5000)
        ]
        read = Counter(item.tenant for item in items)
        deep = {tenant for tenant, count in read.items() if count == depth}
        ordered = orders.fair_share(items, parts, whole, most, deep.__contains__)
        if len(ordered) >= most or not deep:
            return [item.id for item in ordered]
        depth *= 8


def _item(workload: Workload) -> Item:
    w = workload
    demand = _demand(w.replicas, w.accelerators, w.accelerator_milli, w.cpu_milli, w.memory_mib)
    return Item(w.pk, w.tenant_id, w.queued_at, w.priority, w.deadline_at, w.predicted_seconds, demand)


def _demand(replicas: int, devices: int, milli: int, cpu_milli: int, memory_mib: int) -> dict[str, int]:
    return {DEVICES: replicas * devices * milli, CPU: replicas * cpu_milli, MEMORY: replicas * memory_mib}


def shares_of(pool: Pool, freed: Iterable[Allocation] = ()) -> tuple[dict[UUID, Part], dict[str, int]]:
    """What each tenant holds on the nodes of a pool less what is `freed`, with its weight, and all there is on them.

    The weight is the tenant's guaranteed quota of what the pool offers, in devices (of a pool without devices in
    cores): that of the tenant itself, or else the sum of its projects'; 1 where there is none.
    """
    nodes, devices = _of(pool)
    flavors = dict(devices.values_list("model__flavor").annotate(Count("pk")))
    sums = nodes.aggregate(cpu=Sum("cpu_milli", default=0), memory=Sum("memory_mib", default=0))
    whole = {DEVICES: 1000 * sum(flavors.values()), CPU: sums["cpu"], MEMORY: sums["memory"]}
    held: dict[UUID, dict[str, int]] = {}
    rows = Allocation.objects.holding().filter(node__in=nodes.values("pk")).values("tenant_id")
    for row in rows.annotate(
        devices=Sum("held_milli", filter=Q(flavor__in=flavors), default=0),
        cpu=Sum("cpu_milli", default=0),
        memory=Sum("memory_mib", default=0),
    ):
        held[row["tenant_id"]] = {DEVICES: row["devices"], CPU: row["cpu"], MEMORY: row["memory"]}
    for allocation in freed:
        if (mine := held.get(allocation.tenant_id)) is None:
            continue
        mine[DEVICES] -= allocation.held_milli if allocation.flavor_id in flavors else 0
        mine[CPU] -= allocation.cpu_milli
        mine[MEMORY] -= allocation.memory_mib
    weights = _weights(set(flavors))
    return {t: Part(held.get(t, {}), weights.get(t, 1.0)) for t in held.keys() | weights.keys()}, whole


def _of(pool: Pool) -> tuple[Any, Any]:
    """The nodes of a pool, and the devices that it offers there."""
    nodes = Node.objects.exclude(state=NodeState.GONE)
    if clusters := list(pool.clusters.values_list("pk", flat=True)):
        nodes = nodes.filter(cluster__in=clusters)
    devices = Accelerator.objects.offered().filter(node__in=nodes.values("pk"))
    if pool.model_names:
        devices = devices.filter(model__name__in=pool.model_names)
        nodes = nodes.filter(pk__in=devices.values("node"))
    return nodes, devices


def _weights(flavors: set[UUID]) -> dict[UUID, float]:
    quotas = Quota.objects.filter(Q(flavor__in=flavors) if flavors else Q(flavor__name=CPU_FLAVOR))
    rows: Any = quotas.values_list("tenant_id", "project_id", "nominal_milli")  # the types know no missing project
    own: dict[UUID, int] = defaultdict(int)
    of_projects: dict[UUID, int] = defaultdict(int)
    for tenant, project, nominal in rows:
        (own if project is None else of_projects)[tenant] += nominal
    return {t: milli / 1000 for t in own.keys() | of_projects.keys() if (milli := own.get(t) or of_projects[t]) > 0}


def predicted_seconds(project: Project, name: str, kind: str, limits: Iterable[float | None]) -> float | None:
    """How long work of a project will run, by runs as they were up to KEEP_SECONDS ago; see `orders`."""
    now = time.monotonic()
    kept_at, runs = _kept.get(project.pk, (-KEEP_SECONDS, []))
    if now - kept_at >= KEEP_SECONDS:
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        runs = _runs_of(project)
        _kept[project.pk] = now, runs
    return orders.predicted_seconds(name, kind, runs, limits)


def _runs_of(project: Project) -> list[Run]:
    first = Allocation.objects.filter(workload=OuterRef("pk"), attempt=OuterRef("attempt"), replica=0)
    ran = first.filter(started_at__isnull=False, ended_at__isnull=False).values(ran=F("ended_at") - F("started_at"))
    found: Any = (
        Workload.objects.filter(project=project, state=W.SUCCEEDED)
        .order_by("-finished_at")
        .annotate(ran=Subquery(ran[:1]))
        .values_list("name", "kind", "ran")
    )
    return [
        Run(orders.stem(name), kind, took.total_seconds())
        for name, kind, took in found[:RUNS_OF_PROJECT]
        if took is not None
    ]
