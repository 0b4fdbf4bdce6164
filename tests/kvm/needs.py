"""What tests of KVM hosts need of the machine, and how it comes there.

libvirt's library for Python is compiled against the machine's own libvirt, so it is no part of the environment that
`./run` makes. It is put into a folder of the user's cache, by version, and found from there. Root in CI installs
Debian's packages where apt is there; elsewhere the tests that need them are skipped, and say what is missing.
"""

import contextlib
import fcntl
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = (
    "libvirt-daemon", "libvirt-daemon-driver-qemu", "libvirt-daemon-system", "libvirt-clients", "libvirt-dev",
    "qemu-system-x86", "qemu-utils", "seabios", "ipxe-qemu", "pkg-config", "gcc", "libc6-dev", "debootstrap",
    "openssh-server", "openssh-client",
)  # fmt: skip
LIBRARIES = ("libvirt-python>=9", "pycdlib==1.*")
_PROGRAMS = ("libvirtd", "virtlogd", "qemu-system-x86_64", "qemu-img")
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/bin:/bin"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aquifer" / "kvm"


def program(name: str) -> str | None:
    return shutil.which(name, path=PATH)


def libraries() -> Path:
    version = "".join(_said("dpkg-query", "-W", "-f", "${Version}", "libvirt0").split()) or "any"
    return CACHE / f"python-{sys.version_info.major}.{sys.version_info.minor}-libvirt-{version.replace('/', '_')}"


def find() -> None:
    """Puts the libraries where an import finds them, if they are there."""
    if importlib.util.find_spec("libvirt") is None and (libraries() / "done").exists():
        sys.path.append(str(libraries()))
        importlib.invalidate_caches()


def missing_library() -> str:
    """Why libvirt cannot be spoken to from here; empty if it can."""
    find()
    absent = [name for name in ("libvirt", "pycdlib") if importlib.util.find_spec(name) is None]
    return f"not installed for Python: {', '.join(absent)} (python -m tests.kvm.needs installs it)" if absent else ""


def missing_daemon() -> str:
    """Why no libvirt of our own can run here; empty if it can."""
    if reason := missing_library():
        return reason
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a libvirt of its own needs root on Linux"
    absent = [name for name in (*_PROGRAMS, "unshare") if program(name) is None]
    return f"not installed: {', '.join(absent)} (Debian: apt-get install {' '.join(PACKAGES)})" if absent else ""


def install() -> None:
    """Says nothing if it cannot be done, since `missing_...` do."""
    with contextlib.suppress(subprocess.SubprocessError, OSError):
        if os.geteuid() == 0 and shutil.which("apt-get") and (missing_daemon() or _lacks_compiler()):
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            for words in (("update", "-qq"), ("install", "-y", "-qq", "--no-install-recommends", *PACKAGES)):
                subprocess.run(["apt-get", *words], env=environment, check=True, capture_output=True, timeout=600)
        if missing_library():
            _compile()


def _lacks_compiler() -> bool:
    return bool(missing_library()) and not _said("pkg-config", "--modversion", "libvirt")


def _compile() -> None:
    folder = libraries()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "done").exists():
            return
        uv = Path(__file__).resolve().parents[2] / ".local" / "uv" / "bin" / "uv"
        pip = [str(uv), "pip", "install", "--python", sys.executable] if uv.exists() else [
            sys.executable, "-m", "pip", "install",
        ]  # fmt: skip
        subprocess.run([*pip, "--target", str(folder), *LIBRARIES], check=True, capture_output=True, timeout=300)
        (folder / "done").touch()


def _said(*words: str) -> str:
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


if __name__ == "__main__":
    install()
    print(missing_daemon() or "all there")
