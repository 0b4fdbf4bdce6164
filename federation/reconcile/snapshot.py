"""The fleet of a pool and the queue before it, as frozen values for the planner."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

from django.db.models import Q

from federation.forms import form_of, forms_at
from federation.models import Accelerator, Node, Pool, Workload
from federation.placement.mix import Mix
from federation.placement.policies import named
from federation.placement.terms import network_of
from federation.placement.types import DeviceFree, Fleet, NodeFree, Request
from federation.reconcile.loads import facts_of
from federation.states import CLUSTER_PLACEABLE, NODE_PLACEABLE, NodeState
from federation.states import WorkloadState as W
from portal.actions.quotas import CPU
from portal.models import Quota

MIX_OF = 5000  # workloads that tell what is likely to be asked next


def fleet_of(pool: Pool, only: Collection[UUID] | None = None) -> Fleet:
    """Every node of the pool with what is free on it; closed nodes too, so that refusals can name them.
    Or of these nodes only.

    Free is what neither work of ours nor that of others holds. A card that is cut is here by its parts, a card
    that is seen twice at one place.
    """
    nodes = Node.objects.exclude(state=NodeState.GONE)
    if clusters := list(pool.clusters.values_list("pk", flat=True)):
        nodes = nodes.filter(cluster__in=clusters)
    if only is not None:
        nodes = nodes.filter(pk__in=only)
    devices: dict[UUID, list[DeviceFree]] = defaultdict(list)
    shown: Any = (
        Accelerator.objects.offered()
        .filter(node__in=nodes.values("pk"))
        .order_by("node_id", "index")
        .values_list(
            "node_id", "index", "model__flavor__name", "model__name", "model__vendor", "memory_mib",
            "held_milli", "held_memory_mib", "health", "foreign_milli", "foreign_memory_mib", "step_milli",
            "most_shares", "held_shares", "mode",
        )
    )  # fmt: skip
    for row in shown if only is not None else shown.iterator(5000):  # a cursor of the server, where it is worth it
        (
            node,
            index,
            flavor,
            model,
            vendor,
            memory,
            held,
            held_memory,
            health,
            foreign,
            foreign_memory,
            step,
            most,
            holders,
            mode,
        ) = row
        if pool.model_names and model not in pool.model_names:
            continue
        devices[node].append(
            DeviceFree(
                index=index,
                flavor=flavor,
                model=model,
                vendor=vendor,
                free_milli=max(1000 - held - foreign, 0),
                free_memory_mib=max(memory - held_memory - foreign_memory, 0),
                memory_mib=memory,
                is_healthy=health == "healthy",
                can_share=step < 1000,
                step_milli=step,
                most_shares=most,
                held_shares=holders,
                mode=mode,
            )
        )
    found = []
    columns: Any = nodes.order_by("id").values_list(
        "id", "name", "cluster__slug", "cluster__site__slug", "cpu_milli", "memory_mib", "held_cpu_milli",
        "held_memory_mib", "foreign_cpu_milli", "foreign_memory_mib", "rack", "labels", "state", "cluster__state",
        "cluster__site__power_price_per_kwh", "cluster__site__carbon_grams_per_kwh", "cluster__site__region",
        "cluster__driver", "cluster__kind", "cluster__settings__default_image",
    )  # fmt: skip
    for row in columns:
        (
            pk,
            name,
            cluster,
            site,
            cpu,
            memory,
            held_cpu,
            held_memory,
            foreign_cpu,
            foreign_memory,
            rack,
            labels,
            state,
            cluster_state,
            price,
            carbon,
            region,
            driver,
            kind,
            default_image,
        ) = row
        if pool.model_names and pk not in devices:
            continue
        closed = ""
        if cluster_state not in CLUSTER_PLACEABLE:
            closed = f"cluster {cluster_state}"
        elif state not in NODE_PLACEABLE:
            closed = f"node {state}"
        found.append(
            NodeFree(
                id=str(pk),
                name=name,
                cluster=cluster,
                site=site,
                cpu_milli=max(cpu - held_cpu - foreign_cpu, 0),
                memory_mib=max(memory - held_memory - foreign_memory, 0),
                devices=tuple(devices.get(pk, ())),
                rack=rack,
                labels=labels,
                is_open=not closed,
                closed_reason=closed,
                total_cpu_milli=cpu,
                total_memory_mib=memory,
                price=float(price),
                carbon=float(carbon),
                region=region,
                network=network_of(labels),
                forms=forms_at(driver, kind, labels, default_image or ""),
            )
        )
    return Fleet(tuple(found), {} if only is not None else facts_of(pool))


def mix_of(pool: Pool) -> Mix:
    """What is asked of the pool, for policies that look at it."""
    return asked_of(pool) if named(pool.policy).needs_mix else Mix()


def asked_of(pool: Pool) -> Mix:
    """What is asked of the pool: its newest waiting and running work."""
    live = (W.QUEUED, W.ADMITTED, W.RUNNING)
    rows = (
        Workload.objects.filter(pool=pool, state__in=live)
        .order_by("-id")
        .values_list("cpu_milli", "memory_mib", "accelerators", "accelerator_milli", "model_names", "replicas")
    )
    return Mix.of(
        Request("", cpu, memory, devices, milli, models=frozenset(models), replicas=replicas)
        for cpu, memory, devices, milli, models, replicas in rows[:MIX_OF]
    )


class QuotaRoom:
    """What each project may still take of each flavor, counted down as a plan is made."""

    def __init__(self, projects: Iterable[tuple[UUID, UUID]]) -> None:
        """`projects` are (tenant, project) pairs."""
        self._free: dict[tuple[UUID, UUID | None, str], int] = {}
        self._tenants: set[UUID] = set()
        self._of: dict[UUID, list[str]] = defaultdict(list)  # the flavors of each project
        self.know(projects)

    def know(self, projects: Iterable[tuple[UUID, UUID]]) -> None:
        """Read what these have left, where it was not read before."""
        pairs = {pair for pair in projects if pair[1] not in self._of}
        if not pairs:
            return
        wanted = Q(project__in={p for _, p in pairs}) | Q(project=None, tenant__in={t for t, _ in pairs})
        for quota in Quota.objects.filter(wanted).select_related("flavor"):
            if quota.project_id is None and quota.tenant_id in self._tenants:
                continue  # counted down since
            self._free[(quota.tenant_id, quota.project_id, quota.flavor.name)] = quota.limit_milli - quota.held_milli
            if quota.project_id is not None:
                self._of[quota.project_id].append(quota.flavor.name)
        for tenant, project in pairs:
            self._tenants.add(tenant)
            self._of.setdefault(project, [])

    def of(self, tenant: UUID, project: UUID) -> dict[str, int]:
        """Flavor -> amount left for this project; both the project's and the tenant's wall count."""
        room = {}
        for flavor in self._of.get(project, ()):
            free, wall = self._free[(tenant, project, flavor)], self._free.get((tenant, None, flavor))
            room[flavor] = max(min(free, wall) if wall is not None else free, 0)
        return room

    def set(self, tenant: UUID, project: UUID | None, flavor: str, free: int) -> None:
        """As if so much were left."""
        if project is not None and flavor not in self._of[project]:
            self._of[project].append(flavor)
        self._free[(tenant, project, flavor)] = free

    def take(self, tenant: UUID, project: UUID, flavor: str, milli: int) -> None:
        for owner in (project, None):
            if (tenant, owner, flavor) in self._free:
                self._free[(tenant, owner, flavor)] -= milli


# The fields of a workload that decide where it fits, and whose it is. `request_of` looks at its deadline, too.
ASKED = ("project_id", "cpu_milli", "memory_mib", "accelerators", "accelerator_milli", "accelerator_memory_mib",
         "model_names", "site_slugs", "replicas", "min_replicas", "topology", "spread", "network_class",
         "slicing_modes", "regions", "node_labels", "prefer", "kind", "image")  # fmt: skip


def request_of(workload: Any, room: dict[str, int]) -> Request:
    """What the planner is asked for one workload, or a row with its id, deadline and `ASKED`. Work without
    accelerators is counted in cores."""
    return Request(
        id=str(workload.pk),
        cpu_milli=workload.cpu_milli,
        memory_mib=workload.memory_mib,
        devices=workload.accelerators,
        milli=workload.accelerator_milli,
        device_memory_mib=workload.accelerator_memory_mib,
        models=frozenset(workload.model_names),
        sites=frozenset(workload.site_slugs),
        flavors=room if workload.accelerators else {CPU: room.get(CPU, 0)},
        replicas=workload.replicas,
        min_replicas=workload.min_replicas or 0,
        topology=workload.topology,
        spread=workload.spread,
        network_class=workload.network_class,
        modes=frozenset(workload.slicing_modes),
        regions=frozenset(workload.regions),
        labels=workload.node_labels,
        prefer=workload.prefer,
        form=form_of(workload.kind, workload.image),
        deadline=workload.deadline_at.timestamp() if workload.deadline_at else None,
    )
