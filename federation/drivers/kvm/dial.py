"""The way to a libvirt that is on another machine: a socket here, and behind it TLS, SSH or plain TCP to there.

libvirt could dial by itself, but then it would look the name up again, take certificates from files only, and read the
SSH settings of whoever runs the hub. Here the address that was vetted is dialled, the name is what must be proven, and
no key is ever in a file.
"""

import contextlib
import os
import select
import shlex
import socket
import ssl
import subprocess
import threading

from federation.drivers.base import Unavailable
from federation.drivers.kvm.server import PORTS, Endpoint

DIAL_SECONDS = 5.0
REMOTE_SOCKET = "/var/run/libvirt/libvirt-sock"
# As libvirt's own clients ask: the helper where there is one, otherwise netcat.
_REMOTE = (
    "if command -v virt-ssh-helper >/dev/null 2>&1; then exec virt-ssh-helper qemu:///system; "
    f"else exec nc -U {REMOTE_SOCKET}; fi"
)


class Relay:
    """Listens on `path` for the one connection of this process, and carries it. `trouble` says what went wrong."""

    def __init__(self, where: Endpoint, folder: str) -> None:
        self.path, self.trouble = os.path.join(folder, "libvirt"), ""
        self._where = where
        self._ssh: subprocess.Popen[bytes] | None = None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(1)
        self._thread = threading.Thread(target=self._serve, name="libvirt-relay", daemon=True)
        self._thread.start()

    def why(self) -> str:
        """What went wrong, once the library has given up: this end may learn of it a moment later."""
        self._thread.join(1.0)
        return self.trouble

    def close(self) -> None:
        self._listener.close()
        if self._ssh is not None:
            self._ssh.kill()
            self._ssh.wait()

    def _serve(self) -> None:
        try:
            ours, _ = self._listener.accept()
        except OSError:
            return  # closed before anybody came
        with ours:
            try:
                if self._where.way == "ssh":
                    self._carry_ssh(ours)
                else:
                    with dialled(self._where) as theirs:
                        carry(ours, theirs)
            except Unavailable as error:
                self.trouble = str(error)
            except OSError as error:
                self.trouble = f"The connection to the host broke: {error.strerror or type(error).__name__}."

    def _carry_ssh(self, ours: socket.socket) -> None:
        words = ssh_words(self._where, _kept(self._where.ssh_private_key), _kept(self._where.ssh_known_hosts))
        try:
            self._ssh = subprocess.Popen(  # noqa: S603 - words that ssh_words checked
                words,
                stdin=ours.fileno(),
                stdout=ours.fileno(),
                stderr=subprocess.PIPE,
                env={"PATH": os.environ.get("PATH", os.defpath)},
            )
        except FileNotFoundError:
            raise Unavailable("The program ssh is not installed where this runs.") from None
        ours.close()  # ssh has its own
        assert self._ssh.stderr is not None
        said = self._ssh.stderr.read(4096).decode(errors="replace").strip()
        if self._ssh.wait() == 255:
            self.trouble = f"SSH to the host failed: {said.splitlines()[-1] if said else 'it does not say why'}"


def ssh_words(where: Endpoint, key: str, known_hosts: str) -> list[str]:
    """The command line: strict about who answers, and without anything of the user's own."""
    alias = where.host if where.port == PORTS["ssh"] else f"[{where.host}]:{where.port}"
    options = (
        "BatchMode=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={known_hosts}", "GlobalKnownHostsFile=none",
        f"HostKeyAlias={alias}", "CheckHostIP=no", "UpdateHostKeys=no", f"IdentityFile={key}", "IdentitiesOnly=yes",
        "IdentityAgent=none", "PreferredAuthentications=publickey", "ForwardAgent=no", "ClearAllForwardings=yes",
        f"ConnectTimeout={DIAL_SECONDS:.0f}", "ServerAliveInterval=5", "ServerAliveCountMax=2", "ControlMaster=no",
        "ControlPath=none", "LogLevel=ERROR",
    )  # fmt: skip
    words = ["ssh", "-F", "none", "-T", "-p", str(where.port)]
    for option in options:
        words += ["-o", option]
    if where.user:
        words += ["-l", where.user]
    return [*words, "--", where.dialled, f"sh -c {shlex.quote(_REMOTE)}"]


def _kept(text: str) -> str:
    """A name under which ssh finds the text; in memory, and gone with this process."""
    descriptor = os.memfd_create("aquifer")
    os.fchmod(descriptor, 0o600)
    os.write(descriptor, text.encode() if text.endswith("\n") else f"{text}\n".encode())
    return f"/proc/{os.getpid()}/fd/{descriptor}"


def dialled(where: Endpoint) -> socket.socket:
    """A connection on which the other side has said who it is. Raises Unavailable."""
    try:
        plain = socket.create_connection((where.dialled, where.port), timeout=DIAL_SECONDS)
    except OSError as error:
        raise Unavailable(f"The host cannot be dialled: {error.strerror or 'no answer'}.") from None
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if where.way == "tcp":
        return plain
    try:
        secured = context_of(where).wrap_socket(plain, server_hostname=where.proven)
        # A libvirt says one byte once it has found the certificate of its client good.
        if secured.recv(1) != b"\1":
            raise Unavailable("The host does not take our certificate.")
    except ssl.SSLCertVerificationError as error:
        plain.close()
        raise Unavailable(f"The host's certificate is not good: {error.verify_message}.") from None
    except (OSError, ssl.SSLError) as error:
        plain.close()
        raise Unavailable(f"TLS with the host failed: {_reason(error)}.") from None
    return secured


def _reason(error: OSError) -> str:
    word = getattr(error, "reason", None) or error.strerror or type(error).__name__
    return str(word).replace("_", " ").lower()


def context_of(where: Endpoint) -> ssl.SSLContext:
    """Trusts the authority that was given, or the public ones. Raises Unavailable where what was given is none."""
    try:
        context = ssl.create_default_context(cadata=where.ca_pem or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if where.client_cert_pem:
            context.load_cert_chain(_kept(where.client_cert_pem), _kept(where.client_key_pem))
    except (ssl.SSLError, ValueError, OSError):
        raise Unavailable("The certificates that were given for this host cannot be read.") from None
    return context


def carry(ours: socket.socket, theirs: socket.socket) -> None:
    """Bytes both ways until either side ends."""
    ours.setblocking(False)
    theirs.setblocking(False)
    waiting = {ours: bytearray(), theirs: bytearray()}  # to be sent to it
    other = {ours: theirs, theirs: ours}
    while True:
        readers = [s for s in (ours, theirs) if len(waiting[other[s]]) < 1 << 20]
        writers = [s for s in (ours, theirs) if waiting[s]]
        is_pending = isinstance(theirs, ssl.SSLSocket) and theirs in readers and theirs.pending() > 0
        ready, open_, _ = select.select(readers, writers, [], 0 if is_pending else None)
        if is_pending and theirs not in ready:
            ready.append(theirs)
        for one in ready:
            try:
                piece = one.recv(1 << 16)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                continue
            if not piece:
                return
            waiting[other[one]] += piece
        for one in open_:
            try:
                del waiting[one][: one.send(waiting[one])]
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                continue
