"""An SSH server that leads to a libvirt of our own: it runs where that libvirt's socket is at its usual place."""

import getpass
import os
import socket
import subprocess
import time
from pathlib import Path

from tests.kube.plane import free_port
from tests.kvm import needs
from tests.kvm.host import OwnLibvirt


class SshHost:
    def __init__(self, host: OwnLibvirt) -> None:
        self._folder = host.folder / "ssh"
        self._folder.mkdir(mode=0o700)
        self.port = free_port()
        keys = {name: self._make_key(name) for name in ("host", "other-host", "client", "other")}
        self.other_key = keys["other"]
        self.secrets = {"ssh_private_key": keys["client"], "ssh_known_hosts": self._known("host")}
        self.other_known_hosts = self._known("other-host")
        (self._folder / "authorized").write_text((self._folder / "client.pub").read_text())
        (self._folder / "authorized").chmod(0o600)
        (self._folder / "config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self._folder}/host\nUsePAM no\n"
            f"AuthorizedKeysFile {self._folder}/authorized\nPasswordAuthentication no\nStrictModes no\n"
            f"PidFile none\nPermitRootLogin yes\nLogLevel VERBOSE\n"
        )
        (host.folder / "run" / "sshd").mkdir(exist_ok=True)
        host.start_inside("sshd", [str(needs.program("sshd")), "-D", "-e", "-f", str(self._folder / "config")])
        deadline = time.monotonic() + 20
        while not self._listens():
            if time.monotonic() > deadline:
                raise RuntimeError(f"sshd does not come up: {host.keeper.log('sshd').read_text()}")
            time.sleep(0.05)

    @property
    def server(self) -> str:
        return f"qemu+ssh://{getpass.getuser()}@127.0.0.1:{self.port}/system"

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def _known(self, name: str) -> str:
        return f"[127.0.0.1]:{self.port} {(self._folder / f'{name}.pub').read_text()}"

    def _make_key(self, name: str) -> str:
        path: Path = self._folder / name
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)]
        subprocess.run(words, check=True, env={**os.environ, "PATH": needs.PATH})
        return path.read_text()
