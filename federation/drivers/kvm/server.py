"""Where a libvirt is, and how it is reached: what `server` of the settings says, read once and held to."""

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from federation.drivers.base import DriverConfig, Unavailable

PORTS = {"tls": 16514, "tcp": 16509, "ssh": 22}
WORDS = (
    "Write the server as qemu+tls://host/system, qemu+ssh://user@host/system, qemu+tcp://host:port/system "
    "or qemu+unix:///var/run/libvirt/libvirt-sock."
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`address` is dialled in place of `host` when it is set; `host` is still who must answer."""

    way: str  # tls, tcp, ssh, unix, test
    host: str = ""
    port: int = 0
    user: str = ""
    path: str = ""  # of the socket, or of the test driver's file
    address: str = ""
    tls_server_name: str = ""  # who must answer, where that is not `host`
    ca_pem: str = field(default="", repr=False)
    client_cert_pem: str = field(default="", repr=False)
    client_key_pem: str = field(default="", repr=False)
    ssh_private_key: str = field(default="", repr=False)
    ssh_known_hosts: str = field(default="", repr=False)
    username: str = ""
    password: str = field(default="", repr=False)

    @property
    def dialled(self) -> str:
        return self.address or self.host

    @property
    def proven(self) -> str:
        return self.tls_server_name or self.host


def endpoint_of(config: DriverConfig) -> Endpoint:
    """Raises Unavailable, in words for who set it up."""
    text, secrets = str(config.settings.get("server", "")), config.secrets
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise Unavailable(WORDS) from None
    if parts.query or parts.fragment or parts.password:
        raise Unavailable(f"The server has parts that are not read. {WORDS}")
    if parts.scheme in ("qemu+unix", "test"):
        if parts.netloc or not parts.path.startswith("/"):
            raise Unavailable(WORDS)
        return Endpoint(parts.scheme.removeprefix("qemu+"), path=unquote(parts.path))
    way = parts.scheme.removeprefix("qemu+")
    if not parts.scheme.startswith("qemu+") or way not in PORTS or parts.path != "/system" or not parts.hostname:
        raise Unavailable(WORDS)
    user = unquote(parts.username or "")
    if parts.hostname.startswith("-") or user.startswith("-"):  # it becomes a word of a command line
        raise Unavailable(WORDS)
    found = Endpoint(
        way=way,
        host=parts.hostname,
        port=port or PORTS[way],
        user=user,
        address=str(config.settings.get("address", "")),
        tls_server_name=str(config.settings.get("tls_server_name", "")),
        ca_pem=secrets.get("ca_pem", ""),
        client_cert_pem=secrets.get("client_cert_pem", ""),
        client_key_pem=secrets.get("client_key_pem", ""),
        ssh_private_key=secrets.get("ssh_private_key", ""),
        ssh_known_hosts=secrets.get("ssh_known_hosts", ""),
        username=secrets.get("username", ""),
        password=secrets.get("password", ""),
    )
    if way == "ssh" and not (found.ssh_private_key and found.ssh_known_hosts):
        raise Unavailable("SSH needs a private key and the host's own key (ssh_private_key, ssh_known_hosts).")
    return found
