"""A real node of a control plane: the kubelet, containerd and runc on this machine, with cards that are not there.

    with ControlPlane() as plane:
        node = RealNode(plane).start()      # two seconds; ends with the plane

It needs root, Debian's packages (`PACKAGES`) and cgroups, and no systemd. Everything of it lives in namespaces of its
own (mounts, processes), whose end takes containers and mounts along, however it comes; its /run, /var/lib and /var/log
are folders of the plane's, and the settings of the kernel that a kubelet changes are files. What is left for the keeper
to undo are cgroups and an address of `lo`.
"""

import contextlib
import ipaddress
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

from tests.kube.api import ApiError, Object
from tests.kube.container import make_images, settings
from tests.kube.plane import ControlPlane, Failed, free_port
from tests.kube.vendors import KINDS

PACKAGES = ("containerd", "runc", "containernetworking-plugins", "busybox-static", "iptables", "iproute2")
IMAGE = "localhost/busybox:1"
RESOURCE = "nvidia.com/gpu"
DRIVER = "gpu.nvidia.com"
READY_SECONDS = 60.0

_PROGRAMS = ("containerd", "ctr", "runc", "iptables", "busybox", "ip", "unshare", "nsenter", "setpriv")
_CGROUPS = Path("/sys/fs/cgroup")
_SETTINGS = (  # of the kernel, that the kubelet and the network plugin change: several nodes would restore each other's
    "vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes", "net/ipv4/ip_forward",
)  # fmt: skip


def missing() -> str:
    """Why there can be no node on this machine as it is; empty if there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a real node needs root"
    if not os.access(_CGROUPS, os.W_OK):
        return "a real node needs cgroups that can be written"
    absent = [name for name in _PROGRAMS if shutil.which(name, path=_path()) is None]
    absent += [] if Path("/usr/lib/cni/ptp").exists() else ["/usr/lib/cni/ptp"]
    return f"not installed: {', '.join(absent)} (Debian: apt-get install {' '.join(PACKAGES)})" if absent else ""


def install() -> None:
    """Debian's packages, where root may; says nothing if it cannot be done, since `missing` does."""
    if os.geteuid() != 0 or not missing() or shutil.which("apt-get") is None:
        return
    with contextlib.suppress(subprocess.SubprocessError):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for words in (("update", "-qq"), ("install", "-y", "-qq", "--no-install-recommends", *PACKAGES)):
            subprocess.run(["apt-get", *words], env=environment, check=True, capture_output=True, timeout=600)


class Setup(TypedDict):
    """What plugin.py is told. `kubelet` is the kubelet's folder; `devices` have the form of a ResourceSlice's."""

    node: str
    kubelet: str
    prepared: str  # a file: the devices of each claim that is prepared now, by the claim's uid
    server: str
    ca_pem: str
    token: str
    devices: list[dict[str, Any]]
    sick: list[str]  # UUIDs
    is_published: bool  # by the DRA driver


class RealNode:
    """Eight cards, counted as `nvidia.com/gpu` by a device plugin; by a DRA driver too while `publish` is on."""

    def __init__(self, plane: ControlPlane, name: str = "real-1") -> None:
        self.plane, self.name = plane, name
        self.devices = KINDS["dra-and-plugin"].slices[0].devices(name)
        self.uuids = [uuid_of(device) for device in self.devices]
        self._setup = Setup(
            node=name,
            kubelet=str(self.folder / "var/lib/kubelet"),
            prepared=str(self.folder / "prepared.json"),
            server=plane.url,
            ca_pem=plane.ca_pem,
            token=plane.admin_token,
            devices=self.devices,
            sick=[],
            is_published=False,
        )
        self._cgroup = f"aquifer-{secrets.token_hex(4)}"
        self._init = 0

    @property
    def folder(self) -> Path:
        return self.plane.folder / self.name

    def start(self) -> "RealNode":
        """Returns once the node is ready and shows its cards."""
        for name in ("run", "var/lib/kubelet/device-plugins", "var/log/pods", "cni"):
            (self.folder / name).mkdir(parents=True)
        self._address = self._take_address()
        self._make_cgroups()
        self._make_namespaces()
        for path, content in settings(self.folder, self._address).items():
            path.write_text(content)
        self._start_inside("containerd", ["containerd", "--config", str(self.folder / "containerd.toml")])
        self._ctr("images", "import", str(make_images(self.folder)))
        (self.folder / "kubelet.yaml").write_text(json.dumps(self._kubelet()))
        self.start_kubelet()
        self._say()
        root = str(Path(__file__).resolve().parents[2])
        argv = [sys.executable, "-m", "tests.kube.plugin", str(self._setup_path)]
        self.plane.keeper.start("plugin", argv, env={"PYTHONPATH": root})
        self._wait("a node that shows its cards", self._is_ready)
        return self

    # -- what tests change -----------------------------------------------------------------------------

    def publish(self, is_published: bool) -> None:
        """Whether the DRA driver shows the cards by name; then the driver under test asks for them so."""
        self._setup["is_published"] = is_published
        self._say()
        path = "/apis/resource.k8s.io/v1/resourceslices"
        with self.plane.api() as api:
            self._wait("the ResourceSlice", lambda: bool([*api.items(path)]) == is_published)

    def sicken(self, *uuids: str) -> None:
        """These cards are unhealthy from now on, the others healthy."""
        self._setup["sick"] = list(uuids)
        self._say()

    def prepared(self) -> dict[str, list[str]]:
        """Names of devices by the uid of the claim that they are prepared for."""
        path = Path(self._setup["prepared"])
        found: dict[str, list[str]] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def start_kubelet(self) -> None:
        self._start_inside(
            "kubelet",
            [
                str(self.plane.programs.path("kubelet")),
                f"--config={self.folder}/kubelet.yaml",
                f"--kubeconfig={self.plane.folder}/admin.json",
                "--root-dir=/var/lib/kubelet",
                "--cert-dir=/var/lib/kubelet/pki",
                f"--node-ip={self._address}",
                f"--hostname-override={self.name}",
            ],
        )

    def stop_kubelet(self) -> None:
        """What runs goes on; the node falls silent."""
        self.plane.keeper.stop("kubelet")

    def node(self) -> Object:
        with self.plane.api() as api:
            return api.get(f"/api/v1/nodes/{self.name}")

    # -- how -------------------------------------------------------------------------------------------

    def _is_ready(self) -> bool:
        try:
            status = self.node()["status"]
        except ApiError:
            return False
        ready = [condition["status"] for condition in status["conditions"] if condition["type"] == "Ready"]
        return ready == ["True"] and status["allocatable"].get(RESOURCE) == str(len(self.devices))

    def _wait(self, what: str, is_there: Any) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not is_there():
            for name in ("inside", "containerd", "kubelet", "plugin"):
                if (code := self._exit_code(name)) is not None:
                    raise Failed(f"{name} ended with {code}: {self.plane.log(name)}")
            if time.monotonic() > deadline:
                logs = "\n".join(self.plane.log(name, 1500) for name in ("kubelet", "containerd", "plugin"))
                raise Failed(f"waited {READY_SECONDS:.0f} s for {what}: {logs}")
            time.sleep(0.05)

    def _exit_code(self, name: str) -> int | None:
        try:
            return self.plane.keeper.exit_code(name)
        except OSError:  # not started yet
            return None

    @property
    def _setup_path(self) -> Path:
        return self.folder / "plugin.json"

    def _say(self) -> None:
        fresh = self._setup_path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(self._setup))
        fresh.rename(self._setup_path)

    def _take_address(self) -> str:
        """One of `lo`: a kubelet refuses to be at 127.0.0.1."""
        number = secrets.randbelow(1 << 16)
        address = str(ipaddress.ip_address("10.231.0.0") + number)
        self.plane.keeper.undo(["run", _found("ip"), "address", "del", f"{address}/32", "dev", "lo"])
        subprocess.run([_found("ip"), "address", "add", f"{address}/32", "dev", "lo"], check=True)
        return address

    def _make_cgroups(self) -> None:
        """One for all of the node, in each hierarchy."""
        self._undo("cgroups", self._cgroup)
        for hierarchy in _hierarchies():
            mine = hierarchy / self._cgroup
            for folder in (hierarchy, mine) if (hierarchy / "cgroup.controllers").exists() else ():
                folder.mkdir(exist_ok=True)
                for controller in (hierarchy / "cgroup.controllers").read_text().split():
                    with contextlib.suppress(OSError):  # one that is not free here
                        (folder / "cgroup.subtree_control").write_text(f"+{controller}")
            mine.mkdir(exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):
                if (mine / name).exists() and not (mine / name).read_text().strip():
                    (mine / name).write_text((hierarchy / name).read_text())

    def _make_namespaces(self) -> None:
        script = (
            "set -e; mount --make-rprivate /; "
            'for name in run var/lib var/log; do mount --bind "$0/$name" "/$name"; done; '
            'for name in "$@"; do mount --bind "$0/kernel/$name" "/proc/sys/$name"; done; '
            'touch "$0/inside"; while sleep 3600; do :; done'  # the shell reaps what is left by processes that end
        )
        names = [name for name in _SETTINGS if (Path("/proc/sys") / name).exists()]
        for name in names:
            mine = self.folder / "kernel" / name
            mine.parent.mkdir(parents=True, exist_ok=True)
            mine.write_text((Path("/proc/sys") / name).read_text())
        argv = [_found("unshare"), "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        pid = self.plane.keeper.start("inside", [*argv, "/bin/sh", "-c", script, str(self.folder), *names])
        self._wait("namespaces", (self.folder / "inside").exists)
        self._init = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])

    def _inside(self, argv: Sequence[str]) -> list[str]:
        enter = [_found("nsenter"), "--target", str(self._init), "--mount", "--pid", "--"]
        return [*enter, _found("setpriv"), "--pdeathsig", "KILL", "--", *argv]

    def _start_inside(self, name: str, argv: Sequence[str]) -> None:
        self.plane.keeper.start(name, self._inside(argv), env={"PATH": _path()})

    def _ctr(self, *words: str) -> None:
        argv = [_found("ctr"), "--address", str(self.folder / "containerd.sock"), "--namespace", "k8s.io", *words]
        self._wait("containerd", (self.folder / "containerd.sock").exists)
        done = subprocess.run(self._inside(argv), capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise Failed(f"ctr {' '.join(words)}: {done.stderr}{self.plane.log('containerd')}")

    def _undo(self, *words: str) -> None:
        self.plane.keeper.undo(["run", sys.executable, "-I", str(Path(__file__).with_name("undo.py")), *words])

    def _kubelet(self) -> Object:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self._address,
            "port": free_port(self._address),
            "healthzPort": 0,
            "readOnlyPort": 0,
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "containerRuntimeEndpoint": f"unix://{self.folder}/containerd.sock",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self._cgroup}",
            "failCgroupV1": False,
            "enforceNodeAllocatable": [],
            "failSwapOn": False,
            "makeIPTablesUtilChains": False,
            "oomScoreAdj": 0,
            "clusterDNS": ["10.96.0.10"],
            "clusterDomain": "cluster.local",
            "resolvConf": "",
            "evictionHard": dict.fromkeys(("memory.available", "nodefs.available", "imagefs.available"), "1Mi"),
            "imageGCHighThresholdPercent": 100,
            "nodeStatusUpdateFrequency": "2s",
            "nodeStatusReportFrequency": "2s",
            "syncFrequency": "5s",
            "podLogsDir": "/var/log/pods",
            "volumePluginDir": "/var/lib/kubelet/volume-plugins",
            "registerWithTaints": [],
        }


def uuid_of(device: dict[str, Any]) -> str:
    return str(device["attributes"]["uuid"]["string"])


def _hierarchies() -> list[Path]:
    """Of cgroups: one for each controller (v1), or the one of all (v2)."""
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS]
    return [path for path in sorted(_CGROUPS.iterdir()) if path.is_dir() and not path.is_symlink()]


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/bin:/bin"


def _found(program: str) -> str:
    found = shutil.which(program, path=_path())
    assert found, program
    return found
