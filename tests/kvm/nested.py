"""A host with cards behind an IOMMU, inside QEMU: real pass-through with real vfio, on a machine without any of it.

    python -m tests.kvm.nested      # makes its disk, in about two minutes; it is kept in the user's cache by version

A Debian made by debootstrap with libvirt, QEMU and an init of thirty lines. Its cards are QEMU's: display devices of
PCI in an IOMMU group of their own, as accelerators are; but two of them share a bridge that cannot keep them apart, so
these are in one group. Making the disk needs root and Debian's packages; running it needs neither root nor KVM.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.kube.keeper import Keeper
from tests.kube.plane import free_port
from tests.kvm import guest, needs

VERSION = "1"  # of what is made here: raise it with every change of PACKAGES or INIT
SUITE = "bookworm"
PACKAGES = (
    "linux-image-amd64", "libvirt-daemon", "libvirt-daemon-driver-qemu", "qemu-system-x86", "qemu-utils", "iproute2",
    "udev", "kmod", "seabios", "ipxe-qemu",
)  # fmt: skip
NODE = "node-1"
_KERNEL = "intel_iommu=on iommu=pt modprobe.blacklist=kvm_amd,kvm_intel"
READY_SECONDS = 150.0
INIT = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup 2>/dev/null
hostname node-1
echo "127.0.0.1 localhost node-1" > /etc/hosts
/lib/systemd/systemd-udevd --daemon
udevadm trigger --action=add
udevadm settle --timeout=60
for module in virtio_net vfio vfio_pci vfio_iommu_type1; do modprobe $module; done
ip link set lo up
for path in /sys/class/net/e*; do
    ip link set "${path##*/}" up
    ip address add 10.0.2.15/24 dev "${path##*/}"
done
ip route add default via 10.0.2.2
mkdir -p /run/libvirt /var/lib/libvirt/images /var/log/libvirt/qemu /var/cache/libvirt
grep -q libvirt-qemu /etc/passwd || echo "libvirt-qemu:x:64055:64055::/:/usr/sbin/nologin" >> /etc/passwd
grep -q libvirt-qemu /etc/group || echo "libvirt-qemu:x:64055:" >> /etc/group
virtlogd -d
libvirtd --listen -d --config /etc/libvirt/nested.conf
echo "nested host is up"
while :; do sleep 3600; done
"""
_QEMU = 'user = "root"\ngroup = "root"\nsecurity_driver = "none"\nnamespaces = []\n'
_LIBVIRTD = (
    'listen_tls = 0\nlisten_tcp = 1\nlisten_addr = "0.0.0.0"\nauth_tcp = "none"\nauth_unix_rw = "none"\n'
    'host_uuid = "3f7f1c52-6a0e-4f0e-9a4e-6f1b7a4f0c11"\n'
)


class NotBuilt(Exception):
    """Why there is no disk, for whoever reads it."""


def folder() -> Path:
    return needs.CACHE / f"nested-{SUITE}-{VERSION}"


def is_built() -> bool:
    return (folder() / "done").exists()


def missing() -> str:
    """Why there can be no such host here; empty if there can."""
    if reason := needs.missing_library():
        return reason
    absent = [name for name in ("qemu-system-x86_64", "qemu-img") if needs.program(name) is None]
    if absent:
        return f"not installed: {', '.join(absent)} (Debian: apt-get install {' '.join(needs.PACKAGES)})"
    return "" if is_built() else "its disk is not made (python -m tests.kvm.nested does, in about two minutes)"


def build(tree: Path | None = None) -> None:
    """Makes the disk if it is not there. `tree`: made by debootstrap before. Raises NotBuilt."""
    if is_built():
        return
    if os.geteuid() != 0:
        raise NotBuilt("making its disk needs root")
    absent = [name for name in ("debootstrap", "mkfs.ext4") if needs.program(name) is None]
    if absent:
        raise NotBuilt(f"not installed: {', '.join(absent)}")
    needs.CACHE.mkdir(parents=True, exist_ok=True)
    with (needs.CACHE / "nested.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_built():
            return
        work = Path(tempfile.mkdtemp(prefix="making-", dir=needs.CACHE))
        try:
            _make(work, tree)
            shutil.rmtree(folder(), ignore_errors=True)
            (work / "new").rename(folder())
        except subprocess.CalledProcessError as error:
            said = (error.stderr or error.stdout or b"").decode(errors="replace")[-600:]
            raise NotBuilt(f"{error.cmd[0]} failed: {said}") from None
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _make(work: Path, tree: Path | None) -> None:
    new = work / "new"
    new.mkdir()
    if tree is None:
        tree = work / "tree"
        words = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(tree)]
        subprocess.run(words, check=True, capture_output=True, timeout=900, env={**os.environ, "PATH": needs.PATH})
    (tree / "l1init").write_text(INIT)
    (tree / "l1init").chmod(0o755)
    (tree / "etc" / "libvirt").mkdir(exist_ok=True)
    (tree / "etc" / "libvirt" / "qemu.conf").write_text(_QEMU)
    (tree / "etc" / "libvirt" / "nested.conf").write_text(_LIBVIRTD)
    guest.write_image(tree / "var" / "lib" / "libvirt" / "images" / "guest.raw")
    for kind in ("vmlinuz", "initrd.img"):
        (found,) = (tree / "boot").glob(f"{kind}-*")
        shutil.copy(found, new / kind)
    for spare in ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt", "boot"):
        shutil.rmtree(tree / spare, ignore_errors=True)
    disk = new / "disk.img"
    words = ["mkfs.ext4", "-q", "-d", str(tree), str(disk), "2500M"]
    subprocess.run(words, check=True, capture_output=True, timeout=300, env={**os.environ, "PATH": needs.PATH})
    (new / "done").touch()


class NestedHost:
    """Six cards: the third and the fourth are in one group, each other one is in its own."""

    def __init__(self) -> None:
        self.keeper = Keeper("gpuhost")
        self.port = free_port()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.keeper.close()

    @property
    def server(self) -> str:
        return f"qemu+tcp://127.0.0.1:{self.port}/system"

    def open(self) -> Any:
        from federation.drivers.kvm.library import library

        return library().open(self.server)

    def start(self) -> "NestedHost":
        disk = self.keeper.folder / "disk.qcow2"
        base = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(folder() / "disk.img"), str(disk)]
        subprocess.run(base, check=True, env={**os.environ, "PATH": needs.PATH})
        self.keeper.start("qemu", [str(needs.program("qemu-system-x86_64")), *self._words(disk)])
        deadline = time.monotonic() + READY_SECONDS
        while not self._answers():
            if time.monotonic() > deadline or self.keeper.exit_code("qemu") is not None:
                log = self.keeper.log("qemu").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"the nested host does not come up: {log}")
            time.sleep(0.5)
        connection = self.open()
        pool = "<pool type='dir'><name>default</name><target><path>/var/lib/libvirt/images</path></target></pool>"
        connection.storagePoolDefineXML(pool).create()
        connection.getDomainCapabilities()  # half a minute of asking QEMU, once
        connection.close()
        return self

    def _answers(self) -> bool:
        from federation.drivers.kvm.library import library

        libvirt = library()
        if "nested host is up" not in self.keeper.log("qemu").read_text(errors="replace"):
            return False
        with contextlib.suppress(libvirt.libvirtError):
            self.open().close()
            return True
        return False

    def _words(self, disk: Path) -> list[str]:
        """Its KVM is left out by its kernel: without SVM in the CPU, QEMU's emulation makes wrong paths of names."""
        words = [
            *("-machine", "q35,kernel-irqchip=split", "-cpu", "max", "-smp", "2", "-m", "2048"),
            *("-accel", "tcg,thread=multi,tb-size=512"),
            *("-vga", "none", "-nographic", "-no-reboot"),
            *("-kernel", str(folder() / "vmlinuz"), "-initrd", str(folder() / "initrd.img")),
            *("-append", f"root=/dev/vda rw console=ttyS0 init=/l1init quiet {_KERNEL}"),
            *("-device", "intel-iommu,intremap=on,caching-mode=on"),
            *("-drive", f"file={disk},if=virtio,format=qcow2,cache=unsafe"),
            *("-netdev", f"user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-10.0.2.15:16509"),
            *("-device", "virtio-net-pci,netdev=n0"),
        ]
        for number in (1, 2):
            words += ["-device", f"pcie-root-port,id=rp{number},chassis={number}"]
            words += ["-device", f"secondary-vga,bus=rp{number}"]
        # Behind a bridge of plain PCI, devices are one to the IOMMU.
        words += ["-device", "pcie-root-port,id=rp3,chassis=3", "-device", "pcie-pci-bridge,id=old,bus=rp3"]
        for number in (1, 2):
            words += ["-device", f"secondary-vga,bus=old,addr=0x{number}"]
        for number in (4, 5):
            words += ["-device", f"pcie-root-port,id=rp{number},chassis={number}"]
            words += ["-device", f"secondary-vga,bus=rp{number}"]
        return words


if __name__ == "__main__":
    needs.install()
    try:
        build(Path(sys.argv[1]) if sys.argv[1:] else None)
    except NotBuilt as reason:
        sys.exit(str(reason))
    print(folder())
