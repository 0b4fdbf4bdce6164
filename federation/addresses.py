"""Where the hub may connect to when somebody names a site: never to itself, its network's inside or a cloud's metadata.

A name is resolved once and every address it has is looked at; the caller then connects to one of those and to nothing
else, so that an answer which changes between look and use changes nothing. Pure: the resolver is passed in.
"""

import re
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Iterable[str]]

_MOST_LETTERS = 2000
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*/?")
_DIGITS_OR_HEX = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")


class BadAddress(ValueError):
    """A place where no site may be. `code` is for programs, the message for people; it tells no address."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NoAddress(BadAddress):
    """The name has no address just now; that may be different later."""


# Where each kind of server listens if nothing is said.
_PORTS = {"https": 443, "http": 80, "qemu+tls": 16514, "qemu+tcp": 16509, "qemu+ssh": 22}
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True)
class Server:
    """An address of a server taken apart; `str()` puts it together in its one form."""

    host: str  # lower case, without brackets; "": a socket of this machine, at `path`
    port: int
    path: str  # "" or begins with a slash and does not end with one
    scheme: str = "https"
    user: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS.get(self.scheme, 0) else f":{self.port}"
        return f"{self.scheme}://{self.user and f'{self.user}@'}{host}{port}{self.path}"


def server(text: str, schemes: Sequence[str] = ("https",), *, what: str = "server") -> Server:
    """Read the address of a server: scheme, host, perhaps a port and a path, and nothing else but SSH's user.

    Raises BadAddress.
    """
    if len(text) > _MOST_LETTERS or not text.isascii() or not text.isprintable() or set(text) & set(" \\"):
        raise BadAddress("bad-server", "The address of the server has letters that no address has, or too many.")
    try:
        parts = urlsplit(text)
        port, name = parts.port, parts.hostname or ""
    except ValueError:
        raise BadAddress("bad-server", "The address of the server is not like https://host:6443.") from None
    if parts.scheme not in schemes:
        words = " or ".join(f"{scheme}://" for scheme in schemes)
        code = "not-https" if list(schemes) == ["https"] else "bad-scheme"
        raise BadAddress(code, f"The address of the {what} must begin with {words}.")
    user, has_user, _ = parts.netloc.rpartition("@")
    if has_user and (parts.scheme != "qemu+ssh" or not _USER.fullmatch(user)):
        raise BadAddress("userinfo", "The address of the server must hold no name or password.")
    if "?" in text or "#" in text:
        raise BadAddress("query", "The address of the server must end with its path: no ? and no #.")
    if not _PATH.fullmatch(parts.path) or {".", ".."} & set(parts.path.split("/")):
        raise BadAddress("bad-path", "The path of the server's address may hold letters, digits and ._~- only.")
    if parts.scheme.startswith("qemu") and parts.path not in ("/system", "/session", ""):
        raise BadAddress("bad-path", "Of libvirt there are /system and /session.")
    if port == 0 or parts.netloc.endswith(":"):
        raise BadAddress("bad-server", "The port of the server's address is a number from 1 to 65535.")
    host = checked_host(f"[{name}]" if "[" in parts.netloc else name)
    path = (parts.path or "/system") if parts.scheme.startswith("qemu") else parts.path.rstrip("/")
    return Server(host, port or _PORTS[parts.scheme], path, parts.scheme, user)


def checked_host(host: str) -> str:
    """A host name or address in its one form, without brackets. Raises BadAddress.

    What C libraries also take for an address (127.1, 0x7f.1, 2130706433, 017700000001) is refused for its form.
    """
    if ":" in host:
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        try:
            return str(IPv6Address(bare if "%" not in bare else ""))
        except ValueError:
            raise BadAddress("bad-host", "This is neither a name nor an address of a host.") from None
    labels = host.removesuffix(".").split(".")
    if _DIGITS_OR_HEX.fullmatch(labels[-1]):
        try:
            return str(IPv4Address(host))
        except ValueError:
            raise BadAddress("bad-host", "Write the IPv4 address as four numbers, as 10.0.0.7.") from None
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadAddress("bad-host", "This is neither a name nor an address of a host.")
    return host.removesuffix(".").lower()


# -- addresses ---------------------------------------------------------------------------------------

_NEVER: tuple[tuple[str, str], ...] = (
    # metadata of clouds, which tells whoever asks the secrets of the machine that asks
    ("169.254.169.254/32", "metadata"),
    ("169.254.170.0/24", "metadata"),
    ("192.0.0.192/32", "metadata"),
    ("100.100.100.200/32", "metadata"),
    ("168.63.129.16/32", "metadata"),
    ("fd00:ec2::/32", "metadata"),
    ("fd20:ce::/32", "metadata"),
    ("0.0.0.0/8", "unspecified"),
    ("::/128", "unspecified"),
    ("169.254.0.0/16", "link-local"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "link-local"),
    ("224.0.0.0/4", "multicast"),
    ("ff00::/8", "multicast"),
    ("255.255.255.255/32", "broadcast"),
    ("240.0.0.0/4", "reserved"),
    ("192.0.0.0/24", "reserved"),
    ("192.88.99.0/24", "reserved"),  # the anycast relay of 6to4
    ("100::/64", "reserved"),
    # ways to write an IPv4 address into an IPv6 one where it cannot be told which it is
    ("64:ff9b:1::/48", "tunnel"),
    ("2001::/32", "tunnel"),
)
_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_NEVER_NETWORKS = tuple((ip_network(text), word) for text, word in _NEVER)
_WORDS = {
    "metadata": "an address where a cloud tells its machines their secrets",
    "unspecified": "no address in particular",
    "link-local": "an address of the local link",
    "multicast": "an address of many",
    "broadcast": "an address of everybody",
    "reserved": "a reserved address",
    "tunnel": "an address that hides another one",
    "loopback": "this machine itself",
    "outside": "an address outside of the networks where sites may be (AQUIFER_SITE_NETWORKS)",
}

_SIIT = IPv6Network("::ffff:0:0:0/96")
_COMPATIBLE = IPv6Network("::/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_LAST = (1 << 32) - 1


def inner(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for: mapped, compatible, translated, NAT64, 6to4, ISATAP."""
    if isinstance(address, IPv4Address):
        return None
    number = int(address)
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address.sixtofour:
        return address.sixtofour
    is_isatap = (number >> 32) & 0xFCFFFFFF == 0x00005EFE
    is_compatible = address in _COMPATIBLE and number > 1
    if address in _SIIT or address in _NAT64 or is_isatap or is_compatible:
        return IPv4Address(number & _LAST)
    return None


def fault(address: Address, *, allowed_networks: Sequence[Network] = (), allow_loopback: bool = False) -> str:
    """Why the hub may not connect there, in one word of `_WORDS`; empty where it may.

    Private ranges are fine, since sites stand on premises. `allowed_networks`, when there are any, are all there is.
    """
    for one in (address, inner(address)):
        if one is None:
            continue
        for network, word in _NEVER_NETWORKS:
            if one in network:
                return word
        if not allow_loopback and any(one in network for network in _LOOPBACK):
            return "loopback"
    real = inner(address) or address
    if allowed_networks and not any(real in network for network in allowed_networks):
        return "" if allow_loopback and any(real in network for network in _LOOPBACK) else "outside"
    return ""


def vet_all(
    host: str,
    port: int,
    *,
    allowed_networks: Sequence[Network] = (),
    resolve: Resolve,
    allow_loopback: bool = False,
) -> tuple[str, ...]:
    """Every address of `host`, in a steady order, all of which may be connected to; connect to these alone.

    Raises BadAddress when even one of them may not, NoAddress when there is none now.
    """
    name = checked_host(host)
    try:
        found = [ip_address(name)]
    except ValueError:
        found = _resolved(name, port, resolve)
    for address in found:
        word = fault(address, allowed_networks=allowed_networks, allow_loopback=allow_loopback)
        if word:
            raise BadAddress(f"{word}-address", f"{name} is {_WORDS[word]}: no site is there.")
    # A mapped address is the IPv4 address; connecting to the latter needs no IPv6.
    plain = {getattr(address, "ipv4_mapped", None) or address for address in found}
    return tuple(str(address) for address in sorted(plain, key=lambda address: (address.version, int(address))))


def vet(
    host: str,
    port: int,
    *,
    allowed_networks: Sequence[Network] = (),
    resolve: Resolve,
    allow_loopback: bool = False,
) -> str:
    """The address to connect to, as `vet_all` finds it."""
    return vet_all(
        host, port, allowed_networks=allowed_networks, resolve=resolve, allow_loopback=allow_loopback
    )[0]  # fmt: skip


def _resolved(name: str, port: int, resolve: Resolve) -> list[Address]:
    try:
        texts = list(resolve(name, port))
        found = [ip_address(text) for text in texts]
    except (OSError, UnicodeError):
        found = []
    except ValueError:  # a zone (fe80::1%eth0), or no address at all
        raise BadAddress("link-local-address", f"{name} is {_WORDS['link-local']}: no site is there.") from None
    if not found:
        raise NoAddress("no-address", f"The name {name} has no address now.")
    return found


def system_resolver(name: str, port: int) -> list[str]:
    """Ask the system, as connecting would."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)]
