"""Conversations about the credentials of clusters: no secret is anywhere, and what is sealed stays where it belongs."""

import base64
import logging
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.apps import apps
from django.db import connection
from django.utils import timezone

from federation import registry
from federation.actions import sites
from federation.connections import Connection
from federation.drivers.base import SiteInfo, Unavailable
from federation.models import Cluster, ClusterCredential
from federation.reconcile import clusters
from portal import tasks
from portal.audit import SYSTEM
from tests import factories
from tests.api.conftest import Client
from tests.api.connecting import CHECK, CLUSTERS, kubeconfig
from tests.certificates import SERVER, b64, client, server, token
from tests.stub_driver import StubDriver

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_stub")]


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
    operator: Client, cluster_body: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
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
        made = operator.post(CLUSTERS, {**cluster_body, "slug": f"c{n}", "connection": way}, headers=key)
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
                answers += [
                    operator.get(address),
                    operator.post(CLUSTERS, {**cluster_body, "connection": way}, headers=key),
                ]
            case 9:
                StubDriver.answer = ZeroDivisionError("a bug")
                answers.append(operator.post(CHECK, way))
                StubDriver.answer = SiteInfo("v1.34.2")
    answers += [operator.get(CLUSTERS, {"limit": "200"}), operator.get("/api/v1/audit-entries", {"limit": "200"})]
    frames: list[str] = []
    monkeypatch.setattr("portal.streams.send", lambda stream, message: frames.append(f"{message}"))
    while tasks.deliver_batch():
        pass
    assert {answer.status_code for answer in answers} >= {200, 201, 202, 422, 500}
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


def connected(cluster_body: Any, slug: str, canary: str, place: str = SERVER) -> Cluster:
    return sites.add_cluster(
        by=SYSTEM, site=factories.Site.objects.get(pk=cluster_body["site"]), slug=slug, name=slug, kind="kubernetes",
        driver="kubernetes", connection=Connection(place, token=token(canary)),
    )  # fmt: skip


def closed(cluster: Cluster) -> str:
    with pytest.raises(Unavailable) as caught:
        registry.driver_for(cluster).check()
    return str(caught.value)


def test_no_row_opens_what_another_has_sealed(cluster_body: Any) -> None:
    rows = [connected(cluster_body, f"c{n}", f"canary{n}", server(n)) for n in range(6)]
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


def test_an_older_credential_put_back_does_not_open(operator: Client, cluster_body: Any) -> None:
    cluster = connected(cluster_body, "c", "old")
    old = ClusterCredential.objects.get().sealed
    operator.post(f"{CLUSTERS}/{cluster.pk}/connect", {"server": SERVER, "token": token("new")})
    ClusterCredential.objects.update(sealed=old)
    assert "cannot be opened" in closed(cluster)
    assert "Connect it anew" in closed(cluster)
    assert timezone.now() - ClusterCredential.objects.get().replaced_at < timedelta(minutes=5)
