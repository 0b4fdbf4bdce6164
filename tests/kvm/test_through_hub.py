"""A virtual machine that the hub places on a real libvirt, which it reaches over TLS as it was connected."""

from collections.abc import Callable
from typing import Any

import pytest

from federation.actions import sites, workloads
from federation.connections import Connection
from federation.models import Allocation, Cluster, Node, Workload
from federation.reconcile import admission, allocations, clusters
from federation.states import AllocationState as A
from federation.states import WorkloadState as W
from portal.audit import SYSTEM
from tests import factories
from tests.kube.test_rig import wait_for

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def cluster(libvirtd: Any) -> Cluster:
    made: Cluster = sites.add_cluster(
        by=SYSTEM,
        site=sites.add(by=SYSTEM, slug="racks", name="Racks"),
        slug="host-1", name="Host 1", kind="kvm", driver="kvm",
        settings_={
            "node": "host-1", "default_image": "guest.raw", "pool": "hub", "pool_path": "/var/lib/libvirt/images/hub",
        },
        connection=Connection(
            libvirtd.server("tls"), ca_pem=libvirtd.ca_pem, client_cert_pem=libvirtd.client_pem,
            client_key_pem=libvirtd.client_key,
        ),
    )  # fmt: skip
    return made


def test_a_machine_is_placed_runs_and_is_taken_back(cluster: Cluster, libvirtd: Any) -> None:
    clusters.run(str(cluster.pk))
    node = Node.objects.get(cluster=cluster)
    assert (node.name, node.labels["aquifer.io/host-uuid"] != "") == ("host-1", True)
    pool, project = factories.pool(cluster), factories.project()
    factories.quota(project, "cpu")
    work: Workload = factories.workload(
        project, pool, kind="vm", accelerators=0, cpu_milli=1000, memory_mib=64, grace_seconds=5, command=[],
        run_seconds=None,
    )  # fmt: skip
    admission.run(str(pool.pk))
    work.refresh_from_db()
    assert work.state == W.ADMITTED, (work.reason, work.message)

    def reaches(state: str) -> Callable[[], bool]:
        def look() -> bool:
            grant = Allocation.objects.get(workload=work)
            allocations.run(str(grant.pk))
            grant.refresh_from_db()
            assert grant.state in (A.RESERVED, A.STARTING, A.ACTIVE, A.STOPPING, A.RELEASED), grant.message
            return grant.state == state

        return look

    wait_for(reaches(A.ACTIVE))
    grant = Allocation.objects.get(workload=work)
    connection = libvirtd.open()
    domain = connection.lookupByName(f"aquifer-{grant.pk}")
    assert domain.isActive()
    assert f'project="{project.slug}"' in domain.metadata(2, "urn:aquifer:kvm:work:1")
    workloads.cancel(by=SYSTEM, workload=work)
    wait_for(reaches(A.RELEASED))
    assert f"aquifer-{grant.pk}" not in [d.name() for d in connection.listAllDomains()]
    connection.close()
