"""Conversations about clusters that are asked directly: how they are connected, tried, and what is told of it."""

import base64
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.apps import apps
from django.db import connection
from django.utils import timezone

from federation import addresses, registry
from federation.actions import sites
from federation.connections import Connection
from federation.drivers.base import Rejected, SiteInfo, Unavailable
from federation.models import Cluster, ClusterCredential
from federation.reconcile import clusters
from portal import tasks
from portal.audit import SYSTEM
from portal.models import AuditEntry
from portal.permissions import Role
from tests import certificates, factories
from tests.api.conftest import Client, SignIn
from tests.api.world import digest_of_database
from tests.billing.rows import Estate, at
from tests.certificates import SERVER, authority, b64, client, server, token
from tests.certificates import kubeconfig as config
from tests.stub_driver import StubDriver

pytestmark = pytest.mark.django_db
CLUSTERS = "/api/v1/clusters"
CHECK = f"{CLUSTERS}/check-connection"


@pytest.fixture(autouse=True)
def stub() -> Iterator[type[StubDriver]]:
    StubDriver.made.clear()
    StubDriver.answer = SiteInfo("v1.34.2")
    yield StubDriver
    StubDriver.answer = SiteInfo("v1.34.2")


@pytest.fixture
def operator(sign_in: SignIn) -> Client:
    return sign_in(Role.PLATFORM_OPERATOR)


@pytest.fixture
def body(operator: Client) -> dict[str, Any]:
    site = operator.post("/api/v1/sites", {"slug": "north", "name": "North"}).json()["id"]
    return {"site": site, "slug": "main", "name": "Main", "kind": "kubernetes", "driver": "kubernetes"}


def kubeconfig(**kwargs: Any) -> dict[str, str]:
    return {"kubeconfig": json.dumps(config(**kwargs))}


def test_a_cluster_is_connected_with_its_creation_and_again_later(operator: Client, body: dict[str, Any]) -> None:
    end = datetime(2030, 1, 1, tzinfo=UTC)
    key = {"Idempotency-Key": "north-main"}
    sent = {**body, "connection": kubeconfig(user={"token": token("first", end=end)})}
    made = operator.post(CLUSTERS, sent, headers=key)
    assert made.status_code == 201, made.json()
    shown = made.json()["connection"]
    assert (shown["server"], shown["tls_server_name"], shown["has_authority"]) == (SERVER, "", True)
    assert (shown["is_certificate"], shown["expires_at"]) == (False, "2030-01-01T00:00:00Z")
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
    assert told.last().detail["fingerprint"] == now["fingerprint"]  # type: ignore[union-attr]

    certificate, private = client()
    user = {"client-certificate-data": b64(certificate), "client-key-data": b64(private)}
    by_certificate = operator.post(f"{address}/connect", kubeconfig(user=user)).json()["connection"]
    assert by_certificate["is_certificate"] is True
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


def test_a_driver_gets_the_secrets_of_its_cluster_and_no_other_driver_any(operator: Client, body: Any) -> None:
    first = {**body, "settings": {"system_namespace": "ours"}, "connection": kubeconfig()}
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


def test_a_look_uses_what_was_given_last(operator: Client, body: Any) -> None:
    made = operator.post(CLUSTERS, {**body, "connection": kubeconfig()}).json()
    clusters.run(made["id"])
    assert operator.get(f"{CLUSTERS}/{made['id']}").json()["site_version"] == "v1.34.2"
    StubDriver.made.clear()
    operator.post(f"{CLUSTERS}/{made['id']}/connect", {"server": "https://10.8.0.9", "token": token("new")})
    clusters.run(made["id"])
    assert {(c.settings["server"], c.secrets["token"]) for c in StubDriver.made} == {
        ("https://10.8.0.9", token("new"))
    }  # fmt: skip


# -- what does not fit together -----------------------------------------------------------------------------


def test_driver_kind_settings_and_connection_fit_together(operator: Client, body: Any) -> None:
    def refused(**changes: Any) -> tuple[int, str, str]:
        answer = operator.post(CLUSTERS, {**body, **changes})
        error = answer.json()["errors"][0]
        return answer.status_code, error["pointer"], error["code"]

    way = {"connection": kubeconfig()}
    assert refused() == (422, "/connection", "required")
    assert refused(driver="fake", **way) == (422, "/connection", "no-connection")
    assert refused(kind="kvm", **way) == (422, "/kind", "driver-kind")
    for name in sorted(registry.RESERVED_SETTINGS):
        assert refused(settings={name: "x"}, **way) == (422, f"/settings/{name}", "reserved")
    assert not Cluster.objects.exists()
    agent = operator.post(CLUSTERS, {**body, "driver": "agent"})
    assert (agent.status_code, agent.json()["connection"]) == (201, None)
    assert "connect" not in agent.json()["actions"]
    address = f"{CLUSTERS}/{agent.json()['id']}"
    assert operator.post(f"{address}/connect", kubeconfig()).json()["code"] == "conflict"
    assert operator.post("/api/v1/join-tokens", {"cluster": agent.json()["id"]}).status_code == 201


def test_settings_that_got_in_another_way_lead_nowhere(operator: Client, body: Any) -> None:
    made = operator.post(CLUSTERS, {**body, "connection": kubeconfig()}).json()
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
    connection: dict[str, str], pointer: str, code: str, operator: Client, body: Any
) -> None:
    made = operator.post(CLUSTERS, {**body, "slug": "other", "connection": kubeconfig()}).json()
    before = digest_of_database()
    for address, sent, at_ in (
        (CLUSTERS, {**body, "connection": connection}, f"/connection{pointer}"),
        (f"{CLUSTERS}/{made['id']}/connect", connection, pointer),
        (CHECK, connection, pointer),
    ):
        answer = operator.post(address, sent)
        assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")
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


# -- trying ----------------------------------------------------------------------------------------------------


def test_a_try_uses_what_is_sent_now_and_keeps_nothing(operator: Client, body: Any) -> None:
    operator.post(CLUSTERS, {**body, "connection": kubeconfig(user={"token": token("kept")})})
    before = digest_of_database()
    answer = operator.post(CHECK, {"server": SERVER, "token": token("typed")})
    assert (answer.status_code, answer.json()["is_reachable"], answer.json()["site_version"]) == (200, True, "v1.34.2")
    assert [dict(config.secrets) for config in StubDriver.made] == [{"token": token("typed")}]
    harm = {"system_namespace": "ours", "token_file": "/etc/hostname", "server": "https://10.9.9.9"}
    operator.post(CHECK, {"server": SERVER, "token": token("typed"), "settings": harm})
    assert StubDriver.made[-1].settings == {**dict(StubDriver.made[0].settings), "system_namespace": "ours"}
    StubDriver.answer = SiteInfo("v1.34.2", "The credential may not list nodes.", is_degraded=True)
    found = operator.post(CHECK, kubeconfig()).json()
    assert (found["is_reachable"], found["is_degraded"]) == (True, True)
    assert found["message"] == "The credential may not list nodes."
    assert (found["server"], found["expires_at"]) == (SERVER, None)
    for error in (Unavailable("The site did not answer."), Rejected("Never", "Not this one.")):
        StubDriver.answer = error
        found = operator.post(CHECK, kubeconfig()).json()
        assert (found["is_reachable"], found["site_version"], found["message"]) == (False, "", str(error))
    assert digest_of_database() == before


def test_a_name_that_turns_on_us_is_not_followed(
    operator: Client, body: Any, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """DNS rebinding: a good address for the first look, our own for the second."""
    answers = [["10.8.0.7"], ["127.0.0.1"], ["10.8.0.7"], ["169.254.169.254"], []]
    monkeypatch.setattr(addresses, "system_resolver", lambda name, port: answers.pop(0))
    monkeypatch.setattr(registry, "_answers", {})
    monkeypatch.setattr(registry, "_REMEMBER_SECONDS", -1.0)
    settings.SITE_LOOPBACK = False
    parts = {"server": "https://site.example:6443", "token": token()}
    tried = operator.post(CHECK, parts).json()
    assert (tried["is_reachable"], "this machine itself" in tried["message"]) == (False, True)
    made = operator.post(CLUSTERS, {**body, "connection": parts}).json()
    for words in ("where a cloud tells", "has no address now"):
        clusters.run(made["id"])
        shown = operator.get(f"{CLUSTERS}/{made['id']}").json()
        assert (shown["state"], shown["reason"]) == ("pending", "Unavailable")
        assert words in shown["message"]
        Cluster.objects.update(next_check_at=timezone.now())
    assert StubDriver.made == [], "nothing was connected to"
    assert answers == []


def test_the_operators_networks_hold_at_once_and_later(operator: Client, body: Any, settings: Any) -> None:
    settings.SITE_NETWORKS = [addresses.ip_network("10.8.0.0/16")]
    outside = operator.post(CHECK, {"server": "https://10.9.0.1", "token": token()})
    assert outside.json()["errors"][0]["code"] == "outside-address"
    made = operator.post(CLUSTERS, {**body, "connection": kubeconfig()}).json()
    settings.SITE_NETWORKS = [addresses.ip_network("10.9.0.0/16")]
    with pytest.raises(Unavailable, match="AQUIFER_SITE_NETWORKS"):
        registry.driver_for(Cluster.objects.get(pk=made["id"])).check()


# -- no secret is anywhere ---------------------------------------------------------------------------------------


def everything_stored() -> str:
    """Every row of every table, as text."""
    found = []
    with connection.cursor() as cursor:
        for model in apps.get_models(include_auto_created=True):
            cursor.execute(f"SELECT coalesce(string_agg(t::text, '|'), '') FROM {model._meta.db_table} t")  # noqa: S608
            found.append(cursor.fetchone()[0])
    return "\n".join(found)


def forms(secret: str) -> list[str]:
    plain = secret.encode()
    shifted = [base64.b64encode(b"\0" * n + plain).decode()[4:-4] for n in range(3)]
    return [
        secret,
        secret[::-1],
        quote(secret, safe=""),
        plain.hex(),
        *shifted,
        base64.urlsafe_b64encode(plain).decode(),
    ]


def test_no_secret_is_shown_kept_or_logged_in_any_form(
    operator: Client, body: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    sent: list[str] = []
    monkeypatch.setattr("portal.hints.send", lambda task, *args: sent.append(f"{task} {args}"))
    _, private = client()
    secrets = [token(f"canary{n}") for n in range(100)] + [private.splitlines()[1], private.splitlines()[2]]
    user = {"client-certificate-data": b64(client()[0]), "client-key-data": b64(private)}
    answers = []
    for n, secret in enumerate(secrets[:100]):
        key = {"Idempotency-Key": f"key-{n}"}
        way = kubeconfig(user={"token": secret, **user}, server=server(n))
        made = operator.post(CLUSTERS, {**body, "slug": f"c{n}", "connection": way}, headers=key)
        answers.append(made)
        address = f"{CLUSTERS}/{made.json()['id']}"
        match n % 10:
            case 0:
                answers.append(operator.post(f"{address}/connect", {"server": server(n), "token": secret}))
            case 1:
                answers.append(operator.post(CHECK, way))
            case 2:
                answers.append(operator.post(CHECK, {"server": "https://169.254.169.254", "token": secret}))
            case 3:
                answers.append(operator.post(CHECK, {"kubeconfig": f"users: [&a {secret}]"}))
            case 4:
                answers.append(operator.post(CHECK, {"kubeconfig": f"{secret}: '{secret}"}))
            case 5:
                answers.append(operator.post(CHECK, kubeconfig(user={"password": secret, "token": secret})))
            case 6:
                answers.append(operator.post(CHECK, {"server": f"https://{secret}@10.8.0.7", "token": secret}))
            case 7:
                answers.append(operator.post(CHECK, {"server": SERVER, "token": secret, "ca_pem": secret}))
            case 8:
                clusters.run(made.json()["id"])
                answers += [operator.get(address), operator.post(CLUSTERS, {**body, "connection": way}, headers=key)]
            case 9:
                StubDriver.answer = ZeroDivisionError("a bug")
                answers.append(operator.post(CHECK, way))
                StubDriver.answer = SiteInfo("v1.34.2")
    answers += [operator.get(CLUSTERS, {"limit": "200"}), operator.get("/api/v1/audit-entries", {"limit": "200"})]
    frames: list[str] = []
    monkeypatch.setattr("portal.streams.send", lambda stream, message: frames.append(f"{message}"))
    while tasks.deliver_batch():
        pass
    assert {answer.status_code for answer in answers} >= {200, 201, 202, 400, 422, 500}
    assert frames
    places = {
        "an answer": "\n".join(answer.content.decode() for answer in answers),
        "the database": everything_stored(),
        "the log": caplog.text,
        "a message to a worker": "\n".join(sent),
        "a message to a browser": "\n".join(frames),
    }
    assert "ZeroDivisionError" in places["the log"]
    assert "10.9.0.7" in places["the database"]
    for where, text in places.items():
        found = [form for secret in secrets for form in forms(secret) if form in text]
        assert found == [], f"in {where}"


# -- what is sealed stays where it belongs ---------------------------------------------------------------------


def connected(body: Any, slug: str, canary: str, place: str = SERVER) -> Cluster:
    return sites.add_cluster(
        by=SYSTEM, site=factories.Site.objects.get(pk=body["site"]), slug=slug, name=slug, kind="kubernetes",
        driver="kubernetes", connection=Connection(place, token=token(canary)),
    )  # fmt: skip


def closed(cluster: Cluster) -> str:
    with pytest.raises(Unavailable) as caught:
        registry.driver_for(cluster).check()
    return str(caught.value)


def test_no_row_opens_what_another_has_sealed(body: Any) -> None:
    rows = [connected(body, f"c{n}", f"canary{n}", server(n)) for n in range(6)]
    credentials = {row.pk: ClusterCredential.objects.get(cluster=row) for row in rows}
    for one in rows:
        for other in rows:
            if one.pk != other.pk:
                # All of the other's place but the cluster itself; the other steps aside, as a server is there once.
                theirs = credentials[other.pk]
                ClusterCredential.objects.filter(cluster=other).update(server="https://aside.example")
                copied = {"sealed": theirs.sealed, "server": theirs.server, "version": theirs.version}
                ClusterCredential.objects.filter(cluster=one).update(**copied)
                assert "cannot be opened" in closed(one)
                for back in (credentials[one.pk], theirs):
                    ClusterCredential.objects.filter(pk=back.pk).update(
                        sealed=back.sealed, server=back.server, version=back.version
                    )
        mine = credentials[one.pk]
        for change in (
            {"server": "https://10.66.6.6"}, {"tls_server_name": "evil.example"}, {"version": mine.version + 1},
            {"sealed": mine.sealed[:-4] + "AAAA"}, {"sealed": "x"},
        ):  # fmt: skip
            as_it_was = {"server": mine.server, "tls_server_name": "", "version": mine.version, "sealed": mine.sealed}
            ClusterCredential.objects.filter(cluster=one).update(**{**as_it_was, **change})
            assert "cannot be opened" in closed(one), change
        ClusterCredential.objects.filter(cluster=one).update(**as_it_was)
        assert "canary" in registry.driver_for(one).config.secrets["token"]
    ClusterCredential.objects.all().delete()
    assert closed(rows[0]) == "There is no credential for this cluster. Connect it."


def test_an_older_credential_put_back_does_not_open(operator: Client, body: Any) -> None:
    cluster = connected(body, "c", "old")
    old = ClusterCredential.objects.get().sealed
    operator.post(f"{CLUSTERS}/{cluster.pk}/connect", {"server": SERVER, "token": token("new")})
    ClusterCredential.objects.update(sealed=old)
    assert "cannot be opened" in closed(cluster)
    assert "Connect it anew" in closed(cluster)
    assert timezone.now() - ClusterCredential.objects.get().replaced_at < timedelta(minutes=5)
