"""A registry of images of the tests' own, on loopback, that can keep an answer back."""

import gzip
import hashlib
import http.server
import json
import threading
from collections import Counter
from types import TracebackType
from typing import Any, Self

from tests.docker.engine import layer

_LIST = "application/vnd.docker.distribution.manifest.v2+json"


class Registry:
    def __init__(self) -> None:
        self.hold = threading.Event()  # while it is set, layers stop half way
        self.served: Counter[str] = Counter()
        self._things: dict[str, tuple[str, bytes]] = {}
        registry = self

        class Answering(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                registry.answer(self, has_body=True)

            def do_HEAD(self) -> None:
                registry.answer(self, has_body=False)

            def log_message(self, format: str, *args: Any) -> None:
                """Silent."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def image(self, name: str, **files: str) -> str:
        """One layer with these files; the name by which it is fetched."""
        plain = layer(**files)
        packed = gzip.compress(plain, mtime=0)
        config = json.dumps(
            {
                "architecture": "amd64", "os": "linux", "config": {},
                "rootfs": {"type": "layers", "diff_ids": [_digest(plain)]}, "history": [{"created_by": "tests"}],
            }
        ).encode()  # fmt: skip
        manifest = json.dumps(
            {
                "schemaVersion": 2, "mediaType": _LIST,
                "config": _part("application/vnd.docker.container.image.v1+json", config),
                "layers": [_part("application/vnd.docker.image.rootfs.diff.tar.gzip", packed)],
            }
        ).encode()  # fmt: skip
        for data in (config, packed):
            self._things[f"/v2/{name}/blobs/{_digest(data)}"] = ("application/octet-stream", data)
        for tag in ("1", _digest(manifest)):
            self._things[f"/v2/{name}/manifests/{tag}"] = (_LIST, manifest)
        self._layers = {_digest(packed)}
        return f"127.0.0.1:{self.port}/{name}:1"

    def answer(self, asked: http.server.BaseHTTPRequestHandler, *, has_body: bool) -> None:
        if asked.path == "/v2/":
            self._say(asked, 200, "application/json", b"{}", has_body)
            return
        thing = self._things.get(asked.path)
        if thing is None:
            said = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
            self._say(asked, 404, "application/json", json.dumps(said).encode(), has_body)
            return
        is_layer = asked.path.rpartition("/")[2] in self._layers
        if is_layer and has_body:
            self.served["blobs"] += 1
        self._say(asked, 200, thing[0], thing[1], has_body, may_wait=is_layer)

    def _say(
        self, asked: http.server.BaseHTTPRequestHandler, status: int, kind: str, data: bytes, has_body: bool,
        may_wait: bool = False,
    ) -> None:  # fmt: skip
        asked.send_response(status)
        asked.send_header("Content-Type", kind)
        asked.send_header("Content-Length", str(len(data)))
        asked.send_header("Docker-Content-Digest", _digest(data))
        asked.end_headers()
        if not has_body:
            return
        half = len(data) // 2 if may_wait else len(data)
        asked.wfile.write(data[:half])
        asked.wfile.flush()
        while may_wait and self.hold.is_set() and not self._is_over.wait(0.02):
            pass
        asked.wfile.write(data[half:])


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _part(kind: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "size": len(data), "digest": _digest(data)}
