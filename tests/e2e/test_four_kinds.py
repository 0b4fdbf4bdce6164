"""One model of card at four kinds of site at once: one quota, one queue, one bill.

Each back end is real but for what no machine of ours has: a control plane whose node is KWOK's, a libvirt whose
machines run with their cards noted instead of passed, a Docker engine, and a management controller of our own. The
hub's reconcilers are taken step by step.
"""

import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from billing import metering
from billing.models import UsageRecord
from federation.actions import sites, workloads
from federation.connections import checked
from federation.drivers.base import DriverConfig
from federation.drivers.kvm.driver import KvmDriver
from federation.models import Accelerator, Allocation, Cluster, Pool, Workload
from federation.reconcile import admission, allocations, clusters
from federation.states import AllocationState as A
from federation.states import WorkloadState as W
from portal.audit import SYSTEM
from portal.models import Project, User
from portal.permissions import Role
from tests import factories
from tests.api.conftest import client_of
from tests.baremetal.bmc import PASSWORD, USER, Bmc, HookServer, plain_tree
from tests.docker.engine import IMAGE as BUSYBOX
from tests.kube import fleet
from tests.kube.certificates import Authority
from tests.kube.test_rig import wait_for

pytestmark = [
    pytest.mark.processes,
    pytest.mark.kubernetes,
    pytest.mark.kvm,
    pytest.mark.docker,
    pytest.mark.timeout(300),
    pytest.mark.django_db(transaction=True),
]
MODEL, CARDS = "A100-80G", 4
KINDS = ("kubernetes", "kvm", "docker", "baremetal")
PRICE = "10"


class NotedKvmDriver(KvmDriver):
    """The driver of a KVM host as the registry makes it, on the machines of the contract's harness."""

    harness: ClassVar[Any] = None

    def __init__(self, config: DriverConfig) -> None:
        super().__init__(replace(config, settings={"server": "test:///x"}, port=self.harness))


class Estate:
    """Four clusters, each at a site of its own, over which one pool lies."""

    def __init__(self) -> None:
        self.clusters: dict[str, Cluster] = {}
        self.began = time.time()

    def add(self, kind: str, driver: str, given: dict[str, Any], way: dict[str, Any], machines: Any = ()) -> None:
        connection = checked(way, now=datetime.now(UTC), driver=driver, machines=machines)
        site = sites.add(by=SYSTEM, slug=kind, name=kind.capitalize())
        made = sites.add_cluster(
            by=SYSTEM, site=site, slug=kind, name=kind, kind=kind, driver=driver, settings_=given, connection=connection
        )
        clusters.run(str(made.pk))
        made.refresh_from_db()
        assert made.state == "connected", (kind, made.state, made.message)
        self.clusters[kind] = made

    def step(self) -> None:
        """One round of all that the hub would do. The machines of KVM live by a clock that is told."""
        harness = NotedKvmDriver.harness
        harness.advance(max(time.time() - self.began - (harness.now - harness.start), 0))
        for pk in Allocation.objects.exclude(state=A.RELEASED).values_list("pk", flat=True):
            allocations.run(str(pk))
        for pk in Pool.objects.values_list("pk", flat=True):
            admission.run(str(pk))


@pytest.fixture
def estate(
    kwok_plane: Any, libvirtd: Any, engine: Any, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Estate]:
    from tests.contracts.kvm import RealKvmHarness  # needs libvirt's library, which the fixture found

    settings.SITE_LOOPBACK = True
    settings.SITE_SOCKETS = [engine.unix.removeprefix("unix://")]
    here = f"{__name__}:NotedKvmDriver"
    settings.FEDERATION_DRIVERS = {**settings.FEDERATION_DRIVERS, "kvm": here}
    NotedKvmDriver.harness = harness = RealKvmHarness(libvirtd, 900, tmp_path, monkeypatch)
    harness.start = harness.now
    authority = Authority()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.issue(tmp_path, "server", addresses=("127.0.0.1",), lasts=timedelta(days=1)))
    bmc, hooks = Bmc(time.time, plain_tree(CARDS), tls=tls), HookServer(tls)
    made = Estate()
    with kwok_plane.api() as api:
        labels = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB", "nvidia.com/gpu.memory": "81920"}
        fleet.add(api, "nvidia", "k8s-node", kwok=True, labels=labels)
        api.post("/api/v1/namespaces", {"metadata": {"name": "aquifer-four"}})
        way = {"server": kwok_plane.url, "token": kwok_plane.admin_token, "ca_pem": kwok_plane.ca_pem}
        made.add("kubernetes", "kubernetes", {"system_namespace": "aquifer-four"}, way)
        made.add("kvm", "kvm", {}, {"server": "qemu+unix:///run/libvirt/libvirt-sock"} | _allow(settings))
        cards = [
            {"index": i, "uuid": f"DOCK-{i}", "vendor": "nvidia", "model": MODEL, "memory_mib": 81920}
            for i in range(CARDS)
        ]
        given = {"name": "dock-1", "devices": cards, "devices_by": "env", "cpu_milli": 8000, "memory_mib": 65536}
        made.add("docker", "docker", given, {"server": engine.unix})
        told = {name: f"{hooks.url}/{name}" for name in ("wipe", "check")}
        way = {"username": USER, "password": PASSWORD, "hook_secret": "s" * 32, "ca_pem": authority.pem}
        machines = [{"name": "srv-1", "server": bmc.server}]
        made.add("baremetal", "redfish", {"hooks": told, "off_seconds": 0}, way, machines)
        try:
            yield made
        finally:
            fleet.remove(api)
            engine.clear()
            harness.close()
            bmc.close()
            hooks.close()


def _allow(settings: Any) -> dict[str, str]:
    """The socket is never opened: the harness stands at its end."""
    settings.SITE_SOCKETS = [*settings.SITE_SOCKETS, "/run/libvirt/libvirt-sock"]
    return {}


def ask(estate: Estate, project: Project, pool: Pool, kind: str, **spec: Any) -> Workload:
    """Work for one kind of site: as what it runs, and there alone."""
    wants: dict[str, dict[str, Any]] = {
        "kubernetes": {"image": "r.example/job:1"},
        "docker": {"image": BUSYBOX, "command": ["sh", "-c", "sleep 600"]},
        "kvm": {"kind": "vm", "command": []},
        "baremetal": {"kind": "server", "accelerators": CARDS, "command": []},
    }
    small = {"cpu_milli": 1000, "memory_mib": 64, "grace_seconds": 1, "run_seconds": None, "model_names": [MODEL]}
    return factories.workload(
        project, pool, **{**small, "name": kind, "site_slugs": [kind], **wants[kind], **spec}
    )  # fmt: skip


def reach(look: Callable[[], bool]) -> None:
    """Until it is so; otherwise with what stands where."""
    try:
        wait_for(look, 90)
    except AssertionError:
        work = [(w.name, w.state, w.reason, w.message) for w in Workload.objects.all()]
        grants = [(a.workload.name, a.state, a.reason, a.message) for a in Allocation.objects.all()]
        raise AssertionError(f"{work}\n{grants}") from None


def test_one_quota_one_queue_one_bill_over_four_kinds(estate: Estate) -> None:
    flavors = {
        kind: set(
            Accelerator.objects.filter(node__cluster=made, model__name=MODEL).values_list(
                "model__flavor__name", flat=True
            )
        )
        for kind, made in estate.clusters.items()
    }
    assert all(found == flavors["docker"] and len(found) == 1 for found in flavors.values()), flavors
    (flavor,) = flavors["docker"]
    pool, project = factories.pool(*estate.clusters.values()), factories.project()
    factories.quota(project, flavor, (3 + CARDS) * 1000)
    factories.quota(project, "cpu")
    owner: User = factories.user(Role.TENANT_OWNER, project.tenant)
    admin = client_of(factories.user())
    priced = admin.post("/api/v1/prices", {"flavor": flavor, "unit_price": PRICE})
    assert priced.status_code == 201, priced.json()

    work = {kind: ask(estate, project, pool, kind) for kind in KINDS}
    estate.step()
    over = ask(estate, project, pool, "docker", name="one-too-many")

    def states() -> dict[str, str]:
        estate.step()
        return dict(Workload.objects.values_list("name", "state"))

    reach(lambda: all(states()[kind] == W.RUNNING for kind in KINDS))
    for kind, one in work.items():
        grant = one.allocations.get()
        assert (grant.state, grant.cluster_id) == (A.ACTIVE, estate.clusters[kind].pk)
        assert grant.started_at is not None and grant.proof_at is not None
        assert grant.held_milli == (CARDS if kind == "baremetal" else 1) * 1000
    over.refresh_from_db()
    assert (over.state, over.reason) == (W.QUEUED, "QuotaExhausted"), over.message
    quota = client_of(owner).get("/api/v1/quotas?limit=200").json()["results"]
    assert next(one for one in quota if one["flavor"] == flavor)["held_milli"] == (3 + CARDS) * 1000

    time.sleep(2)  # so that there is something to bill
    workloads.cancel(by=SYSTEM, workload=work["kvm"])
    reach(lambda: states()["one-too-many"] == W.RUNNING)
    for one in (*work.values(), over):
        one.refresh_from_db()
        if not one.has_ended:
            workloads.cancel(by=SYSTEM, workload=one)
    reach(lambda: (estate.step(), not Allocation.objects.exclude(state=A.RELEASED).exists())[1])

    while metering.step():
        pass
    for grant in Allocation.objects.all():
        records = UsageRecord.objects.filter(allocation_id=grant.pk)
        seconds = sum(record.seconds for record in records)
        assert grant.started_at is not None and grant.ended_at is not None
        edges = int(grant.ended_at.timestamp()) - int(grant.started_at.timestamp())
        assert seconds == max(edges, 1), (grant.workload.name, seconds, edges)
        assert {record.held_milli for record in records} == {grant.held_milli}
    billed = {record.site for record in UsageRecord.objects.all()}
    assert billed == set(KINDS)
