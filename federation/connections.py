"""What it takes to speak to a site: where it is, whom to believe there, and how to be believed.

Everything is looked at before any of it is kept or used. Pure; opens nothing. No message and no repr holds a secret.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from federation import addresses, certificates
from federation.certificates import BadConnection, day

MOST_TOKEN = 8192  # what servers take as one header
MOST_MACHINES = 1000
MOST_PASSWORD = 1024
_LEAST_TOKEN = 16
_LEAST_HOOK_SECRET = 16
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_MACHINE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_SYSTEM = re.compile(r"/redfish/v1/Systems/[A-Za-z0-9._~%-]{1,200}/?")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_SOCKET = re.compile(r"(/[A-Za-z0-9._-]+)+")

# Names of what is sealed; drivers know it by these.
SECRETS = (
    "ca_pem", "token", "client_cert_pem", "client_key_pem", "username", "password", "ssh_private_key",
    "ssh_known_hosts", "hook_secret",
)  # fmt: skip


class Way(StrEnum):
    """By what one is let in."""

    TOKEN = "token"  # noqa: S105  # the word, not a token
    CERTIFICATE = "certificate"
    PASSWORD = "password"  # noqa: S105  # the word
    SSH_KEY = "ssh-key"
    SOCKET = "socket"  # a file of this machine, which its owner may open


@dataclass(frozen=True, slots=True)
class Machine:
    """A server by its management controller. `fingerprint`: SHA-256 of the controller's own certificate, if pinned."""

    name: str
    server: str
    system: str = ""  # the path of its ComputerSystem, where the controller has several
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Connection:
    """One way to one site. Without `ca_pem` the public authorities are believed."""

    server: str
    ca_pem: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    client_cert_pem: str = field(default="", repr=False)
    client_key_pem: str = field(default="", repr=False)
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    ssh_private_key: str = field(default="", repr=False)
    ssh_known_hosts: str = field(default="", repr=False)
    hook_secret: str = field(default="", repr=False)  # with which the calls of a site's own hooks are signed
    tls_server_name: str = ""
    namespace: str = ""
    machines: tuple[Machine, ...] = ()
    expires_at: datetime | None = None  # when the first of token and certificate ends, as far as they say

    @property
    def secrets(self) -> dict[str, str]:
        """What is sealed, by the names that drivers know it by."""
        return {name: getattr(self, name) for name in SECRETS if getattr(self, name)}

    @property
    def way(self) -> Way:
        if self.token:
            return Way.TOKEN
        if self.client_cert_pem:
            return Way.CERTIFICATE
        if self.ssh_private_key:
            return Way.SSH_KEY
        return Way.PASSWORD if self.password else Way.SOCKET

    @property
    def fingerprint(self) -> str:
        """Tells one credential from another without telling it: the start of SHA-256 of what lets one in.

        Of a password together with its user and server: alone it could be found by trying words.
        """
        if self.way == Way.PASSWORD:
            key = hashlib.pbkdf2_hmac("sha256", self.password.encode(), self.server.encode(), 100_000)
            return key.hex()[:16]
        what = self.token or self.client_cert_pem or self.ssh_private_key or self.server
        return hashlib.sha256(what.encode()).hexdigest()[:16]


Names = Mapping[str, str]  # our name of a part -> its pointer in what was sent
PLAIN: Names = {name: f"/{name}" for name in ("server", "tls_server_name", "namespace", "machines", *SECRETS)}


@dataclass(frozen=True, slots=True)
class _Rules:
    """What a connection of one driver may have. `schemes` of its server: which parts each needs, all of one of them."""

    what: str
    schemes: Mapping[str, tuple[frozenset[str], ...]]
    more: frozenset[str] = frozenset({"ca_pem", "tls_server_name"})  # what it may have beside


_PAIR = frozenset({"client_cert_pem", "client_key_pem"})
_LOGIN = frozenset({"username", "password"})
RULES: Mapping[str, _Rules] = {
    "kubernetes": _Rules(
        "API server",
        {"https": (frozenset({"token"}), _PAIR)},
        frozenset({"ca_pem", "tls_server_name", "namespace", "token", *_PAIR}),
    ),
    "docker": _Rules("Docker host", {"https": (_PAIR,), "unix": (frozenset(),)}),
    "kvm": _Rules(
        "KVM host",
        {
            "qemu+tls": (_PAIR,),
            "qemu+ssh": (frozenset({"ssh_private_key", "ssh_known_hosts"}),),
            "qemu+tcp": (_LOGIN,),
            "qemu+unix": (frozenset(),),
        },
        frozenset({"ca_pem", "tls_server_name", *_LOGIN}),
    ),
    "redfish": _Rules("management controller", {"https": (_LOGIN,)}, frozenset({"ca_pem", "hook_secret"})),
}
_NEEDS = {
    frozenset({"token"}): "a token",
    _PAIR: "a client certificate and its key",
    _LOGIN: "a user and a password",
    frozenset({"ssh_private_key", "ssh_known_hosts"}): "a private key for SSH and the host's keys",
}


def checked(
    parts: Mapping[str, str],
    *,
    now: datetime,
    names: Names = PLAIN,
    driver: str = "kubernetes",
    machines: Sequence[Mapping[str, str]] = (),
) -> Connection:
    """A Connection from its parts, each looked at. Blank parts are absent. Raises BadConnection.

    `names`: where each part stands in what was sent, for the pointer of a refusal. `machines`: of bare metal,
    instead of a server.
    """
    rules = RULES[driver]
    given = {name: value.strip() for name, value in parts.items() if value.strip()}
    servers = _machines(machines, names["machines"]) if driver == "redfish" else ()
    if machines and driver != "redfish":
        raise BadConnection(names["machines"], "not-taken", f"A {rules.what} is one server, not a list of machines.")
    if servers:
        given["server"] = servers[0].server
    if "server" not in given:
        raise BadConnection(names["server"], "required", f"The address of the {rules.what} is missing.")
    place = str(_server(given.pop("server"), rules, names["server"]))
    _check_parts(given, rules, place.partition("://")[0], names)
    found, ends = _parts(given, names, now)
    if servers:  # a controller may have several systems, in clusters of their own
        place += servers[0].system
    return Connection(server=place, **found, machines=servers, expires_at=min(ends, default=None))


def _check_parts(given: Mapping[str, str], rules: _Rules, scheme: str, names: Names) -> None:
    """One of the ways in is there whole, and nothing that would be sent nowhere."""
    ways = rules.schemes[scheme]
    if not any(way <= given.keys() for way in ways):
        begun = next((way for way in ways if way & given.keys()), None)
        if begun == _PAIR:
            missing = next(iter(_PAIR - given.keys()))
            message = "A client certificate and its key come together; one of them is missing."
            raise BadConnection(names[missing], "required", message)
        wanted = " or ".join(_NEEDS[way] for way in ways)
        first = next(name for name in PLAIN if name in ways[0] - given.keys())
        raise BadConnection(names[first], "required", f"This {rules.what} wants {wanted}.")
    taken = rules.more.union(*ways)
    for name in given:
        if name not in taken:
            raise BadConnection(names[name], "not-taken", f"A {rules.what} at {scheme}:// takes no {name}.")


def _parts(given: Mapping[str, str], names: Names, now: datetime) -> tuple[dict[str, str], list[datetime]]:
    ends: list[datetime] = []
    found: dict[str, str] = {}
    if tls_name := given.get("tls_server_name"):
        found["tls_server_name"] = _host(tls_name, names["tls_server_name"])
    if ca_pem := given.get("ca_pem"):
        found["ca_pem"] = certificates.authorities(ca_pem, names["ca_pem"], now)
    if token := given.get("token"):
        found["token"] = _token(token, names["token"], now, ends)
    if _PAIR & given.keys():
        for name in sorted(_PAIR - given.keys()):
            message = "A client certificate and its key come together; one of them is missing."
            raise BadConnection(names[name], "required", message)
        pointers = (names["client_cert_pem"], names["client_key_pem"])
        cert, key, end = certificates.pair(given["client_cert_pem"], given["client_key_pem"], pointers, now)
        found |= {"client_cert_pem": cert, "client_key_pem": key}
        ends.append(end)
    if ssh_key := given.get("ssh_private_key"):
        found["ssh_private_key"] = certificates.ssh_key(ssh_key, names["ssh_private_key"])
    if hosts := given.get("ssh_known_hosts"):
        found["ssh_known_hosts"] = certificates.known_hosts(hosts, names["ssh_known_hosts"])
    for name in ("username", "password", "hook_secret"):
        if name in given:
            found[name] = _plain(given[name], names[name])
    if "hook_secret" in found and len(found["hook_secret"]) < _LEAST_HOOK_SECRET:
        message = f"A secret for signing has at least {_LEAST_HOOK_SECRET} letters."
        raise BadConnection(names["hook_secret"], "too-short", message)
    if namespace := given.get("namespace"):
        if not _NAMESPACE.fullmatch(namespace):
            raise BadConnection(names["namespace"], "bad-namespace", "This is no name of a namespace.")
        found["namespace"] = namespace
    return found, ends


def _machines(given: Sequence[Mapping[str, str]], pointer: str) -> tuple[Machine, ...]:
    """Each with a name and a controller of its own. Raises BadConnection."""
    if not given:
        raise BadConnection(pointer, "required", "Name the machines and where their management controllers are.")
    if len(given) > MOST_MACHINES:
        raise BadConnection(pointer, "too-large", f"More than {MOST_MACHINES} machines are not taken at once.")
    found: list[Machine] = []
    for number, one in enumerate(given):
        here = f"{pointer}/{number}"
        name, system = one.get("name", "").strip(), one.get("system", "").strip()
        pin = one.get("fingerprint", "").strip().lower().replace(":", "")
        if not _MACHINE.fullmatch(name):
            raise BadConnection(f"{here}/name", "bad-name", "A machine's name has letters, digits and ._- only.")
        if system and not _SYSTEM.fullmatch(system):
            raise BadConnection(f"{here}/system", "bad-path", "A system is a path like /redfish/v1/Systems/1.")
        if pin and not _FINGERPRINT.fullmatch(pin):
            raise BadConnection(f"{here}/fingerprint", "bad-fingerprint", "A fingerprint is SHA-256: 64 hex digits.")
        server = str(_server(one.get("server", "").strip(), RULES["redfish"], f"{here}/server"))
        if any(other.name == name for other in found):
            raise BadConnection(f"{here}/name", "twice", "Two machines have this name.")
        if any((other.server, other.system) == (server, system) for other in found):
            raise BadConnection(f"{here}/server", "twice", "This is another machine of the list already.")
        found.append(Machine(name, server, system, pin))
    return tuple(found)


def _server(text: str, rules: _Rules, pointer: str) -> addresses.Server:
    scheme, _, path = text.partition("://")
    if scheme in rules.schemes and scheme.endswith("unix"):
        if not _SOCKET.fullmatch(path) or {".", ".."} & set(path.split("/")):
            raise BadConnection(pointer, "bad-path", "Write the socket as its whole path, as unix:///run/docker.sock.")
        return addresses.Server("", 0, path, scheme)
    try:
        return addresses.server(text, tuple(s for s in rules.schemes if not s.endswith("unix")), what=rules.what)
    except addresses.BadAddress as error:
        raise BadConnection(pointer, error.code, str(error)) from None


def _host(text: str, pointer: str) -> str:
    try:
        return addresses.checked_host(text)
    except addresses.BadAddress as error:
        raise BadConnection(pointer, error.code, str(error)) from None


def _plain(text: str, pointer: str) -> str:
    if len(text) > MOST_PASSWORD or not text.isprintable():
        raise BadConnection(pointer, "bad-letters", "This has letters that cannot be typed, or too many.")
    return text


def _token(token: str, pointer: str, now: datetime, ends: list[datetime]) -> str:
    if not _LEAST_TOKEN <= len(token) <= MOST_TOKEN or not _TOKEN.fullmatch(token):
        message = f"This is no bearer token: {_LEAST_TOKEN} to {MOST_TOKEN} letters, digits and ._~+/-= in one line."
        raise BadConnection(pointer, "bad-token", message)
    end = _end_of_token(token)
    if end is not None:
        if end <= now:
            raise BadConnection(pointer, "expired", f"The token expired on {day(end)}. Make a new one.")
        ends.append(end)
    return token


def _end_of_token(token: str) -> datetime | None:
    """When a service account's token ends: it is a JWT and says so. Others say nothing that we know."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        said: Any = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        end = said["exp"] if isinstance(said, dict) else None
        return datetime.fromtimestamp(end, UTC) if isinstance(end, int | float) else None
    except (ValueError, KeyError, OverflowError, OSError, RecursionError):
        return None
