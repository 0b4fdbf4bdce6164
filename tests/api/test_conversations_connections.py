"""Conversations about clusters that are asked directly: how they are connected, and what does not fit together."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from federation import registry
from federation.drivers.closed import ClosedDriver
from federation.models import Cluster, ClusterCredential
from federation.reconcile import clusters
from portal.models import AuditEntry
from portal.permissions import Role
from tests import certificates, factories, stub_driver
from tests.api.conftest import Client, SignIn
from tests.api.connecting import CHECK, CLUSTERS, kubeconfig
from tests.api.world import digest_of_database
from tests.billing.rows import Estate, at
from tests.certificates import SERVER, authority, b64, client, token
from tests.certificates import kubeconfig as config
from tests.stub_driver import StubDriver

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_stub")]


def test_a_cluster_is_connected_with_its_creation_and_again_later(
    operator: Client, cluster_body: dict[str, Any]
) -> None:
    end = datetime(2030, 1, 1, tzinfo=UTC)
    key = {"Idempotency-Key": "north-main"}
    sent = {**cluster_body, "connection": kubeconfig(user={"token": token("first", end=end)})}
    made = operator.post(CLUSTERS, sent, headers=key)
    assert made.status_code == 201, made.json()
    shown = made.json()["connection"]
    assert (shown["server"], shown["tls_server_name"], shown["has_authority"]) == (SERVER, "", True)
    assert (shown["way"], shown["expires_at"]) == ("token", "2030-01-01T00:00:00Z")
    assert len(shown["fingerprint"]) == 16
    again = operator.post(CLUSTERS, sent, headers=key)
    assert (again.status_code, again.json()) == (201, made.json())
    assert "connect" in made.json()["actions"]

    address = f"{CLUSTERS}/{made.json()['id']}"
    parts = {"server": "https://10.8.0.8", "token": token("second"), "tls_server_name": "k8s.example"}
    changed = operator.post(f"{address}/connect", parts)
    assert changed.status_code == 202, changed.json()
    now = changed.json()["connection"]
    assert (now["server"], now["tls_server_name"], now["has_authority"]) == ("https://10.8.0.8", "k8s.example", False)
    assert now["expires_at"] is None
    assert now["fingerprint"] != shown["fingerprint"]
    assert changed.json()["version"] == made.json()["version"] + 1
    secrets = registry.opened(ClusterCredential.objects.get())
    assert secrets == {"token": token("second")}, "nothing of the earlier one is left"
    assert operator.get(address).json()["connection"] == now
    told = AuditEntry.objects.filter(what="cluster.connect").order_by("id")
    assert [entry.detail["server"] for entry in told] == [SERVER, "https://10.8.0.8"]
    assert told[1].detail["fingerprint"] == now["fingerprint"]

    certificate, private = client()
    user = {"client-certificate-data": b64(certificate), "client-key-data": b64(private)}
    by_certificate = operator.post(f"{address}/connect", kubeconfig(user=user)).json()["connection"]
    assert by_certificate["way"] == "certificate"
    assert by_certificate["expires_at"] is not None

    assert operator.post(f"{address}/retire").status_code == 202
    assert not ClusterCredential.objects.exists(), "what nobody uses again is not kept"
    late = operator.post(f"{address}/connect", parts)
    assert (late.status_code, late.json()["code"]) == (409, "illegal-transition")


def test_only_who_may_change_a_cluster_is_told_where_it_is(sign_in: SignIn) -> None:
    estate = Estate(devices=1)
    estate.running(at(0), at(30), device=0)
    Cluster.objects.filter(pk=estate.cluster.pk).update(kind="kubernetes", driver="kubernetes")
    address = f"{CLUSTERS}/{estate.cluster.pk}"
    operator = sign_in(Role.PLATFORM_OPERATOR)
    parts = {"server": SERVER, "token": token()}
    assert operator.post(f"{address}/connect", parts).json()["connection"]["server"] == SERVER
    for role, place in ((Role.PLATFORM_VIEWER, ()), (Role.TENANT_OWNER, (estate.tenant,))):
        other = sign_in(role, *place)
        seen = other.get(address)
        assert (seen.status_code, seen.json()["connection"]) == (200, None)
        assert "10.8.0.7" not in seen.content.decode()
        assert "connect" not in seen.json()["actions"]
        assert other.post(f"{address}/connect", parts).status_code == 403
        assert other.post(CHECK, parts).status_code == 403
    assert StubDriver.made == []


def test_a_driver_gets_the_secrets_of_its_cluster_and_no_other_driver_any(operator: Client, cluster_body: Any) -> None:
    first = {**cluster_body, "settings": {"system_namespace": "ours"}, "connection": kubeconfig()}
    made = operator.post(CLUSTERS, first).json()
    driver = registry.driver_for(Cluster.objects.get(pk=made["id"]))
    assert driver.config.secrets == {"token": token(), "ca_pem": authority()}
    assert driver.config.settings == {
        "system_namespace": "ours", "server": SERVER, "tls_server_name": "", "address": "10.8.0.7",
        "addresses": ["10.8.0.7"],
    }  # fmt: skip
    for shown in (repr(driver.config), str(driver.config), repr(ClusterCredential.objects.get())):
        assert token() not in shown
    other = factories.cluster()
    Cluster.objects.filter(pk=made["id"]).update(driver="fake")
    ClusterCredential.objects.update(cluster=other)
    for pk in (made["id"], other.pk):
        assert registry.driver_for(Cluster.objects.get(pk=pk)).config.secrets == {}


def test_a_look_uses_what_was_given_last(operator: Client, cluster_body: Any) -> None:
    made = operator.post(CLUSTERS, {**cluster_body, "connection": kubeconfig()}).json()
    clusters.run(made["id"])
    assert operator.get(f"{CLUSTERS}/{made['id']}").json()["site_version"] == "v1.34.2"
    StubDriver.made.clear()
    operator.post(f"{CLUSTERS}/{made['id']}/connect", {"server": "https://10.8.0.9", "token": token("new")})
    clusters.run(made["id"])
    assert {(c.settings["server"], c.secrets["token"]) for c in StubDriver.made} == {
        ("https://10.8.0.9", token("new"))
    }  # fmt: skip


# -- what does not fit together -----------------------------------------------------------------------------


def test_driver_kind_settings_and_connection_fit_together(operator: Client, cluster_body: Any) -> None:
    def refused(**changes: Any) -> tuple[int, str, str]:
        answer = operator.post(CLUSTERS, {**cluster_body, **changes})
        error = answer.json()["errors"][0]
        return answer.status_code, error["pointer"], error["code"]

    way = {"connection": kubeconfig()}
    assert refused() == (422, "/connection", "required")
    assert refused(driver="fake", **way) == (422, "/connection", "no-connection")
    assert refused(kind="kvm", **way) == (422, "/kind", "driver-kind")
    for name in sorted(registry.RESERVED_SETTINGS):
        assert refused(settings={name: "x"}, **way) == (422, f"/settings/{name}", "reserved")
    assert not Cluster.objects.exists()
    agent = operator.post(CLUSTERS, {**cluster_body, "driver": "agent"})
    assert (agent.status_code, agent.json()["connection"]) == (201, None)
    assert "connect" not in agent.json()["actions"]
    address = f"{CLUSTERS}/{agent.json()['id']}"
    assert operator.post(f"{address}/connect", kubeconfig()).json()["code"] == "conflict"
    assert operator.post("/api/v1/join-tokens", {"cluster": agent.json()["id"]}).status_code == 201


def test_settings_that_got_in_another_way_lead_nowhere(operator: Client, cluster_body: Any) -> None:
    made = operator.post(CLUSTERS, {**cluster_body, "connection": kubeconfig()}).json()
    harm = {"server": "https://10.9.9.9", "address": "10.9.9.9", "token_file": "/etc/hostname", "queue": "q"}
    Cluster.objects.update(settings=harm)
    found = registry.driver_for(Cluster.objects.get(pk=made["id"])).config.settings
    assert (found["server"], found["address"], found["queue"]) == (SERVER, "10.8.0.7", "q")
    assert "token_file" not in found


EXPIRED = certificates.pair(end=datetime(2026, 1, 1, tzinfo=UTC), start=datetime(2025, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("connection", "pointer", "code"),
    [
        ({}, "/kubeconfig", "required"),
        ({"kubeconfig": json.dumps(config()), "token": token()}, "/kubeconfig", "either-or"),
        ({"token": token()}, "/server", "required"),
        ({"server": SERVER}, "/token", "required"),
        ({"server": SERVER, "token": "short"}, "/token", "bad-token"),
        ({"server": SERVER, "token": token(), "ca_pem": "x"}, "/ca_pem", "bad-certificate"),
        ({"server": SERVER, "token": token(), "ca_pem": EXPIRED[0]}, "/ca_pem", "expired"),
        ({"server": SERVER, "token": token(), "tls_server_name": "a b"}, "/tls_server_name", "bad-host"),
        ({"server": SERVER, "token": token(end=datetime(2026, 1, 1, tzinfo=UTC))}, "/token", "expired"),
        ({"server": "http://10.8.0.7", "token": token()}, "/server", "not-https"),
        ({"server": "https://2130706433", "token": token()}, "/server", "bad-host"),
        ({"server": "https://169.254.169.254", "token": token()}, "/server", "metadata-address"),
        ({"server": "https://[::ffff:169.254.169.254]", "token": token()}, "/server", "metadata-address"),
        ({"server": "https://0.0.0.0", "token": token()}, "/server", "unspecified-address"),
        (kubeconfig(server="https://169.254.169.254"), "/kubeconfig", "metadata-address"),
        (kubeconfig(user={"exec": {"command": "id"}}), "/kubeconfig/users/0/user/exec", "forbidden-key"),
        (kubeconfig(**{"certificate-authority": "/x"}), "/kubeconfig/clusters/0/cluster/certificate-authority",
         "forbidden-key"),
        ({"kubeconfig": "[" * 1000}, "/kubeconfig", "too-deep"),
        ({"kubeconfig": "x"}, "/kubeconfig", "not-a-mapping"),
        ({"kubeconfig": "a" * 256_001}, "/kubeconfig", "max_length"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_pointed_at_and_nothing_is_kept(
    connection: dict[str, str], pointer: str, code: str, operator: Client, cluster_body: Any
) -> None:
    made = operator.post(CLUSTERS, {**cluster_body, "slug": "other", "connection": kubeconfig()}).json()
    before = digest_of_database()
    for address, sent, at_ in (
        (CLUSTERS, {**cluster_body, "connection": connection}, f"/connection{pointer}"),
        (f"{CLUSTERS}/{made['id']}/connect", connection, pointer),
        (CHECK, connection, pointer),
    ):
        answer = operator.post(address, sent)
        assert (answer.status_code, answer.headers["Content-Type"]) == (422, "application/problem+json")
        assert [(e["pointer"], e["code"]) for e in answer.json()["errors"]] == [(at_, code)]
        assert "canary" not in answer.content.decode()
    assert digest_of_database() == before
    assert StubDriver.made == []


def test_another_server_while_work_is_there_has_to_be_the_same_cluster(operator: Client) -> None:
    estate = Estate(devices=1)
    Cluster.objects.filter(pk=estate.cluster.pk).update(kind="kubernetes", driver="kubernetes")
    address = f"{CLUSTERS}/{estate.cluster.pk}/connect"
    parts = {"server": SERVER, "ca_pem": authority(), "token": token()}
    assert operator.post(address, parts).status_code == 202
    estate.running(at(0), None, device=0)
    assert operator.post(address, {**parts, "token": token("new")}).status_code == 202, (
        "another token is no other place"
    )
    for other in ({"server": "https://10.8.0.8"}, {"ca_pem": certificates.client()[0]}, {"tls_server_name": "x"}):
        refused = operator.post(address, {**parts, **other})
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
        assert "is_same_cluster" in refused.json()["detail"]
    assert operator.post(address, {**parts, "server": "https://10.8.0.8", "is_same_cluster": True}).status_code == 202


# -- other kinds than Kubernetes -----------------------------------------------------------------------------


@pytest.fixture
def every_driver(settings: Any) -> None:
    stubs = dict.fromkeys(("docker", "kvm", "redfish"), stub_driver.PATH)
    settings.FEDERATION_DRIVERS = {**settings.FEDERATION_DRIVERS, **stubs}


def test_bare_metal_is_connected_machine_by_machine(
    operator: Client, cluster_body: dict[str, Any], every_driver: None
) -> None:
    machines = [{"name": f"srv-{n}", "server": f"https://10.9.0.{n}", "system": "", "fingerprint": ""} for n in (1, 2)]
    way = {"machines": machines, "username": "admin", "password": "canary-password"}
    bare = {
        **cluster_body,
        "kind": "baremetal",
        "driver": "redfish",
        "settings": {"hooks": {"wipe": "https://10.9.1.1"}},
    }
    made = operator.post(CLUSTERS, {**bare, "connection": way})
    assert made.status_code == 201, made.json()
    assert "canary" not in made.content.decode()
    assert (made.json()["connection"]["way"], made.json()["connection"]["machines"]) == ("password", machines)
    config = registry.driver_for(Cluster.objects.get(pk=made.json()["id"])).config
    assert [one["address"] for one in config.settings["machines"]] == ["10.9.0.1", "10.9.0.2"]
    assert config.settings["hooks"] == {"wipe": {"url": "https://10.9.1.1", "address": "10.9.1.1"}}
    assert config.secrets == {"username": "admin", "password": "canary-password"}

    twice = operator.post(CLUSTERS, {**bare, "slug": "again", "connection": {**way, "machines": machines[1:]}})
    assert (twice.status_code, twice.json()["detail"]) == (
        409, "srv-2 is connected already, in Main. Retire that cluster first.",
    )  # fmt: skip
    # Who changes the machines in the database, and not the seal, sends the password nowhere.
    ClusterCredential.objects.update(machines=[{**machines[0], "server": "https://10.66.0.6"}])
    assert isinstance(registry.driver_for(Cluster.objects.get(pk=made.json()["id"])), ClosedDriver)


def test_a_socket_of_the_hub_is_a_site_only_if_its_operator_says_so(
    operator: Client, cluster_body: dict[str, Any], every_driver: None, settings: Any
) -> None:
    docker = {**cluster_body, "kind": "docker", "driver": "docker", "connection": {"server": "unix:///run/d.sock"}}
    refused = operator.post(CLUSTERS, docker)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "forbidden-socket")
    settings.SITE_SOCKETS = ["/run/d.sock"]
    assert operator.post(CLUSTERS, docker).json()["connection"]["way"] == "socket"


def test_what_is_not_encrypted_is_not_used(operator: Client, every_driver: None) -> None:
    login = {"username": "u", "password": "canary-password"}
    for server, code in (
        ("qemu+tcp://10.8.0.9/system", "not-encrypted"),
        ("qemu+tls://169.254.169.254", "metadata-address"),
    ):
        body = {"driver": "kvm", "server": server, **(login if "tcp" in server else _pair())}
        refused = operator.post(CHECK, body)
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, code), refused.json()
    assert StubDriver.made == []


def _pair() -> dict[str, str]:
    certificate, key = client()
    return {"client_cert_pem": certificate, "client_key_pem": key}
