"""Rows that billing reads, made through the models: the walls of the database hold here too."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction

from billing.actions import prices
from billing.models import PriceVersion
from billing.periods import Period, month
from billing.policy import policy
from federation.models import Accelerator, AcceleratorModel, Allocation, Cluster, Node, Pool, Share, Site, Workload
from federation.states import AllocationState as A
from portal.audit import SYSTEM
from portal.models import Project, Quota, ResourceFlavor, Tenant
from portal.transitions import move
from tests.factories import numbers

NOVEMBER = month("2026-11", policy().zone)
TEN = datetime(2026, 11, 10, 2, 0, tzinfo=UTC)  # ten in the morning in Shanghai


def at(minutes: float = 0, **more: float) -> datetime:
    return TEN + timedelta(minutes=minutes, **more)


class Estate:
    """One site with a large node and a tenant with one project, free to hold much."""

    def __init__(self, name: str = "", devices: int = 4) -> None:
        n = next(numbers)
        self.tenant = Tenant.objects.create(slug=f"tenant-{n}", name=name or f"Tenant {n}")
        self.project = self.project_named("Vision")
        self.flavor = ResourceFlavor.objects.create(name=f"card-{n}", vendor="nvidia", model=f"card-{n}")
        self.model = AcceleratorModel.objects.create(vendor="nvidia", name=f"card-{n}", flavor=self.flavor)
        self.site = Site.objects.create(slug=f"site-{n}", name=f"Site {n}")
        self.cluster = Cluster.objects.create(
            site=self.site, slug="main", name="Main", kind="baremetal", driver="fake", state="connected"
        )
        self.node = Node.objects.create(cluster=self.cluster, name="node-1", cpu_milli=10**9, memory_mib=10**9)
        self.devices = Accelerator.objects.bulk_create(
            Accelerator(node=self.node, model=self.model, index=i, uuid=f"{n}-{i}", memory_mib=80_000, step_milli=1)
            for i in range(devices)
        )
        Quota.objects.create(tenant=self.tenant, flavor=self.flavor, nominal_milli=10**9)
        self.pool = Pool.objects.create(slug=f"pool-{n}", name="Pool")

    def project_named(self, name: str) -> Project:
        return Project.objects.create(tenant=self.tenant, slug=f"p-{next(numbers)}", name=name)

    def price(self, unit_price: str, **more: Any) -> PriceVersion:
        more.setdefault("valid_from", datetime(2026, 1, 1, tzinfo=UTC))
        return prices.set_price(by=SYSTEM, flavor=self.flavor, unit_price=Decimal(unit_price), currency="CNY", **more)

    def reserved(
        self,
        milli: int = 1000,
        project: Project | None = None,
        device: int | None = None,
        workload: Workload | None = None,
    ) -> Allocation:
        project = project or self.project
        workload = workload or Workload.objects.create(
            tenant=self.tenant, project=project, pool=self.pool, name="train", submitted_by="somebody"
        )
        allocation: Allocation = Allocation.objects.create(
            workload=workload,
            tenant=self.tenant,
            project=project,
            cluster=self.cluster,
            node=self.node,
            flavor=self.flavor,
            attempt=workload.attempt,
            epoch=1,
            cpu_milli=1000,
            memory_mib=1024,
            held_milli=milli,
        )
        if device is not None:
            Share.objects.create(
                allocation=allocation,
                accelerator=self.devices[device],
                milli=min(milli, 1000),
                memory_mib=self.devices[device].memory_mib * min(milli, 1000) // 1000,
            )
        return allocation

    @transaction.atomic
    def running(self, start: datetime, proof: datetime, milli: int = 1000, **more: Any) -> Allocation:
        allocation = self.reserved(milli, **more)
        move(allocation, A.STARTING, by=SYSTEM)
        move(allocation, A.ACTIVE, by=SYSTEM, started_at=start, proof_at=proof)
        return allocation

    def prove(self, allocation: Allocation, proof: datetime) -> None:
        Allocation.objects.filter(pk=allocation.pk).update(proof_at=proof)

    @transaction.atomic
    def end(self, allocation: Allocation, end: datetime) -> Allocation:
        move(allocation, A.STOPPING, by=SYSTEM, ended_at=end, proof_at=end)
        move(allocation, A.RELEASED, by=SYSTEM)
        return allocation

    @transaction.atomic
    def ended(self, start: datetime, end: datetime, milli: int = 1000, **more: Any) -> Allocation:
        allocation = self.running(start, end, milli, **more)
        move(allocation, A.STOPPING, by=SYSTEM, ended_at=end)
        move(allocation, A.RELEASED, by=SYSTEM)
        return allocation


def october() -> Period:
    return month("2026-10", policy().zone)
