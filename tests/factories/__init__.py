"""Rows for tests, made through the product's own actions wherever there is one."""

from dataclasses import asdict
from itertools import count
from typing import Any
from uuid import uuid4

from federation.drivers.base import DeviceSeen, NodeSeen
from federation.models import Cluster, Pool, Site, Workload
from federation.reconcile import inventory
from federation.states import ClusterState
from portal.actions import members, quotas, tenants
from portal.audit import SYSTEM
from portal.models import Project, Quota, ResourceFlavor, Tenant, User
from portal.permissions import Role

numbers = count(1)  # of all rows in tests: slugs are unique, whoever makes them
PASSWORD = "correct horse battery"


def tenant(**facts: Any) -> Tenant:
    n = next(numbers)
    return tenants.create(by=SYSTEM, **{"slug": f"tenant-{n}", "name": f"Tenant {n}", **facts})


def project(of: Tenant | None = None, **facts: Any) -> Project:
    n = next(numbers)
    return tenants.add_project(by=SYSTEM, tenant=of or tenant(), **{"slug": f"project-{n}", "name": f"P {n}", **facts})


def user(role: Role = Role.PLATFORM_ADMIN, of: Tenant | None = None, project: Project | None = None) -> User:
    n = next(numbers)
    made = members.create_user(by=SYSTEM, username=f"user-{n}", password=PASSWORD)
    members.add(by=SYSTEM, user=made, role=role, tenant=of, project=project)
    return made


def node_seen(name: str = "node-0", *, devices: int = 4, model: str = "A100-80G", **facts: Any) -> NodeSeen:
    """`each` holds what is told of every device beside the usual."""
    memory, each = facts.pop("device_memory_mib", 81920), facts.pop("each", {})
    return NodeSeen(
        name=name,
        devices=tuple(
            DeviceSeen(index=i, uuid=f"GPU-{name}-{i}", vendor="nvidia", model=model, memory_mib=memory, **each)
            for i in range(devices)
        ),
        **{"cpu_milli": 64_000, "memory_mib": 262_144, **facts},
    )


def as_settings(node: NodeSeen) -> dict[str, Any]:
    """A node as the fake driver's `nodes` setting takes it."""
    return asdict(node)


def cluster(*nodes: NodeSeen, kind: str = "kubernetes", **settings: Any) -> Cluster:
    """A connected simulated cluster whose inventory is in the books already."""
    n = next(numbers)
    shown = nodes or (node_seen(f"node-{n}"),)
    made = Cluster.objects.create(
        site=Site.objects.create(slug=f"site-{n}", name=f"Site {n}"),
        slug=f"cluster-{n}",
        name=f"Cluster {n}",
        kind=kind,
        driver="fake",
        settings={"nodes": [as_settings(node) for node in shown], "start_seconds": 0, "stop_seconds": 0, **settings},
        state=ClusterState.CONNECTED,
    )
    inventory.store(made, list(shown))
    made.refresh_from_db()
    return made


def pool(*clusters: Cluster, **facts: Any) -> Pool:
    n = next(numbers)
    made = Pool.objects.create(slug=f"pool-{n}", name=f"Pool {n}", **facts)
    made.clusters.set(clusters)
    return made


def quota(of: Project, flavor: str = "nvidia-a100-80g", milli: int = 1_000_000) -> Quota:
    found = quotas.cpu_flavor() if flavor == quotas.CPU else ResourceFlavor.objects.get(name=flavor)
    return quotas.grant(by=SYSTEM, tenant=of.tenant, project=of, flavor=found, nominal_milli=milli)


def workload(of: Project, pool: Pool, **spec: Any) -> Workload:
    return Workload.objects.create(
        tenant=of.tenant,
        project=of,
        pool=pool,
        submitted_by="test",
        **{"name": f"work-{uuid4().hex[:6]}", "accelerators": 1, "command": ["true"], **spec},
    )
