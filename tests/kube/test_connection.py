"""A real cluster is connected as docs/operations.md says: the manifest, a token of `kubectl create token`, the API."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from federation.models import Cluster
from federation.reconcile import clusters
from portal.permissions import Role
from tests import certificates, factories
from tests.api.conftest import Client, client_of
from tests.kube.plane import ControlPlane

pytestmark = [pytest.mark.django_db, pytest.mark.processes]
MANIFEST = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes" / "direct.yaml"
CHECK = "/api/v1/clusters/check-connection"


class Account:
    """The account of the manifest, in a namespace of its own so that tests do not meet."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane, self.namespace, self.name = plane, f"aquifer-{uuid4().hex[:8]}", f"hub-{uuid4().hex[:8]}"
        text = MANIFEST.read_text()
        self.text = text.replace("aquifer-system", self.namespace).replace("aquifer-hub", self.name)
        plane.kubectl("apply", "-f", "-", text=self.text)

    def token(self) -> str:
        return self.plane.kubectl("-n", self.namespace, "create", "token", self.name, "--duration=1h").strip()


@pytest.fixture(scope="module")
def account(plane: ControlPlane) -> Iterator[Account]:
    made = Account(plane)
    yield made
    plane.kubectl("delete", "--wait=false", "--ignore-not-found", "-f", "-", text=made.text)


@pytest.fixture
def operator() -> Client:
    return client_of(factories.user(Role.PLATFORM_OPERATOR))


def test_a_try_tells_what_is_wrong_with_a_connection(plane: ControlPlane, account: Account, operator: Client) -> None:
    def tried(**changes: Any) -> tuple[bool, bool, str]:
        sent = {"server": plane.url, "ca_pem": plane.ca_pem, "token": account.token(), **changes}
        answer = operator.post(CHECK, {"settings": {"system_namespace": account.namespace}, **sent})
        assert answer.status_code == 200, answer.json()
        found = answer.json()
        assert found["expires_at"] is not None or changes
        return found["is_reachable"], found["is_degraded"], found["message"]

    assert tried() == (True, False, "")
    reachable, degraded, message = tried(settings={})
    assert (reachable, degraded) == (True, True)
    assert "create configmaps in aquifer-system" in message
    reachable, _, message = tried(token="x" * 40)
    assert (reachable, "401" in message) == (False, True)
    reachable, _, message = tried(ca_pem=certificates.authority())
    assert (reachable, "TLSInvalid" in message) == (False, True)
    reachable, _, message = tried(tls_server_name="other.example")
    assert (reachable, "TLSInvalid" in message) == (False, True)
    reachable, _, message = tried(server="https://127.0.0.1:9")
    assert (reachable, "nothing answers" in message) == (False, True)


def test_a_cluster_is_connected_and_its_account_withdrawn(
    plane: ControlPlane, account: Account, operator: Client
) -> None:
    certificate = plane.kubectl(
        "-n", account.namespace, "get", "configmap", "kube-root-ca.crt", "-o", r"jsonpath={.data.ca\.crt}"
    )
    assert base64.b64encode(certificate.encode()).decode() in plane.kubeconfig() or certificate in plane.ca_pem
    site = operator.post("/api/v1/sites", {"slug": "north", "name": "North"}).json()["id"]
    made = operator.post(
        "/api/v1/clusters",
        {
            "site": site, "slug": "main", "name": "Main", "kind": "kubernetes", "driver": "kubernetes",
            "settings": {"system_namespace": account.namespace},
            "connection": {"kubeconfig": plane.kubeconfig(account.token())},
        },
    )  # fmt: skip
    assert made.status_code == 201, made.json()
    pk = made.json()["id"]
    clusters.run(pk)
    seen = operator.get(f"/api/v1/clusters/{pk}").json()
    assert (seen["state"], seen["reason"], seen["message"]) == ("connected", "Answers", "")
    assert seen["site_version"].startswith("v1.")
    assert seen["connection"]["server"] == plane.url

    other = plane.service_account(account.namespace, f"other-{uuid4().hex[:6]}")
    operator.post(f"/api/v1/clusters/{pk}/connect", {"kubeconfig": plane.kubeconfig(other)})
    Cluster.objects.filter(pk=pk).update(inventory_at=None)
    clusters.run(pk)
    seen = operator.get(f"/api/v1/clusters/{pk}").json()
    assert (seen["state"], seen["reason"]) == ("degraded", "Degraded"), "it may do less, at once"
