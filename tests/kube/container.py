"""What the container runtime of a real node needs: configuration, a network for pods, images without a registry."""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

_NETWORK = {
    "cniVersion": "0.4.0",
    "name": "aquifer",
    "plugins": [{"type": "ptp", "ipMasq": False, "ipam": {"type": "host-local"}}],
}


def settings(folder: Path, address: str) -> dict[Path, str]:
    """Files and what is in them, for containerd (1.6 or later) of the node at this address."""
    block = address.split(".")[3]
    network = json.loads(json.dumps(_NETWORK))
    network["plugins"][0]["ipam"] |= {"subnet": f"10.232.{block}.0/24", "routes": [{"dst": "0.0.0.0/0"}]}
    network["plugins"][0]["ipam"] |= {"dataDir": str(folder / "cni-addresses")}
    return {
        folder / "containerd.toml": _CONTAINERD.format(folder=folder),
        folder / "cni" / "10-aquifer.conflist": json.dumps(network),
    }


# restrict_oom_score_adj: without CAP_SYS_RESOURCE no sandbox starts otherwise ("can't get final child's PID").
# native: copies each image; overlays do not work on the overlay of a container, in which CI may run.
_CONTAINERD = """
version = 2
root = "{folder}/var/lib/containerd"
state = "{folder}/run/containerd"
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
"""

_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
}


def make_images(folder: Path) -> Path:
    """An archive of localhost/busybox:1 and localhost/pause:1, both of one layer: busybox under all of its names."""
    busybox = Path(shutil.which("busybox", path="/usr/bin:/bin") or "/bin/busybox")
    names = subprocess.run([str(busybox), "--list"], capture_output=True, text=True, check=True).stdout.split()
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        for path in ("bin", "etc", "tmp", "root"):
            entry = tarfile.TarInfo(path)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if path == "tmp" else 0o755
            archive.addfile(entry)
        _add(archive, "bin/busybox", busybox.read_bytes(), 0o755)
        for name in names:
            if name != "busybox":
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname, link.mode = tarfile.SYMTYPE, "busybox", 0o777
                archive.addfile(link)
        for path, text in _FILES.items():
            _add(archive, path, text.encode(), 0o644)
    content = layer.getvalue()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    manifest = []
    target = folder / "images.tar"
    with tarfile.open(target, mode="w") as archive:
        _add(archive, "layer.tar", content, 0o644)
        for name, own in (("busybox", {"Cmd": ["sh"]}), ("pause", {"Entrypoint": ["sleep", "infinity"]})):
            config = {
                "architecture": _architecture(),
                "os": "linux",
                "config": {"Env": ["PATH=/bin"], **own},
                "rootfs": {"type": "layers", "diff_ids": [digest]},
            }
            _add(archive, f"{name}.json", json.dumps(config).encode(), 0o644)
            manifest.append({"Config": f"{name}.json", "RepoTags": [f"localhost/{name}:1"], "Layers": ["layer.tar"]})
        _add(archive, "manifest.json", json.dumps(manifest).encode(), 0o644)
    return target


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))


def _architecture() -> str:
    done = subprocess.run(["uname", "-m"], capture_output=True, text=True, check=True)
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(done.stdout.strip(), done.stdout.strip())
