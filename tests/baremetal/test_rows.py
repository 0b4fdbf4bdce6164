"""The ledger as the hub's database keeps it, and a lease from workload to release through the hub."""

import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from federation.actions import connections
from federation.connections import checked
from federation.drivers.base import ObservedState as O
from federation.drivers.base import Rejected, Unavailable
from federation.drivers.redfish.driver import RedfishDriver
from federation.drivers.redfish.ledger import FORGET_SECONDS, Lease, Phase, from_json, to_json
from federation.models import Cluster, Server, ServerLease
from federation.registry import driver_for
from federation.servers import RowLedger
from portal.audit import SYSTEM
from tests import factories
from tests.baremetal.bmc import PASSWORD, USER, Bmc, HookServer, plain_tree
from tests.baremetal.conftest import Site
from tests.kube.certificates import Authority

pytestmark = pytest.mark.django_db


@pytest.fixture
def cluster() -> Cluster:
    return factories.cluster(kind="baremetal")


def test_a_lease_comes_back_as_it_was_kept() -> None:
    lease = Lease("r", "srv-1", Phase.WIPING, 3, 2, devices=("a", "b"), on_at=1.5, max_seconds=9, was_used=True)
    assert from_json(to_json(lease)) == lease
    assert from_json({**to_json(lease), "of a later version": 1}) == lease


def test_the_registry_gives_the_driver_its_ledger(cluster: Cluster) -> None:
    Cluster.objects.filter(pk=cluster.pk).update(driver="redfish")
    cluster.refresh_from_db()
    with pytest.raises(Unavailable, match="no credential"):
        driver_for(cluster).check()


def test_a_connected_cluster_is_leased_and_wiped_as_the_registry_builds_it(
    site: Site, settings: Any, tmp_path: Path
) -> None:
    """Controller and hooks by https, under an authority that is the cluster's own."""
    settings.SITE_LOOPBACK = True
    authority = Authority()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.issue(tmp_path, "server", addresses=("127.0.0.1",), lasts=timedelta(days=1)))
    bmc, hooks = Bmc(lambda: site.now, plain_tree(), tls=tls), HookServer(tls)
    cluster = factories.cluster(kind="baremetal")
    told = {name: f"{hooks.url}/{name}" for name in ("wipe", "check")}
    Cluster.objects.filter(pk=cluster.pk).update(driver="redfish", settings={"hooks": told})
    cluster.refresh_from_db()
    parts = {"username": USER, "password": PASSWORD, "hook_secret": "s" * 32, "ca_pem": authority.pem}
    machines = [{"name": "srv-1", "server": bmc.server}]
    connection = checked(parts, now=datetime.now(UTC), driver="redfish", machines=machines)
    connections.keep(by=SYSTEM, cluster=cluster, connection=connection)
    try:
        info = driver_for(cluster).check()
        assert (info.version, info.message) == ("Redfish 1.15.0", "")
        wanted = site.spec(devices=())
        assert driver_for(cluster).ensure(wanted).state == O.STARTING
        site.now += 3
        assert driver_for(cluster).observe("lease-1").state == O.RUNNING
        driver_for(cluster).remove("lease-1")
        site.now += 3
        for _ in range(3):
            seen = driver_for(cluster).remove("lease-1")
        assert seen.state == O.ABSENT
        assert [name for name, *_ in hooks.asked] == ["wipe", "check"]
    finally:
        bmc.close()
        hooks.close()


def test_a_server_is_leased_once_whatever_the_driver_believes(cluster: Cluster) -> None:
    with RowLedger(cluster).turn() as turn:
        turn.put(Lease("a", "srv-1"))
    with pytest.raises(IntegrityError), transaction.atomic():
        ServerLease.objects.create(cluster=cluster, ref="b", server="srv-1", epoch=1, kept={})
    with pytest.raises(Unavailable), RowLedger(cluster).turn() as turn:
        turn.put(Lease("b", "srv-1"))


def test_the_epoch_of_the_hub_fences_before_any_lease_does(cluster: Cluster, site: Site) -> None:
    """The hub gives up on the site; a worker that slept through it wakes with its old epoch."""
    site.ledger = RowLedger(cluster)
    Cluster.objects.filter(pk=cluster.pk).update(epoch=5)
    with pytest.raises(Rejected) as refused:
        site.driver().ensure(site.spec(epoch=4))
    assert (refused.value.reason, site.written()) == ("OldGeneration", [])


def test_two_clusters_keep_their_servers_apart(cluster: Cluster) -> None:
    other = factories.cluster(kind="baremetal")
    with RowLedger(cluster).turn() as turn:
        turn.put(Lease("a", "srv-1", epoch=7))
    with RowLedger(other).turn() as turn:
        assert (turn.holder("srv-1"), turn.epoch) == (None, 1)
        turn.put(Lease("a", "srv-1"))
    assert [lease.epoch for lease in RowLedger(cluster).there()] == [7]


def test_tombstones_are_kept_a_month(cluster: Cluster) -> None:
    ledger = RowLedger(cluster)
    now = ledger.now()
    with ledger.turn() as turn:
        turn.put(Lease("old", phase=Phase.GONE, gone_at=now - FORGET_SECONDS - 1))
        turn.put(Lease("young", phase=Phase.GONE, gone_at=now - FORGET_SECONDS + 60))
        turn.put(Lease("now", phase=Phase.GONE, gone_at=now))
    assert set(ledger.look(["old", "young", "now"])) == {"young", "now"}


def test_a_step_is_one_hands_and_ends_with_its_time(cluster: Cluster) -> None:
    ledger = RowLedger(cluster)
    with ledger.turn() as turn:
        token = turn.begin_step("srv-1")
        assert token and turn.has_step("srv-1", token)
        assert turn.begin_step("srv-1") == ""
        assert turn.begin_step("srv-2")
    Server.objects.filter(name="srv-1").update(step_until=ledger.now() - 1)
    with ledger.turn() as turn:
        second = turn.begin_step("srv-1")
        assert second and not turn.has_step("srv-1", token), "whoever slept does nothing more"
        turn.end_step("srv-1", token)
        assert turn.has_step("srv-1", second)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_want_one_server_one_gets_it(site: Site) -> None:
    """At the same moment, from two workers with connections of their own."""
    cluster = factories.cluster(kind="baremetal")
    site.ledger = RowLedger(cluster)
    list(site.driver().inventory())
    together, told = threading.Barrier(2), list[str]()

    def want(ref: str) -> None:
        try:
            together.wait(10)
            told.append(site.driver().ensure(site.spec(ref)).state)
        except (Rejected, Unavailable) as error:
            told.append(getattr(error, "reason", "Unavailable"))
        finally:
            connection.close()

    threads = [threading.Thread(target=want, args=(ref,)) for ref in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(told) == ["DeviceBusy", "starting"]
    assert len(RowLedger(cluster).there()) == 1


def test_a_picture_outlives_the_process(cluster: Cluster, site: Site) -> None:
    site.ledger = RowLedger(cluster)
    whole = list(site.driver().inventory())
    site.bmcs[0].is_down = True
    site.ledger = RowLedger(cluster)
    first, second = site.driver().inventory()
    assert (first.devices, first.is_ready, second) == (whole[0].devices, False, whole[1])


def test_secrets_are_in_no_row_and_no_repr(cluster: Cluster, site: Site) -> None:
    site.ledger = RowLedger(cluster)
    site.start(site.spec())
    driver: Any = site.driver()
    rows = str([*Server.objects.values(), *ServerLease.objects.values()])
    told = repr(driver.config) + repr(driver._machines) + repr(driver._rules) + rows
    assert isinstance(driver, RedfishDriver)
    assert "correct horse" not in told and "s" * 32 not in told and "Y29ycmVjdC" not in told
