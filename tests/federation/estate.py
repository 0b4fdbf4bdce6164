"""An estate of two nodes, and the plain inserts and updates with which tests try the walls of the database."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from federation.models import Accelerator, Allocation, Node, Share, Workload
from federation.states import AllocationState as A
from portal.models import Quota, ResourceFlavor
from tests import factories

MIB = 81920
FLAVOR = "nvidia-a100-80g"


class Estate:
    """Two nodes of two devices of 80 GiB, 10 cores and 10 GiB each; quota of 3 devices, for project and tenant."""

    def __init__(self) -> None:
        small: dict[str, Any] = {
            "devices": 2, "cpu_milli": 10_000, "memory_mib": 10_240, "each": {"step_milli": 1}
        }  # fmt: skip
        other = factories.node_seen("other", model="H800-80G", **small)
        self.cluster = factories.cluster(factories.node_seen("one", **small), factories.node_seen("two", **small))
        self.other = factories.cluster(other)
        self.project = factories.project()
        self.tenant = self.project.tenant
        self.quota = factories.quota(self.project, FLAVOR, milli=3000)
        self.wall = Quota.objects.create(tenant=self.tenant, flavor=self.flavor(), nominal_milli=3000)
        self.pool = factories.pool(self.cluster, self.other)

    def flavor(self, name: str = FLAVOR) -> ResourceFlavor:
        return ResourceFlavor.objects.get(name=name)

    def node(self, name: str = "one") -> Node:
        return Node.objects.get(name=name)

    def device(self, node: str = "one", index: int = 0) -> Accelerator:
        return Accelerator.objects.get(node__name=node, index=index)

    def workload(self, **spec: Any) -> Workload:
        return factories.workload(self.project, self.pool, **spec)

    def reserve(self, milli: int = 1000, **facts: Any) -> Allocation:
        row: dict[str, Any] = {
            "workload": facts.pop("workload", None) or self.workload(),
            "tenant": self.tenant,
            "project": self.project,
            "cluster": self.cluster,
            "node": self.node(),
            "flavor": self.flavor(),
            "attempt": 1,
            "epoch": 1,
            "cpu_milli": 1000,
            "memory_mib": 1024,
            "held_milli": milli,
        }
        made: Allocation = Allocation.objects.create(**{**row, **facts})
        return made

    def share(self, of: Allocation, device: Accelerator | None = None, milli: int = 1000, mib: int = 1) -> Share:
        return Share.objects.create(allocation=of, accelerator=device or self.device(), milli=milli, memory_mib=mib)

    def grant(self, milli: int = 1000, mib: int = 1, device: Accelerator | None = None) -> Allocation:
        allocation = self.reserve(milli)
        self.share(allocation, device, milli, mib)
        return allocation

    def released(self, **facts: Any) -> Allocation:
        allocation = self.grant(**facts)
        Allocation.objects.filter(pk=allocation.pk).update(state=A.RELEASED)
        return allocation


def change(row: Any, **values: Any) -> None:
    """As hand-written SQL would: no version, no arrows, no question asked."""
    type(row).objects.filter(pk=row.pk).update(**values)


def refused_by(attempt: Callable[[], Any]) -> str | None:
    """The constraint that stopped it."""
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        attempt()
    diagnosis: Any = caught.value.__cause__
    return str(diagnosis.diag.constraint_name)


def in_parts(estate: Estate) -> Accelerator:
    """The first device, as the card of one part."""
    card = estate.device()
    return Accelerator.objects.create(
        node=card.node, model=card.model, index=9, uuid="MIG-9", memory_mib=10_240, parent=card, step_milli=1
    )
