"""From a row to a driver: which class speaks to this cluster, and with what."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from ipaddress import ip_address
from typing import Any

from django.conf import settings
from django.db import connection
from psycopg.conninfo import make_conninfo

from federation import addresses
from federation.connections import RULES, Connection, Machine
from federation.drivers.agent_calls import ABILITIES, passing_on
from federation.drivers.base import DriverConfig, SiteDriver
from federation.drivers.closed import ClosedDriver
from federation.mailbox import RowMailbox
from federation.models import Agent, Cluster, ClusterCredential
from federation.sealing import vault
from federation.servers import RowLedger
from portal.vault import CannotOpen

# Drivers that speak to a site by themselves, with a credential that is kept here.
CONNECTED = frozenset(RULES)
# What only a connection says: given as a plain setting it could send a credential, or a file of ours, elsewhere.
RESERVED_SETTINGS = frozenset(
    {"server", "address", "addresses", "tls_server_name", "kubeconfig", "token", "token_file", "ca_pem",
     "client_cert_pem", "client_key_pem", "machines", "ssh_private_key", "ssh_known_hosts", "username", "password",
     "hook_secret"}
)  # fmt: skip
# The kind of site that a driver speaks to, where it goes by another name.
KINDS = {"redfish": "baremetal"}
_REMEMBER_SECONDS = 30.0


def driver_for(cluster: Cluster) -> SiteDriver:
    """The driver of one cluster, with its settings and secrets. Opens nothing at the site.

    Where it cannot be asked (no credential, a forbidden address) the driver is one whose calls are all Unavailable.
    """
    kept = {**cluster.settings, **_local(cluster)}
    why, way = "", _Way()
    if cluster.driver in CONNECTED:
        kept = _unreserved(kept)
        why, way = _way_to(cluster)
    config = DriverConfig(
        cluster_id=str(cluster.pk),
        kind=cluster.kind,
        epoch=cluster.epoch,
        settings={**kept, **way.settings},
        secrets=way.secrets,
        port=_port(cluster),
    )
    return ClosedDriver(config, why) if why else _class_of(cluster.driver)(config)


def able_driver(cluster: Cluster) -> SiteDriver:
    """As driver_for; where an agent speaks for a site, it can do what that agent says, by asking it (some seconds)."""
    found = driver_for(cluster)
    if cluster.driver != "agent":
        return found
    agent = Agent.objects.filter(cluster=cluster, revoked_at=None).only("site").first()
    return passing_on(_said(agent))(found.config)


def abilities_in_place(cluster: Cluster) -> frozenset[str]:
    """Which of ABILITIES this cluster's driver has. Of one with an agent, give `cluster.agent` along in lists."""
    if cluster.driver == "agent":
        agent: Agent | None = getattr(cluster, "agent", None)
        return frozenset(_said(agent)).intersection(ABILITIES)
    made = driver_class(cluster.driver)
    return frozenset() if made is None else frozenset(n for n, a in ABILITIES.items() if issubclass(made, a))


def _said(agent: Agent | None) -> list[str]:
    """What an agent that still counts says that its site can do."""
    if agent is None or agent.revoked_at is not None:
        return []
    return list((agent.site or {}).get("abilities") or [])


def _port(cluster: Cluster) -> object | None:
    """What some drivers need of the hub."""
    if cluster.driver == "agent":
        return RowMailbox(cluster)
    return RowLedger(cluster) if cluster.driver == "redfish" else None


def driver_to_try(driver: str, way: Connection, given: dict[str, Any]) -> SiteDriver:
    """A driver that has what was typed just now and nothing else. Raises BadAddress."""
    kind = KINDS.get(driver, driver)
    place = _where(driver, way.server, way.tls_server_name, way.machines, given, addresses.system_resolver)
    return _class_of(driver)(DriverConfig("check", kind, 1, {**_unreserved(given), **place}, way.secrets))


def _unreserved(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in RESERVED_SETTINGS}


def driver_class(driver: str) -> type[SiteDriver] | None:
    """To ask what it can do; None for a driver that this installation does not have."""
    return _class_of(driver) if driver in settings.FEDERATION_DRIVERS else None


def _class_of(driver: str) -> type[SiteDriver]:
    module, _, name = settings.FEDERATION_DRIVERS[driver].partition(":")
    found: type[SiteDriver] = getattr(import_module(module), name)
    return found


# -- connections -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Way:
    settings: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)


def _way_to(cluster: Cluster) -> tuple[str, _Way]:
    """Why there is none, or the way to a cluster that is asked directly."""
    credential = ClusterCredential.objects.filter(cluster=cluster).first()
    if credential is None:
        return "There is no credential for this cluster. Connect it.", _Way()
    try:
        machines = [Machine(**one) for one in credential.machines]
        tls_name = credential.tls_server_name
        place = _where(cluster.driver, credential.server, tls_name, machines, cluster.settings, _remembered)
        return "", _Way(place, opened(credential))
    except addresses.BadAddress as error:
        return str(error), _Way()
    except CannotOpen:
        return "The credential of this cluster cannot be opened. Connect it anew, or bring its key back.", _Way()


def _where(
    driver: str,
    server: str,
    tls_server_name: str,
    machines: Sequence[Machine],
    given: Mapping[str, Any],
    resolve: addresses.Resolve,
) -> dict[str, Any]:
    """Settings that say where: names are resolved here, looked at, and connected to as they were looked at.

    A machine whose controller has no address just now has none here: the others are asked all the same.
    """
    if machines:
        return {"machines": [_machine(one, resolve) for one in machines], "hooks": _hooks(given, resolve)}
    scheme = server.partition("://")[0]
    if scheme.endswith("unix"):
        path = server.partition("://")[2]
        if path not in settings.SITE_SOCKETS:
            raise addresses.BadAddress(
                "forbidden-socket", f"The operator of this installation has not allowed {path} (AQUIFER_SITE_SOCKETS)."
            )
        return {"server": server, **_image_rules(driver)}
    schemes = tuple(s for s in RULES[driver].schemes if not s.endswith("unix"))
    each = _vetted(addresses.server(server, schemes), resolve)
    if scheme == "qemu+tcp" and not all(ip_address(one).is_loopback for one in each):
        raise addresses.BadAddress("not-encrypted", "qemu+tcp is not encrypted: use qemu+tls or qemu+ssh.")
    place = {"server": server, "tls_server_name": tls_server_name, "address": each[0], "addresses": list(each)}
    return place | _image_rules(driver)


def _image_rules(driver: str) -> dict[str, Any]:
    """Where a driver that fetches images for its host may fetch them: where a site may be."""
    if driver != "kvm":
        return {}
    networks = [str(network) for network in settings.SITE_NETWORKS]
    return {"image_networks": networks, "image_loopback": settings.SITE_LOOPBACK}


def reachable(server: str) -> addresses.Server:
    """The address of something beside sites that the hub may connect to, such as a storage. Raises BadAddress."""
    found = addresses.server(server, ("https", "http"), what="storage")
    _vetted(found, addresses.system_resolver)
    return found


def _vetted(found: addresses.Server, resolve: addresses.Resolve) -> tuple[str, ...]:
    return addresses.vet_all(
        found.host,
        found.port,
        allowed_networks=settings.SITE_NETWORKS,
        resolve=resolve,
        allow_loopback=settings.SITE_LOOPBACK,
    )


def _machine(one: Machine, resolve: addresses.Resolve) -> dict[str, str]:
    try:
        address = _vetted(addresses.server(one.server), resolve)[0]
    except addresses.NoAddress:
        address = ""
    return {**asdict(one), "address": address}


def _hooks(given: Mapping[str, Any], resolve: addresses.Resolve) -> dict[str, Any]:
    """What an operator's own service does with servers (wipe, check, ...), and where that service is."""
    hooks = given.get("hooks") or {}
    if not isinstance(hooks, dict):
        raise addresses.BadAddress("bad-hooks", "The hooks of a cluster map names to addresses.")
    found = {}
    for name, url in hooks.items():
        place = addresses.server(str(url))
        found[str(name)] = {"url": str(place), "address": _vetted(place, resolve)[0]}
    return found


def vetted(way: Connection, driver: str = "kubernetes") -> None:
    """The servers' addresses are ones where a site may be, now. Raises BadAddress."""
    _where(driver, way.server, way.tls_server_name, way.machines, {}, addresses.system_resolver)


_answers: dict[tuple[str, int], tuple[float, list[str]]] = {}


def _remembered(name: str, port: int) -> list[str]:
    """As the system resolves, asked once in half a minute for each name: drivers are built every second or two.

    It remembers answers, not verdicts: each is looked at anew.
    """
    until, found = _answers.get((name, port), (0.0, []))
    if time.monotonic() >= until:
        try:
            found = addresses.system_resolver(name, port)
        except OSError:
            found = []
        _answers[name, port] = (time.monotonic() + _REMEMBER_SECONDS, found)
    return found


def sealed(credential: ClusterCredential, secrets: dict[str, str]) -> str:
    """The secrets for exactly this row as it is now."""
    return vault().seal(json.dumps(secrets).encode(), *credential.place)


def opened(credential: ClusterCredential) -> dict[str, str]:
    """What is sealed in it. Raises CannotOpen."""
    found: dict[str, str] = json.loads(vault().open(credential.sealed, *credential.place))
    return found


# -- simulated sites ---------------------------------------------------------------------------------


def _local(cluster: Cluster) -> dict[str, str]:
    """A simulated site lives in a schema of its own of our database, reached by its own connection."""
    if cluster.driver != "fake":
        return {}
    parts = connection.settings_dict
    dsn = make_conninfo(
        dbname=parts["NAME"],
        user=parts["USER"] or None,
        password=parts["PASSWORD"] or None,
        host=parts["HOST"] or None,
        port=parts["PORT"] or None,
    )
    return {"dsn": dsn}
