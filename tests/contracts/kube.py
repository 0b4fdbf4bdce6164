"""A real API server, controllers and scheduler; this harness is its only kubelet, so that time can be moved.

The node's four cards are shown as HAMi shows them, since its sharing layer can name cards and divide them.
"""

import http.server
import json
import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from federation.drivers.base import DriverConfig, Unavailable
from federation.drivers.kubernetes.driver import KubernetesDriver
from federation.drivers.kubernetes.names import ANNOTATION_RUN_SECONDS, LABEL_REF, namespace_of
from federation.drivers.kubernetes.states import moment
from federation.drivers.kubernetes.transport import STEP_SECONDS, Api, ApiError, Deadline, Endpoint, Json
from tests.certificates import NOW, pair
from tests.contracts.harness import CARDS, MEMORY, NODE, Harness, uuid_of

SPACE = namespace_of("acme", "vision")
T = TypeVar("T")


class SlowApi(Api):
    """The connection of one driver, on which the harness orders faults. Its clock is the harness's."""

    def __init__(self, harness: "KubeHarness") -> None:
        super().__init__(harness.endpoint)
        self._harness = harness

    def now(self) -> float:
        return self._harness.now

    def begin(self) -> Deadline:
        if self._harness.is_broken or self._harness.slow_seconds > STEP_SECONDS:
            raise Unavailable("The site did not answer.")
        return super().begin()


class LossyDriver(KubernetesDriver):
    def __init__(self, config: DriverConfig, harness: "KubeHarness") -> None:
        super().__init__(config)
        self._harness = harness

    def _asked(self, look: Callable[[], T]) -> T:
        answer = super()._asked(look)
        if self._harness.is_lossy:
            raise Unavailable("The answer was lost.")
        return answer


class KubeHarness(Harness):
    measures = False
    has_containers = False  # tests/kube has a real node for what needs them

    def __init__(self, plane: Any, number: object, folder: Path) -> None:
        super().__init__()
        self.endpoint = Endpoint(plane.url, ca_pem=plane.ca_pem, token=plane.admin_token)
        self.system = f"aquifer-test-{number}"
        self.is_broken = self.is_lossy = False
        self.slow_seconds = 0.0
        self._api = SlowApi(self)
        self._plain = Api(self.endpoint)
        self._asked_to_end: dict[str, float] = {}
        self._kubelet = Kubelet(self, folder)
        self._make("/api/v1/namespaces", {"metadata": {"name": self.system}})
        self._make_node()

    def driver(self, epoch: int = 1) -> KubernetesDriver:
        settings = {
            "server": self.endpoint.server, "system_namespace": self.system, "default_image": "localhost/busybox:1",
        }  # fmt: skip
        return LossyDriver(DriverConfig("cluster-1", "kubernetes", epoch, settings, port=self._api), self)

    # -- time and faults -----------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Controllers get a moment of real time before and after the kubelet does what is due."""
        self._settle()
        self.now += seconds
        self._run_kubelet()
        self._settle()

    def tick(self) -> None:
        self._run_kubelet()

    def break_site(self) -> None:
        self.is_broken = True

    def slow_site(self, seconds: float) -> None:
        self.slow_seconds = seconds

    def lose_answers(self) -> None:
        self.is_lossy = True

    def heal_site(self) -> None:
        self.is_broken = self.is_lossy = False
        self.slow_seconds = 0.0

    def objects(self) -> list[str]:
        found = [*self._items("jobs"), *self._items("pods")]
        return sorted({item["metadata"]["labels"][LABEL_REF] for item in found})

    def close(self) -> None:
        for pod in self._items("pods"):
            self._kill(pod["metadata"]["name"])
        for job in self._items("jobs"):
            self._drop(f"/apis/batch/v1/namespaces/{SPACE}/jobs/{job['metadata']['name']}", "Foreground")
        for _ in range(100):
            for pod in self._items("pods"):
                self._kill(pod["metadata"]["name"])
            if not self._items("jobs") and not self._items("pods"):
                break
            time.sleep(0.05)
        self._drop(f"/api/v1/nodes/{NODE}")
        self._drop(f"/api/v1/namespaces/{self.system}")
        self._kubelet.close()

    # -- the kubelet -----------------------------------------------------------------------------------

    def _run_kubelet(self) -> None:
        for pod in self._items("pods"):
            meta, status = pod["metadata"], pod.get("status") or {}
            if not (pod.get("spec") or {}).get("nodeName"):
                continue
            if meta.get("deletionTimestamp"):
                asked = self._asked_to_end.setdefault(meta["uid"], self.now)
                if self.now >= asked + 1 or status.get("phase") in ("Succeeded", "Failed"):
                    self._kill(meta["name"])
                continue
            if status.get("phase") in ("Succeeded", "Failed"):
                continue
            began = self.began(pod)
            length = float(meta["annotations"].get(ANNOTATION_RUN_SECONDS, "inf"))
            if began is None:
                self._tell(pod, "Running", {"running": {"startedAt": _stamp(self.now)}})
            elif self.now >= began + length:
                ended = {"exitCode": 0, "reason": "Completed", "startedAt": _stamp(began)}
                self._tell(pod, "Succeeded", {"terminated": {**ended, "finishedAt": _stamp(began + length)}})

    def began(self, pod: Json) -> float | None:
        for one in (pod.get("status") or {}).get("containerStatuses") or []:
            for state in one["state"].values():
                if state and state.get("startedAt"):
                    return moment(state["startedAt"])
        return None

    def _tell(self, pod: Json, phase: str, state: Json) -> None:
        name = pod["metadata"]["name"]
        ready = "True" if phase == "Running" else "False"
        container = {
            "name": "main", "state": state, "ready": phase == "Running", "restartCount": 0, "image": "x",
            "imageID": "x", "lastState": {},
        }  # fmt: skip
        status = {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": ready}, {"type": "PodScheduled", "status": "True"}],
            "containerStatuses": [container],
        }
        path = f"/api/v1/namespaces/{SPACE}/pods/{name}/status"
        kind = "application/strategic-merge-patch+json"
        self._plain.call(self._plain.begin(), "PATCH", path, body={"status": status}, kind=kind)

    def _kill(self, name: str) -> None:
        self._drop(f"/api/v1/namespaces/{SPACE}/pods/{name}", grace=0)

    def output(self, name: str) -> str:
        pod = self._plain.get(self._plain.begin(), f"/api/v1/namespaces/{SPACE}/pods/{name}")
        began = self.began(pod)
        if began is None:
            return ""
        length = float(pod["metadata"]["annotations"].get(ANNOTATION_RUN_SECONDS, "inf"))
        lines = int(min(self.now - began, length))
        return "".join(f"second {i} 秒\n" for i in range(lines + 1))

    # -- the API server ----------------------------------------------------------------------------------

    def _items(self, kind: str) -> list[Json]:
        group = "api/v1" if kind == "pods" else "apis/batch/v1"
        return list(self._plain.items(self._plain.begin(), f"/{group}/namespaces/{SPACE}/{kind}"))

    def _settle(self) -> None:
        """Until the controllers have nothing left to do, as far as can be seen."""
        before = None
        for _ in range(40):
            now = [
                (i["metadata"]["name"], i["metadata"]["resourceVersion"])
                for i in (*self._items("jobs"), *self._items("pods"))
            ]
            if now == before:
                return
            before = now
            time.sleep(0.06)

    def _make(self, path: str, body: Json) -> None:
        self._plain.call(self._plain.begin(), "POST", path, body=body)

    def _drop(self, path: str, propagation: str = "Background", grace: int | None = None) -> None:
        body: Json = {"propagationPolicy": propagation}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        try:
            self._plain.call(self._plain.begin(), "DELETE", path, body=body)
        except ApiError as error:
            if error.status != 404:
                raise

    def _make_node(self) -> None:
        cards = [
            {
                "id": uuid_of(i), "index": i, "count": 10, "devmem": MEMORY, "devcore": 100,
                "type": "NVIDIA-NVIDIA A100-SXM4-80GB", "numa": 0, "mode": "hami-core", "health": True,
            }
            for i in range(CARDS)
        ]  # fmt: skip
        meta = {
            "name": NODE,
            "labels": {"zone": "a", "topology.kubernetes.io/rack": "r1", "kubernetes.io/hostname": NODE},
            "annotations": {
                "hami.io/node-nvidia-register": json.dumps(cards),
                "hami.io/node-handshake": f"Reported {_stamp(time.time())}",
            },
        }
        self._drop(f"/api/v1/nodes/{NODE}")
        self._make("/api/v1/nodes", {"metadata": meta})
        amounts = {
            "cpu": "64", "memory": "512Gi", "pods": "110", "nvidia.com/gpu": str(CARDS * 10),
            # The scheduler of HAMi counts these; the plain one needs to be told of them.
            "nvidia.com/gpumem": "1000000", "nvidia.com/gpucores": "1000",
        }  # fmt: skip
        status = {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._kubelet.port}},
        }
        kind = "application/strategic-merge-patch+json"
        path = f"/api/v1/nodes/{NODE}/status"
        self._plain.call(self._plain.begin(), "PATCH", path, body={"status": status}, kind=kind)
        # Its lease is not renewed by anybody: the controller must not take the node for dead, nor keep work away.
        self._plain.call(
            self._plain.begin(), "PATCH", f"/api/v1/nodes/{NODE}", body={"spec": {"taints": None}},
            kind="application/merge-patch+json",
        )  # fmt: skip


class Kubelet:
    """The one thing an API server asks a kubelet for here: the output of a container, a line a second."""

    def __init__(self, harness: KubeHarness, folder: Path) -> None:
        outer = harness

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                name = parts.path.split("/")[3]
                text = outer.output(name).encode()
                if limit := parse_qs(parts.query).get("limitBytes"):
                    text = text[: int(limit[0])]
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None: ...

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*_certificate(folder))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def _certificate(folder: Path) -> tuple[str, str]:
    """A self-signed one, and its key: API servers do not verify kubelets unless told to."""
    written = folder / "kubelet.crt", folder / "kubelet.key"
    for path, text in zip(written, pair("kubelet", end=NOW + timedelta(days=10_000)), strict=True):
        path.write_text(text)
    return str(written[0]), str(written[1])


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
