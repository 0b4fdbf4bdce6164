"""A real Kubernetes control plane on loopback: etcd, API server, controller manager and scheduler, in two seconds.

    with ControlPlane() as plane:
        plane.api().get("/api/v1/nodes")
        plane.kubectl("get", "nodes")

Clients verify its certificate by `ca_pem`; it issues tokens of service accounts; everything goes at the end.
"""

import base64
import http.client
import json
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography.hazmat.primitives.asymmetric import ec

from tests.kube.api import Api, ApiError, Object
from tests.kube.build import CURRENT, Programs, programs
from tests.kube.certificates import Authority, write_key
from tests.kube.keeper import Keeper

READY_SECONDS = 60.0
_TRIES = 3  # a free port may be taken by somebody else before it is used


class Failed(Exception):
    """It did not start; the text has the end of the log."""


class ControlPlane:
    """
    compaction_seconds   how often old revisions are thrown away (0: never); `compact()` does it at once
    watch_cache          False: every list and watch goes to etcd
    watch_cache_size     events that are kept per kind; None: the server's own rule
    node_grace_seconds   a node silent for so long is NotReady. A day, since fake nodes without KWOK say nothing after
                         they are made.
    flags                more flags by program: {"kube-apiserver": ["--v=4"]}
    """

    def __init__(
        self,
        version: str = CURRENT,
        *,
        compaction_seconds: float = 300,
        watch_cache: bool = True,
        watch_cache_size: int | None = None,
        node_grace_seconds: int = 86_400,
        flags: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.version = version
        self.programs: Programs = programs(version)
        if self.programs.missing:
            raise Failed(f"not built: {', '.join(self.programs.missing)}; run python -m tests.kube.build")
        self.admin_token = secrets.token_urlsafe(24)
        self._flags = flags or {}
        self._apiserver_flags = [f"--etcd-compaction-interval={compaction_seconds}s", f"--watch-cache={watch_cache}"]
        if watch_cache_size is not None:
            self._apiserver_flags.append(f"--default-watch-cache-size={watch_cache_size}")
        self.node_grace_seconds = node_grace_seconds
        self.authority = Authority()
        self.ca_pem = self.authority.pem
        self.keeper: Keeper
        self._ports: dict[str, int] = {}

    # -- life ------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        for tries_left in reversed(range(_TRIES)):
            self.keeper = Keeper(f"kube-{self.version}")
            try:
                self._start()
                return self
            except BaseException as error:
                self.stop()
                if not isinstance(error, Failed) or "address already in use" not in str(error) or not tries_left:
                    raise
        raise AssertionError("unreachable")

    def stop(self) -> None:
        """Ends the programs in the reverse order of their start (etcd last) and removes their folder."""
        self._admin.close()
        self.__dict__.pop("_admin", None)
        self.keeper.close()

    def _start(self) -> None:
        self._ports = {name: free_port() for name in ("etcd", "peer", "apiserver")}
        self._write_files()
        self.start_etcd()
        self.start_apiserver()
        self.start_program("kube-controller-manager", self._controller_manager())
        self.start_program("kube-scheduler", self._controller("kube-scheduler"))
        # The first pod needs it, and it is the last thing to be there.
        self._wait("the default service account", self._has_account)

    def _has_account(self) -> bool:
        try:
            self._admin.get("/api/v1/namespaces/default/serviceaccounts/default")
        except ApiError:
            return False
        return True

    def start_etcd(self) -> None:
        client, peer = (f"http://127.0.0.1:{self._ports[name]}" for name in ("etcd", "peer"))
        flags = ["--data-dir", str(self.folder / "etcd"), "--unsafe-no-fsync", "--quota-backend-bytes=8000000000"]
        flags += ["--listen-client-urls", client, "--advertise-client-urls", client]
        flags += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster"]
        flags += [f"default={peer}", "--log-level=warn"]
        self.start_program("etcd", [str(self.programs.etcd / "etcd"), *flags])

    def start_apiserver(self) -> None:
        """Returns once it is ready."""
        self.start_program("kube-apiserver", self._apiserver())
        self._wait("the API server", self._is_ready)

    def stop_apiserver(self) -> None:
        """The site goes away; `start_apiserver` brings it back, with an empty watch cache: old watches get a 410."""
        self.keeper.stop("kube-apiserver")

    def start_program(self, name: str, argv: Sequence[str]) -> None:
        self.keeper.start(name, argv)

    def _is_ready(self) -> bool:
        try:
            return self._admin.text("/readyz") == "ok"
        except (OSError, http.client.HTTPException, ApiError):
            return False

    def _wait(self, what: str, is_there: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not is_there():
            for name in ("etcd", "kube-apiserver"):
                if (code := self.keeper.exit_code(name)) is not None:
                    raise Failed(f"{name} {self.version} ended with {code}: {self.log(name)}")
            if time.monotonic() > deadline:
                raise Failed(f"waited {READY_SECONDS:.0f} s for {what}: {self.log('kube-apiserver')}")
            time.sleep(0.05)

    # -- what a client needs ---------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._ports['apiserver']}"

    @property
    def folder(self) -> Path:
        return self.keeper.folder

    def kubeconfig(self, token: str = "", url: str = "") -> str:
        """A plain one: a server, its authority's certificate and a token (the administrator's)."""
        cluster = {
            "server": url or self.url,
            "certificate-authority-data": base64.b64encode(self.ca_pem.encode()).decode(),
        }
        content = {  # JSON is YAML
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": token or self.admin_token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        }
        return json.dumps(content, indent=1)

    def api(self, token: str = "", ca_pem: str = "") -> Api:
        """A new client, the administrator's unless a token is given; close it."""
        return Api(self.url, ca_pem or self.ca_pem, token or self.admin_token)

    @cached_property
    def _admin(self) -> Api:
        return self.api()

    def kubectl(self, *arguments: str, token: str = "", text: str = "", check: bool = True) -> str:
        """What kubectl prints (standard error too, if it fails and `check` is off). `text` is its input."""
        config = self.folder / "kubectl.json"
        config.write_text(self.kubeconfig(token))
        done = subprocess.run(
            [str(programs(CURRENT).path("kubectl")), f"--kubeconfig={config}", *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=120,
            env={"HOME": str(self.folder), "KUBECTL_KUBERC": "false"},
        )
        if done.returncode and check:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done.stdout + (done.stderr if done.returncode else "")

    def can(self, token: str, verb: str, resource: str, *arguments: str) -> bool:
        """`kubectl auth can-i` with that token: can(token, "delete", "pods", "-n", "team-a")."""
        return self.kubectl("auth", "can-i", verb, resource, *arguments, token=token, check=False).strip() == "yes"

    def service_account(self, namespace: str, name: str, rules: Sequence[Object] = (), hours: int = 1) -> str:
        """Makes a service account, a cluster role of these rules for it, and gives a token of it."""
        accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        self._admin.post(accounts, {"metadata": {"name": name}})
        if rules:
            rbac = "/apis/rbac.authorization.k8s.io/v1"
            role = f"{namespace}-{name}"
            subject = {"kind": "ServiceAccount", "namespace": namespace, "name": name}
            reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
            self._admin.post(f"{rbac}/clusterroles", {"metadata": {"name": role}, "rules": list(rules)})
            binding = {"metadata": {"name": role}, "subjects": [subject], "roleRef": reference}
            self._admin.post(f"{rbac}/clusterrolebindings", binding)
        return self.token(namespace, name, hours=hours)

    def token(self, namespace: str, name: str, hours: int = 1) -> str:
        asked = {"spec": {"expirationSeconds": hours * 3600}}
        answer = self._admin.post(f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token", asked)
        return str(answer["status"]["token"])

    # -- faults ----------------------------------------------------------------------------------------

    def compact(self) -> None:
        """Throws away all old revisions now: pages that go on from one (`continue`) and watches of it get a 410.

        Without the watch cache, that is: a server with it still serves them from there.
        """
        revision = int(self._etcd("/v3/kv/range", {"key": base64.b64encode(b"x").decode()})["header"]["revision"])
        self._etcd("/v3/kv/compaction", {"revision": revision, "physical": True})

    def _etcd(self, path: str, body: Object) -> Object:
        connection = http.client.HTTPConnection("127.0.0.1", self._ports["etcd"], timeout=30)
        try:
            connection.request("POST", path, json.dumps(body))
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        assert answer.status == 200, content
        result: Object = json.loads(content)
        return result

    def log(self, name: str, characters: int = 3000) -> str:
        """The end of a program's log."""
        path = self.keeper.log(name)
        return path.read_text(errors="replace")[-characters:] if path.exists() else ""

    # -- command lines ---------------------------------------------------------------------------------

    def _write_files(self) -> None:
        self.authority.issue(self.folder, "server", addresses=("127.0.0.1", "10.96.0.1"), lasts=timedelta(days=1))
        write_key(self.folder / "accounts.key", ec.generate_private_key(ec.SECP256R1()))
        for name, content in (
            ("ca.pem", self.ca_pem),
            ("tokens.csv", f'{self.admin_token},admin,admin,"system:masters"\n'),
            ("admin.json", self.kubeconfig()),
        ):
            path = self.folder / name
            path.touch(mode=0o600)
            path.write_text(content)

    def _apiserver(self) -> list[str]:
        folder, etcd = self.folder, self._ports["etcd"]
        return [
            str(self.programs.path("kube-apiserver")),
            f"--etcd-servers=http://127.0.0.1:{etcd}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self._ports['apiserver']}",
            f"--tls-cert-file={folder}/server.pem",
            f"--tls-private-key-file={folder}/server.key",
            f"--cert-dir={folder}/certs",
            "--service-cluster-ip-range=10.96.0.0/16",
            f"--service-account-key-file={folder}/accounts.key",
            f"--service-account-signing-key-file={folder}/accounts.key",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--token-auth-file={folder}/tokens.csv",
            "--authorization-mode=Node,RBAC",
            "--endpoint-reconciler-type=none",
            # For a real node that joins.
            "--kubelet-preferred-address-types=InternalIP",
            "--allow-privileged=true",
            # Tests of load should meet the limits of the machine, not those of fairness between clients.
            "--max-requests-inflight=1000",
            "--max-mutating-requests-inflight=1000",
            *self._apiserver_flags,
            *self._flags.get("kube-apiserver", ()),
        ]

    def _controller(self, name: str) -> list[str]:
        return [
            str(self.programs.path(name)),
            f"--kubeconfig={self.folder}/admin.json",
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=2000",
            "--kube-api-burst=4000",
            *self._flags.get(name, ()),
        ]

    def _controller_manager(self) -> list[str]:
        return [
            *self._controller("kube-controller-manager"),
            f"--service-account-private-key-file={self.folder}/accounts.key",
            f"--root-ca-file={self.folder}/ca.pem",
            f"--node-monitor-grace-period={self.node_grace_seconds}s",
            "--node-monitor-period=1s",
        ]


def free_port(address: str = "127.0.0.1") -> int:
    with socket.socket() as trial:
        trial.bind((address, 0))
        return int(trial.getsockname()[1])
