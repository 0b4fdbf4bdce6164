"""A libvirt of our own with QEMU, on this machine: in namespaces of its own, reached by socket, TCP and TLS.

    with OwnLibvirt() as host:
        host.uri("tcp")     # qemu+tcp://127.0.0.1:.../system

It needs root and Debian's packages (needs.PACKAGES), and no systemd and no KVM: machines are emulated. Its /etc, /run
and /var/lib are folders that go with it; when its first process ends, every machine of it has ended too.
"""

import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import NAMESPACE_URL, uuid5

from tests.certificates import signed
from tests.kube.keeper import Keeper
from tests.kube.plane import free_port
from tests.kvm import guest, needs

READY_SECONDS = 60.0
IMAGES = "/var/lib/libvirt/images"
_SCRIPT = """set -e
mount --make-rprivate /
for pair in etc:/etc/libvirt lib:/var/lib/libvirt run:/run log:/var/log/libvirt cache:/var/cache/libvirt; do
    mount --bind "$0/${pair%%:*}" "${pair#*:}"
done
mkdir -p /run/libvirt
# Devices without KVM, to be the same everywhere: some machines have one that does not work.
mkdir "$0/dev" "$0/dev/pts" "$0/dev/shm"
for name in null zero full random urandom tty; do
    touch "$0/dev/$name"
    mount --bind "/dev/$name" "$0/dev/$name"
done
mount --rbind /dev/pts "$0/dev/pts"
ln -s pts/ptmx "$0/dev/ptmx"
mount --rbind "$0/dev" /dev
touch "$0/inside"
while sleep 3600; do :; done
"""
_QEMU = """user = "root"
group = "root"
security_driver = "none"
namespaces = []
"""


class OwnLibvirt:
    def __init__(self) -> None:
        self.keeper = Keeper("kvm")
        self.folder = self.keeper.folder
        self.tcp_port, self.tls_port = free_port(), free_port()
        self.ca_pem, self.client_pem, self.client_key = "", "", ""
        self._init = 0

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
    def socket(self) -> Path:
        return self.folder / "run" / "libvirt" / "libvirt-sock"

    def server(self, way: str = "unix") -> str:
        """As `server` of a cluster's settings names it."""
        if way == "unix":
            return f"qemu+unix://{self.socket}"
        return f"qemu+{way}://127.0.0.1:{self.tls_port if way == 'tls' else self.tcp_port}/system"

    def open(self) -> Any:
        """A connection beside the driver's."""
        from federation.drivers.kvm.library import library

        return library().open(f"qemu+unix:///system?socket={self.socket}")

    def start(self) -> "OwnLibvirt":
        for name in ("etc", "lib/images", "run", "log", "tls"):
            (self.folder / name).mkdir(parents=True)
        known = needs.CACHE / "libvirt"  # what a libvirt knows of QEMU, which it checks by itself
        known.mkdir(parents=True, exist_ok=True)
        (self.folder / "cache").symlink_to(known)
        for path in (
            Path("/etc/libvirt"),
            Path("/var/lib/libvirt"),
            Path("/var/log/libvirt"),
            Path("/var/cache/libvirt"),
        ):
            path.mkdir(parents=True, exist_ok=True)  # the packages made them; a missing one would be no place to mount
        (self.folder / "etc" / "qemu.conf").write_text(_QEMU)
        (self.folder / "etc" / "virtlogd.conf").write_text("")
        guest.write_image(self.folder / "lib" / "images" / "guest.raw")
        self._write_certificates()
        (self.folder / "libvirtd.conf").write_text(self._settings())
        unshare = needs.program("unshare")
        assert unshare is not None
        argv = [unshare, "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        pid = self.keeper.start("inside", [*argv, "/bin/sh", "-c", _SCRIPT, str(self.folder)])
        self._wait("namespaces", (self.folder / "inside").exists)
        self._init = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
        self.start_inside("virtlogd", [str(needs.program("virtlogd"))])
        self.start_daemon()
        connection = self.open()
        connection.getDomainCapabilities()  # seconds of asking QEMU what it can do, if it was never asked before
        pool = f"<pool type='dir'><name>default</name><target><path>{IMAGES}</path></target></pool>"
        connection.storagePoolDefineXML(pool).create()
        connection.close()
        return self

    def start_daemon(self) -> None:
        argv = [str(needs.program("libvirtd")), "--listen", "--config", str(self.folder / "libvirtd.conf")]
        self.start_inside("libvirtd", argv)
        self._wait("libvirtd", self._answers)

    def stop_daemon(self) -> None:
        """What runs goes on."""
        pid = self._daemon()
        if pid:
            subprocess.run(["kill", "-KILL", str(pid)], check=True)
            self._wait("the end of libvirtd", lambda: not self._daemon())
        (self.folder / "run" / "libvirtd.pid").unlink(missing_ok=True)

    def hang_daemon(self, *, is_hung: bool) -> None:
        """It takes connections and answers nothing; or goes on."""
        subprocess.run(["kill", "-STOP" if is_hung else "-CONT", str(self._daemon())], check=True)

    # -- how -------------------------------------------------------------------------------------------

    def _daemon(self) -> int:
        """Its process, as this machine counts."""
        done = subprocess.run(
            ["pgrep", "-f", f"libvirtd --listen --config {self.folder}/libvirtd.conf"], capture_output=True, text=True
        )
        found = [int(word) for word in done.stdout.split()]
        found = [pid for pid in found if Path(f"/proc/{pid}/comm").read_text().strip() == "libvirtd"]
        return found[0] if found else 0

    def start_inside(self, name: str, argv: list[str]) -> None:
        enter = [needs.program("nsenter"), "--target", str(self._init), "--mount", "--pid", "--"]
        self.keeper.start(name, [*map(str, enter), *argv])

    def _answers(self) -> bool:
        if not self.socket.exists():
            return False
        from federation.drivers.kvm.library import library

        libvirt = library()
        try:
            self.open().close()
        except libvirt.libvirtError:
            return False
        return True

    def _wait(self, what: str, is_there: Any) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not is_there():
            if time.monotonic() > deadline:
                log = self.keeper.log("libvirtd")
                said = log.read_text(errors="replace")[-2000:] if log.exists() else ""
                raise RuntimeError(f"waited {READY_SECONDS:.0f} s for {what}: {said}")
            time.sleep(0.05)

    def _write_certificates(self) -> None:
        folder = self.folder / "tls"
        made = signed("127.0.0.1", "host.example")
        self.ca_pem, self.client_pem, self.client_key = made.ca_pem, made.client_pem, made.client_key
        for name, text in (("ca.pem", made.ca_pem), ("cert.pem", made.server_pem), ("key.pem", made.server_key)):
            (folder / name).write_text(text)
            (folder / name).chmod(0o600)

    def _settings(self) -> str:
        tls = self.folder / "tls"
        return (
            'listen_tls = 1\nlisten_tcp = 1\nlisten_addr = "127.0.0.1"\nauth_tcp = "none"\nauth_unix_rw = "none"\n'
            # Known to libvirt from the firmware of a real machine; without, it is another at each start.
            f'host_uuid = "{uuid5(NAMESPACE_URL, str(self.folder))}"\n'
            f'tcp_port = "{self.tcp_port}"\ntls_port = "{self.tls_port}"\n'
            f'key_file = "{tls}/key.pem"\ncert_file = "{tls}/cert.pem"\nca_file = "{tls}/ca.pem"\n'
            # Its own checks are of a crypto policy that has no say here.
            "tls_no_sanity_certificate = 1\n"
        )
