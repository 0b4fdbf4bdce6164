"""Weights and measured loads of sites, from the rows to where work goes."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from federation.drivers.base import DeviceSeen, UsageSample
from federation.models import Accelerator, Allocation, Cluster, Node, Pool, Site
from federation.placement.types import SiteFacts
from federation.reconcile import admission, desks, figures, inventory, loads
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh() -> None:
    desks.forget()


class Two:
    """Two sites of four devices each. Work of three goes to `left` by packing, whose node has fewer cores."""

    def __init__(self, policy: str = "shedding") -> None:
        self.left: Cluster = factories.cluster(factories.node_seen("left", cpu_milli=16_000))
        self.right: Cluster = factories.cluster(factories.node_seen("right"))
        self.pool: Pool = factories.pool(self.left, self.right, policy=policy)
        self.project = factories.project()
        factories.quota(self.project)

    def busy(self, cluster: Cluster, *percent: float | None, ago: float = 0.0) -> None:
        """As the site of the cluster tells it of its devices in turn."""
        at = timezone.now() - timedelta(seconds=ago)
        devices = Accelerator.objects.filter(node__cluster=cluster).order_by("index")
        figures.store(
            cluster, [UsageSample(at, d.uuid, busy_percent=p) for d, p in zip(devices, percent, strict=False)]
        )

    def facts(self) -> dict[str, float]:
        found = loads.facts_of(self.pool)
        return {"left": found[self.left.site.slug].load, "right": found[self.right.site.slug].load}

    def where(self, **spec: Any) -> str:
        """Where work goes that is asked for now."""
        work = factories.workload(self.project, self.pool, **spec)
        admission.run(str(self.pool.pk))
        return Allocation.objects.get(workload=work).node.name


def test_a_hot_site_loses_new_work_to_a_cool_one_by_its_measured_load_alone() -> None:
    two = Two()
    assert two.where() == "left"
    assert Node.objects.get(name="right").held_cpu_milli == 0
    two.busy(two.left, 100, 95, 90, 99)
    desks.forget()
    assert two.where() == "right"
    two.busy(two.left, 5, 5, 5, 5)
    desks.forget()
    assert two.where() == "left"


def test_packing_alone_does_not_look_at_the_heat() -> None:
    two = Two("packing")
    two.busy(two.left, 100, 100, 100, 100)
    assert loads.facts_of(two.pool) == {}
    assert two.where() == "left"
    Pool.objects.update(policy="utilisation:1+shedding:20")
    two.pool.refresh_from_db()
    assert two.where() == "right"


def test_a_planner_that_lives_on_hears_of_the_heat(monkeypatch: pytest.MonkeyPatch) -> None:
    two = Two()
    assert two.where() == "left"
    desk = desks.of(two.pool)
    two.busy(two.left, 100, 100, 100, 100)
    monkeypatch.setattr(desks, "RELEARN_SECONDS", 0.0)
    assert two.where() == "right"
    assert desks.of(two.pool) is desk


def test_a_site_is_not_hot_for_what_was_measured_long_ago() -> None:
    two = Two()
    two.busy(two.left, 100, 100, 100, 100, ago=130)
    assert two.facts() == {"left": 0.0, "right": 0.0}
    assert two.where() == "left"


def test_a_device_without_a_fresh_figure_counts_with_what_is_held_on_it() -> None:
    two = Two("least-loaded")
    two.busy(two.left, 90, None, 50)
    two.busy(two.right, 100, 100, 100, 100, ago=600)
    Accelerator.objects.filter(uuid="GPU-left-3").update(foreign_milli=400)
    Accelerator.objects.filter(uuid="GPU-right-0").update(foreign_milli=800)
    assert two.facts() == pytest.approx({"left": 0.45, "right": 0.2})
    Accelerator.objects.filter(uuid="GPU-left-3").update(health="unhealthy")
    two.busy(two.left, 250)
    assert two.facts() == pytest.approx({"left": 0.5, "right": 0.2}), "no more than all of it; broken ones do not count"


def test_a_part_is_as_busy_as_its_card_when_it_has_no_figures_of_its_own() -> None:
    two = Two()
    parts = [DeviceSeen(i, f"MIG-{i}", "nvidia", "A100-80G/1g.10gb", 9728, parent_uuid="GPU-left-0") for i in (8, 9)]
    node = factories.node_seen("left", devices=1)
    inventory.store(two.left, [replace(node, devices=(*node.devices, *parts))])
    figures.store(two.left, [UsageSample(timezone.now(), "GPU-left-0", busy_percent=80)])
    assert two.facts()["left"] == pytest.approx(0.8)
    figures.store(two.left, [UsageSample(timezone.now(), "MIG-8", busy_percent=20)])
    assert two.facts()["left"] == pytest.approx(0.5)


def test_a_pool_of_one_cluster_or_of_some_models_is_told_of_these() -> None:
    two = Two()
    two.busy(two.left, 100, 100, 100, 100)
    two.pool.clusters.set([two.right])
    assert two.facts() == {"left": 0.0, "right": 0.0}
    two.pool.clusters.set([two.left])
    two.pool.model_names = ["H800-80G"]
    assert two.facts() == {"left": 0.0, "right": 0.0}


def test_work_is_spread_by_the_weights_of_sites() -> None:
    two = Two("weighted")
    Site.objects.filter(pk=two.left.site_id).update(weight=3)
    assert loads.facts_of(two.pool)[two.left.site.slug] == SiteFacts(3.0, 0.0)
    assert sorted(two.where() for _ in range(4)) == ["left", "left", "left", "right"]


def test_the_database_refuses_a_weight_of_nothing() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Site.objects.create(slug="s", name="S", weight=0)
