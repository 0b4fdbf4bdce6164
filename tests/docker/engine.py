"""A real Docker engine on this machine, with data, sockets and a bridge of its own, that leaves nothing behind.

    with Engine() as engine:            # a second
        engine.url, engine.socket, engine.secrets()

It needs root, Debian's package docker.io and cgroups, and no systemd. It lives in namespaces of its own (mounts,
processes), whose end takes containers and mounts along, however it comes. It writes no rule of iptables and switches no
forwarding on. What is left for the keeper to undo are a bridge and cgroups.
"""

import contextlib
import http.client
import io
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from tests.docker.certificates import Papers, papers
from tests.kube.container import make_images
from tests.kube.keeper import Keeper
from tests.kube.plane import Failed, free_port

PACKAGES = ("docker.io", "containerd", "runc", "busybox-static", "iproute2")
IMAGE = "localhost/busybox:1"
NAME = "docker.test"  # in its certificate
READY_SECONDS = 60.0
_PROGRAMS = ("dockerd", "containerd", "runc", "busybox", "ip", "unshare")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CGROUPS = Path("/sys/fs/cgroup")


def missing(programs: tuple[str, ...] = _PROGRAMS, packages: tuple[str, ...] = PACKAGES) -> str:
    """Why there can be no engine on this machine as it is; empty if there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a container engine needs root"
    if not os.access(_CGROUPS, os.W_OK):
        return "a container engine needs cgroups that can be written"
    absent = [name for name in programs if shutil.which(name, path=_PATH) is None]
    return f"not installed: {', '.join(absent)} (Debian: apt-get install {' '.join(packages)})" if absent else ""


def install(packages: tuple[str, ...] = PACKAGES) -> None:
    """Debian's packages, where root may; says nothing if it cannot be done, since `missing` does."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    with contextlib.suppress(subprocess.SubprocessError):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for words in (("update", "-qq"), ("install", "-y", "-qq", "--no-install-recommends", *packages)):
            subprocess.run(["apt-get", *words], env=environment, check=True, capture_output=True, timeout=600)


class Engine:
    """One dockerd. `hosts` are what it is reached by: a unix socket, and TLS on loopback."""

    def __init__(self) -> None:
        self.keeper = Keeper("docker")
        self.folder = self.keeper.folder
        self.socket = self.folder / "docker.sock"
        self.port = free_port("127.0.0.1")
        self.papers: Papers = papers(NAME)
        self._mark = secrets.token_hex(4)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.keeper.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.keeper.close()

    @property
    def unix(self) -> str:
        return f"unix://{self.socket}"

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.port}"

    @property
    def secrets(self) -> dict[str, str]:
        return {
            "ca_pem": self.papers.authority,
            "client_cert_pem": self.papers.client[0],
            "client_key_pem": self.papers.client[1],
        }

    def start(self) -> Self:
        self.keeper.undo(["run", sys.executable, "-I", str(_undo()), "cgroups", f"aquifer-{self._mark}"])
        self._make_bridge()
        for name, text in (
            ("ca.pem", self.papers.authority), ("cert.pem", self.papers.server[0]), ("key.pem", self.papers.server[1]),
        ):  # fmt: skip
            (self.folder / name).write_text(text)
        self.start_daemon()
        self._load()
        return self

    def start_daemon(self) -> None:
        argv = [
            "dockerd", f"--data-root={self.folder}/data", f"--exec-root={self.folder}/exec",
            f"--pidfile={self.folder}/docker.pid", f"--host={self.unix}", f"--host=tcp://127.0.0.1:{self.port}",
            "--tlsverify", f"--tlscacert={self.folder}/ca.pem", f"--tlscert={self.folder}/cert.pem",
            f"--tlskey={self.folder}/key.pem", "--iptables=false", "--ip6tables=false", "--ip-forward=false",
            "--ip-masq=false", f"--bridge={self._bridge}", f"--cgroup-parent=/aquifer-{self._mark}",
            "--default-ulimit=core=0:0",
        ]  # fmt: skip
        inside = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"]
        self.keeper.start("dockerd", [*inside, "/bin/sh", "-c", 'exec "$@"', "sh", *argv], env={"PATH": _PATH})
        self._wait()

    def stop_daemon(self) -> None:
        """As a power cut: containers go with it, and are found ended when it comes again."""
        self.keeper.stop("dockerd")
        for name in ("docker.pid", "docker.sock"):
            (self.folder / name).unlink(missing_ok=True)
        shutil.rmtree(self.folder / "exec", ignore_errors=True)

    def call(self, method: str, path: str, body: Any = None, *, raw: bytes | None = None) -> Any:
        """One request over the socket, past every driver."""
        link = http.client.HTTPConnection("localhost", timeout=30)
        link.sock = socket.socket(socket.AF_UNIX)
        kind = "application/x-tar" if raw is not None else "application/json"
        data = raw if raw is not None else (json.dumps(body).encode() if body is not None else b"")
        try:
            link.sock.connect(str(self.socket))
            link.request(method, path, body=data, headers={"Content-Type": kind})
            answer = link.getresponse()
            said = answer.read()
            answer.close()
        finally:
            link.close()
        if answer.status >= 400:
            raise Failed(f"{method} {path}: {answer.status} {said.decode(errors='replace')}")
        return json.loads(said) if "json" in answer.headers.get("Content-Type", "") and "/images/" not in path else said

    def containers(self, label: str = "app.kubernetes.io/managed-by=aquifer") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("GET", "/containers/json?all=1&filters=" + _filter(label))
        return found

    def clear(self, label: str = "app.kubernetes.io/managed-by=aquifer") -> None:
        """All containers and volumes with this label."""
        for item in self.containers(label):
            with contextlib.suppress(Failed):
                self.call("DELETE", f"/containers/{item['Id']}?force=1&v=1")
        for item in self.call("GET", "/volumes?filters=" + _filter(label))["Volumes"] or ():
            with contextlib.suppress(Failed):
                self.call("DELETE", f"/volumes/{quote(item['Name'], safe='')}")

    # -- how -------------------------------------------------------------------------------------------

    def _make_bridge(self) -> None:
        self._bridge = f"aq{self._mark}"
        number = secrets.randbelow(256)
        self.keeper.undo(["run", _found("ip"), "link", "del", self._bridge])
        for words in (
            ("link", "add", self._bridge, "type", "bridge"),
            ("address", "add", f"10.234.{number}.1/24", "dev", self._bridge),
            ("link", "set", self._bridge, "up"),
        ):
            subprocess.run([_found("ip"), *words], check=True)

    def _wait(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                self.call("GET", "/_ping")
                return
            except (OSError, http.client.HTTPException) as error:
                code = self.keeper.exit_code("dockerd")
                if code is not None or time.monotonic() > deadline:
                    raise Failed(f"dockerd ({code}): {error}: {self.log()}") from None
            time.sleep(0.05)

    def log(self, most: int = 3000) -> str:
        return self.keeper.log("dockerd").read_text(errors="replace")[-most:]

    def _load(self) -> None:
        self.call("POST", "/images/load?quiet=1", raw=make_images(self.folder).read_bytes())


def layer(**files: str) -> bytes:
    """A tar of small files, for an image that is not busybox."""
    found = io.BytesIO()
    with tarfile.open(fileobj=found, mode="w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return found.getvalue()


def _filter(label: str) -> str:
    return quote(json.dumps({"label": [label]}))


def _found(name: str) -> str:
    return shutil.which(name, path=_PATH) or name


def _undo() -> Path:
    return Path(__file__).parents[1] / "kube" / "undo.py"
