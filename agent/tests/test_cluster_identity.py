"""How a cluster's agent comes by its identity, and keeps it: Secrets of an API server, a hub, and what goes wrong."""

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aquifer_agent.cluster import identity
from aquifer_agent.cluster.identity import NoIdentity, find
from aquifer_agent.cluster.kube import Cluster, KubeError
from aquifer_agent.hub import Address, HubError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fakehub import AGENT_TOKEN, JOIN_TOKEN, FakeHub

NAMESPACE = "aquifer-system"


class FakeKube:
    """Secrets of one namespace behind TLS, as far as the agent asks for them. `refuse`: (verb, name) -> status."""

    def __init__(self, folder: Path) -> None:
        self.secrets: dict[str, dict[str, Any]] = {}
        self.tokens = {"first"}
        self.refuse: dict[tuple[str, str], list[int]] = {}
        self.calls: list[tuple[str, str]] = []
        self.account = folder / "account"
        self.account.mkdir()
        (self.account / "token").write_text("first\n")
        (self.account / "namespace").write_text(NAMESPACE)
        self._server = _serve(self, folder)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"

    def put(self, name: str, **data: str) -> None:
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        self.secrets[name] = {"metadata": {"resourceVersion": "1"}, "data": encoded}

    def data(self, name: str) -> dict[str, str]:
        found = self.secrets[name].get("data") or {}
        return {key: base64.b64decode(value).decode() for key, value in found.items()}

    def cluster(self) -> Cluster:
        return Cluster.around_us(self.account, self.url)

    def answer(self, verb: str, path: str, token: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if token not in self.tokens:
            return 401, {"message": "Unauthorized"}
        name = path.rsplit("/", 1)[1]
        self.calls.append((verb, name))
        if planned := self.refuse.get((verb, name)):
            return planned.pop(0), {"message": f"You may not {verb} {name}."}
        if path == "/api/v1/namespaces/kube-system":
            return 200, {"metadata": {"uid": "1234"}}
        assert path == f"/api/v1/namespaces/{NAMESPACE}/secrets/{name}"
        if name not in self.secrets:
            return 404, {"message": "not found"}
        if verb == "DELETE":
            del self.secrets[name]
            return 200, {}
        secret = self.secrets[name]
        if verb == "PATCH":
            if body["metadata"]["resourceVersion"] != secret["metadata"]["resourceVersion"]:
                return 409, {"message": "the object has been modified"}
            secret["data"] = {**(secret.get("data") or {}), **body["data"]}
            secret["metadata"]["resourceVersion"] += "1"
        return 200, secret

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _serve(kube: FakeKube, folder: Path) -> ThreadingHTTPServer:
    class Door(BaseHTTPRequestHandler):
        def _any(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else {}
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            status, answer = kube.answer(self.command, self.path, token, body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PATCH = do_DELETE = _any

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.daemon_threads = True
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kube")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (kube.account / "ca.crt").write_bytes(pem)
    (folder / "server.pem").write_bytes(
        pem
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server


@pytest.fixture
def kube(tmp_path: Path) -> Iterator[FakeKube]:
    kube = FakeKube(tmp_path)
    kube.put("identity")
    kube.put("join", token=f"{JOIN_TOKEN}\n")
    yield kube
    kube.stop()


def look(kube: FakeKube, hub: FakeHub) -> identity.Known:
    return find(kube.cluster(), Address(hub.url), "identity", "join", lambda seconds: None)


def test_a_join_token_becomes_an_identity_and_is_deleted(kube: FakeKube, hub: FakeHub) -> None:
    known = look(kube, hub)
    assert (known.agent_token, known.cluster_id, known.epoch) == (AGENT_TOKEN, "c-1", 1)
    assert AGENT_TOKEN not in repr(known)
    assert "join" not in kube.secrets
    assert json.loads(kube.data("identity")["identity.json"])["agent_token"] == AGENT_TOKEN
    again = look(kube, hub)
    assert again == known
    assert len(hub.enrolments) == 1, "a pod that begins anew enrols no second time"
    assert len(hub.enrolments[0]["machine_id"]) == 32


def test_a_new_token_makes_it_anew_and_an_old_one_is_passed_over(kube: FakeKube, hub: FakeHub) -> None:
    look(kube, hub)
    kube.put("join", token="spent")  # as an upgrade by Helm puts it back
    assert look(kube, hub).agent_token == AGENT_TOKEN
    assert kube.data("join") == {"token": "spent"}, "ours to delete only once used"
    kube.put("join", token=JOIN_TOKEN)
    look(kube, hub)
    assert len([e for e in hub.enrolments if e["join_token"] == JOIN_TOKEN]) == 2


def test_without_a_token_and_an_identity_it_says_what_is_missing(kube: FakeKube, hub: FakeHub) -> None:
    del kube.secrets["join"]
    with pytest.raises(NoIdentity, match="identity is empty, and the Secret join holds no join token"):
        look(kube, hub)
    kube.put("join", token="spent")
    with pytest.raises(NoIdentity, match="Ask the hub for a new one"):
        look(kube, hub)
    kube.put("identity", **{"identity.json": "what?"})
    with pytest.raises(NoIdentity, match="is no identity"):
        look(kube, hub)


def test_the_token_is_not_spent_where_nothing_can_be_kept(kube: FakeKube, hub: FakeHub) -> None:
    kube.refuse[("PATCH", "identity")] = [403]
    with pytest.raises(KubeError, match="403"):
        look(kube, hub)
    del kube.secrets["identity"]
    with pytest.raises(NoIdentity, match="no Secret identity"):
        look(kube, hub)
    assert hub.enrolments == []


def test_once_it_is_spent_keeping_is_tried_again(kube: FakeKube, hub: FakeHub) -> None:
    kube.refuse[("PATCH", "identity")] = [0, 500, 409]
    kube.refuse[("PATCH", "identity")][0] = 200  # the trial before enrolment
    look(kube, hub)
    assert "identity.json" in kube.data("identity")


def test_a_join_token_that_stays_is_a_warning(kube: FakeKube, hub: FakeHub, caplog: pytest.LogCaptureFixture) -> None:
    kube.refuse[("DELETE", "join")] = [403]
    assert look(kube, hub).agent_token == AGENT_TOKEN
    assert "stays in the Secret join" in caplog.text
    assert AGENT_TOKEN not in caplog.text and JOIN_TOKEN not in caplog.text


def test_a_hub_that_is_away_spends_nothing(kube: FakeKube, hub: FakeHub) -> None:
    hub.stop()
    with pytest.raises(HubError, match="No answer"):
        look(kube, hub)
    assert "join" in kube.secrets
    hub.start_again()
    assert look(kube, hub).cluster == "lab"


def test_the_account_is_read_anew_each_time(kube: FakeKube, hub: FakeHub) -> None:
    cluster = kube.cluster()
    look(kube, hub)
    kube.tokens = {"second"}
    with pytest.raises(KubeError, match="401"):
        cluster.secret("identity")
    (kube.account / "token").write_text("second")
    assert cluster.secret("identity") is not None
    (kube.account / "ca.crt").write_text("")
    with pytest.raises(KubeError) as refused:
        cluster.secret("identity")
    assert "second" not in str(refused.value)


def test_a_server_of_another_authority_is_not_believed(kube: FakeKube, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = FakeKube(tmp_path / "other")
    try:
        (kube.account / "ca.crt").write_bytes((other.account / "ca.crt").read_bytes())
        with pytest.raises(KubeError, match="CERTIFICATE_VERIFY_FAILED"):
            kube.cluster().secret("identity")
        assert kube.calls == []
    finally:
        other.stop()


def test_outside_of_a_cluster_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(KubeError, match="not inside a Kubernetes cluster"):
        Cluster.around_us(tmp_path)
    (tmp_path / "namespace").write_text("x")
    with pytest.raises(KubeError, match="KUBERNETES_SERVICE_HOST"):
        Cluster.around_us(tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    assert Cluster.around_us(tmp_path).server == "https://[fd00::1]:6443"
