"""Keys of credentials are changed while everything runs; a cluster that is connected anew is followed anew."""

import base64
import random
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from federation import registry
from federation.actions import connections, sites
from federation.connections import Connection
from federation.drivers.base import Unavailable
from federation.models import Cluster, ClusterCredential, ClusterWatch
from portal import vault
from portal.audit import SYSTEM
from portal.errors import Conflict
from tests import factories, stub_driver
from tests.certificates import SERVER, authority, server, token

pytestmark = pytest.mark.django_db
OLD, NEW = (base64.b64encode(letter * 32).decode() for letter in (b"o", b"n"))


@pytest.fixture(autouse=True)
def stub(settings: Any) -> Iterator[None]:
    settings.FEDERATION_DRIVERS = {**settings.FEDERATION_DRIVERS, "kubernetes": stub_driver.PATH}
    settings.CREDENTIAL_KEYS = OLD
    yield
    stub_driver.StubDriver.made.clear()


def connected(count: int) -> list[Cluster]:
    site = sites.add(by=SYSTEM, slug="north", name="North")
    return [
        sites.add_cluster(
            by=SYSTEM, site=site, slug=f"c{n}", name=f"Cluster {n}", kind="kubernetes", driver="kubernetes",
            connection=Connection(server(n), token=token(f"canary{n}"), ca_pem=authority()),
        )
        for n in range(count)
    ]  # fmt: skip


def secret_of(cluster: Cluster) -> str:
    return registry.driver_for(cluster).config.secrets.get("token", "")


@pytest.mark.parametrize("count", [60, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_keys_are_changed_while_everything_is_read(count: int, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = connected(count)
    dice, read = random.Random(count), 0
    settings.CREDENTIAL_KEYS = f"{NEW},{OLD}"
    reseal = vault.Vault.reseal

    def with_readers(self: vault.Vault, sealed: str, *place: str) -> str:
        nonlocal read
        n = dice.randrange(count)
        assert secret_of(rows[n]) == token(f"canary{n}")
        read += 1
        return reseal(self, sealed, *place)

    monkeypatch.setattr(vault.Vault, "reseal", with_readers)
    out = StringIO()
    call_command("seal_credentials", stdout=out)
    assert out.getvalue() == f"{count} sealed anew.\n"
    assert read == count
    call_command("seal_credentials", stdout=out)
    assert out.getvalue().endswith("0 sealed anew.\n")

    settings.CREDENTIAL_KEYS = NEW
    assert [secret_of(row) for row in rows] == [token(f"canary{n}") for n in range(count)]
    settings.CREDENTIAL_KEYS = OLD
    with pytest.raises(Unavailable, match="bring its key back"):
        registry.driver_for(dice.choice(rows)).check()


def test_a_key_that_is_gone_is_told_and_holds_up_nobody(settings: Any) -> None:
    rows = connected(3)
    settings.CREDENTIAL_KEYS = f"{NEW},{OLD}"
    ClusterCredential.objects.filter(cluster=rows[1]).update(sealed="v1.00000000.AAAA")
    with pytest.raises(CommandError, match="Cluster 1"):
        call_command("seal_credentials", stdout=StringIO())
    settings.CREDENTIAL_KEYS = NEW
    assert [bool(secret_of(row)) for row in rows] == [True, False, True]
    way = Connection(SERVER, token=token("new"))
    connections.connect(by=SYSTEM, cluster=rows[1], connection=way)
    assert secret_of(rows[1]) == token("new")


def test_every_call_to_a_closed_site_says_why() -> None:
    cluster = connected(1)[0]
    ClusterCredential.objects.all().delete()
    driver = registry.driver_for(cluster)
    now = cluster.created_at
    for call in (
        driver.check, driver.inventory, lambda: driver.observe("x"), lambda: driver.remove("x"),
        lambda: driver.usage(now, now), lambda: driver.ensure(None),  # type: ignore[arg-type]  # not looked at
    ):  # fmt: skip
        with pytest.raises(Unavailable, match="Connect it"):
            call()


def test_who_follows_a_cluster_begins_anew_when_it_is_connected_anew() -> None:
    cluster = connected(1)[0]
    mine = ClusterWatch.objects.take(cluster.pk)
    assert mine is not None
    assert ClusterWatch.objects.renew(cluster.pk, mine, is_whole=True)
    connections.connect(by=SYSTEM, cluster=cluster, connection=Connection(SERVER, token=token("new")))
    assert not ClusterWatch.objects.renew(cluster.pk, mine, is_whole=True), "what it sees is not believed any more"
    assert ClusterWatch.objects.get().whole_at is None
    assert ClusterWatch.objects.take(cluster.pk) is not None


def test_only_clusters_that_are_asked_directly_are_connected() -> None:
    with pytest.raises(Conflict, match="fake"):
        connections.connect(by=SYSTEM, cluster=factories.cluster(), connection=Connection(SERVER, token=token()))
    assert not ClusterCredential.objects.exists()
