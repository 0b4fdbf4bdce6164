"""One tenant, one quota of one model, and a Kubernetes, a KVM, a bare-metal and a Docker site in one pool."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from billing.actions import drafts, prices
from billing.models import UsageRecord
from billing.periods import month_of
from billing.policy import policy
from federation.actions import workloads
from federation.models import Accelerator, Allocation, Cluster, ClusterCredential, Figures, Pool, Workload
from federation.reconcile import admission, allocations, clusters
from federation.states import AllocationState as A
from federation.states import ClusterState
from federation.states import WorkloadState as W
from portal.audit import SYSTEM
from portal.models import Project, ResourceFlavor
from tests import factories
from tests.billing.invoicing import meter
from tests.docker.engine import IMAGE, Engine
from tests.federation.four import CARDS, CLOUD_CARDS, BareMetal, Docker, Kubernetes, Kvm
from tests.kube.plane import ControlPlane
from tests.kube.test_rig import wait_for

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

MODEL, FLAVOR = "A100-80G", "nvidia-a100-80g"
QUOTA = 3 + CARDS  # cards: one each at three sites, and a server whole
PRICE = Decimal("7.2")


@dataclass
class Estate:
    """The four sites, their rows, and what the reconcilers do, step by step."""

    cloud: Kubernetes
    dock: Docker
    racks: Kvm
    metal: BareMetal
    clusters: dict[str, Cluster]
    pool: Pool
    project: Project

    def submit(self, kind: str = "batch", **spec: Any) -> Workload:
        usual = {
            "name": kind, "accelerators": 1, "model_names": [MODEL], "cpu_milli": 500, "memory_mib": 64,
            "grace_seconds": 1,
        }  # fmt: skip
        made: Workload = workloads.submit(
            by=SYSTEM, project=self.project, pool=self.pool, kind=kind, **{**usual, **spec}
        )
        return made

    def container(self, site: str = "") -> Workload:
        where = {"site_slugs": [site]} if site else {}
        return self.submit(image=IMAGE, command=["sleep", "1000"], name=site or "more", **where)

    def admit(self, work: Workload) -> str:
        admission.run(str(self.pool.pk))
        work.refresh_from_db()
        return work.state

    def reach(self, state: str, *works: Workload) -> None:
        def look() -> bool:
            found = [self._step(work.allocations.get()) for work in works]
            return all(grant.state == state for grant in found)

        wait_for(look)

    def _step(self, grant: Allocation) -> Allocation:
        allocations.run(str(grant.pk))
        grant.refresh_from_db()
        assert grant.state != A.LOST, grant.message
        return grant

    def look(self) -> None:
        """Every cluster is looked at, with its inventory and its figures."""
        Cluster.objects.update(inventory_at=None, figures_at=None)
        for cluster in self.clusters.values():
            clusters.run(str(cluster.pk))


@pytest.fixture
def estate(
    kwok_plane: ControlPlane, engine: Engine, libvirtd: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    settings: Any,
) -> Iterator[Estate]:  # fmt: skip
    settings.SITE_LOOPBACK = True
    with ExitStack() as stack:
        parts = (Kubernetes(kwok_plane), Docker(engine), Kvm(libvirtd, monkeypatch), BareMetal(tmp_path))
        for part in parts:
            stack.callback(part.close)
        found = [part.connected() for part in parts]
        project = factories.project()
        made = Estate(*parts, {c.slug: c for c in found}, factories.pool(*found), project)
        made.look()
        factories.quota(project, FLAVOR, QUOTA * 1000)
        flavor = ResourceFlavor.objects.get(name=FLAVOR)
        yesterday = timezone.now().replace(microsecond=0) - timedelta(days=1)
        prices.set_price(by=SYSTEM, flavor=flavor, unit_price=PRICE, currency="CNY", valid_from=yesterday)
        yield made


def test_one_quota_over_four_kinds_of_site(estate: Estate) -> None:
    is_connected(estate)
    works = {
        "cloud": estate.container("cloud"),
        "dock": estate.container("dock"),
        "racks": estate.submit("vm"),
        "metal": estate.submit("server", accelerators=CARDS),
    }
    for work in works.values():
        assert estate.admit(work) == W.ADMITTED, (work.kind, work.reason, work.message)
    grants = {site: work.allocations.select_related("cluster").get() for site, work in works.items()}
    assert {site: grant.cluster.slug for site, grant in grants.items()} == {site: site for site in works}
    assert sum(grant.held_milli for grant in grants.values()) == QUOTA * 1000
    estate.reach(A.ACTIVE, *works.values())
    is_running(estate, works)

    more = estate.container()
    assert estate.admit(more) == W.QUEUED
    assert more.reason == "QuotaExhausted", more.message
    free = (free_cards(estate, "cloud"), free_cards(estate, "dock"))
    assert free == (CLOUD_CARDS - 1, CARDS - 1), "cards there are, and no quota"
    workloads.cancel(by=SYSTEM, workload=works["racks"])
    estate.reach(A.RELEASED, works["racks"])
    assert estate.admit(more) == W.ADMITTED, (more.reason, more.message)
    estate.reach(A.ACTIVE, more)
    assert more.allocations.get().cluster.slug in ("cloud", "dock"), "a container goes where containers run"

    rest = [works["cloud"], works["dock"], works["metal"], more]
    for work in rest:
        workloads.cancel(by=SYSTEM, workload=work)
    estate.reach(A.RELEASED, *rest)
    is_gone(estate)
    is_billed(estate, [works["racks"], *rest])


def is_connected(estate: Estate) -> None:
    """Each has answered over its credential, which is sealed, and shows its cards under one name."""
    for slug, cluster in estate.clusters.items():
        cluster.refresh_from_db()
        assert cluster.state == ClusterState.CONNECTED, (slug, cluster.state, cluster.message)
        assert ClusterCredential.objects.get(cluster=cluster).sealed
        cards = Accelerator.objects.filter(node__cluster=cluster, model__flavor__name=FLAVOR, is_present=True)
        assert cards.filter(model__name=MODEL).count() == (CLOUD_CARDS if slug == "cloud" else CARDS), slug


def free_cards(estate: Estate, slug: str) -> int:
    cards = Accelerator.objects.filter(node__cluster=estate.clusters[slug], model__name=MODEL, is_present=True)
    return cards.filter(held_milli=0).count()


def is_running(estate: Estate, works: dict[str, Workload]) -> None:
    """At the sites themselves, and in the hub's books: state, proof of life, what they hold, and figures."""
    refs = {site: str(work.allocations.get().pk) for site, work in works.items()}
    places: dict[str, Callable[[], set[str]]] = {
        "cloud": estate.cloud.there, "dock": estate.dock.there, "racks": estate.racks.there,
    }  # fmt: skip
    for site, there in places.items():
        assert there() == {refs[site]}, site
    assert estate.metal.is_on()
    before = {ref: Allocation.objects.get(pk=ref).proof_at for ref in refs.values()}
    estate.look()
    for site, work in works.items():
        work.refresh_from_db()
        assert work.state == W.RUNNING, (site, work.state, work.reason)
        grant, was = Allocation.objects.get(pk=refs[site]), before[refs[site]]
        assert grant.proof_at is not None and was is not None and grant.proof_at > was, f"{site}: no proof of life"
        assert {share.accelerator.held_milli for share in grant.shares.select_related("accelerator")} == {1000}
    figures = Figures.objects.filter(accelerator__node__cluster=estate.clusters["metal"])
    assert {figure.power_watts for figure in figures} == {300.5, 301.5}


def is_gone(estate: Estate) -> None:
    assert estate.cloud.there() == estate.dock.there() == estate.racks.there() == set()
    assert not estate.metal.is_on()
    assert [name for name, *_ in estate.metal.hooks.asked] == ["wipe", "check"]
    assert not Accelerator.objects.exclude(held_milli=0).exists()


def is_billed(estate: Estate, works: list[Workload]) -> None:
    """To the second, each at its site, and the lines add up to the total."""
    meter()
    expected: dict[str, int] = defaultdict(int)
    starts = set()
    for work in works:
        grant = work.allocations.select_related("cluster").get()
        assert grant.started_at is not None and grant.ended_at is not None
        start, end = (at.replace(microsecond=0) for at in (grant.started_at, grant.ended_at))
        seconds = max(int((end - start).total_seconds()), 1)
        records = UsageRecord.objects.filter(allocation_id=grant.pk)
        assert sum(record.seconds for record in records) == seconds
        assert {record.site for record in records} == {grant.cluster.slug}
        expected[grant.cluster.slug] += seconds * grant.held_milli
        starts |= {record.start_at for record in records}
    assert set(expected) == set(estate.clusters)

    found: dict[str, int] = defaultdict(int)
    for period in {month_of(start, policy().zone) for start in starts}:  # two, if a month ends just now
        draft = drafts.draft(by=SYSTEM, tenant=estate.project.tenant, period=period, policy=policy())
        lines = list(draft.lines.all())
        assert len({line.site for line in lines}) == len(lines), "a line for each site"
        for line in lines:
            assert (line.flavor, line.unit_price, line.cost) == (FLAVOR, PRICE, line.quantity * PRICE)
            found[line.site] += line.milli_seconds
        assert sum(line.cost for line in lines) == draft.total > 0
    assert found == expected
