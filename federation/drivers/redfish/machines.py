"""What an administrator said of the servers of a cluster: where their controllers are, and what is done between
tenants."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from federation.drivers.base import DriverConfig
from federation.drivers.redfish.wire import BadEndpoint, Endpoint, basic, endpoint

HOOKS = ("prepare", "wipe", "check")
_MAC = re.compile(r"([0-9a-f]{2}[:-]){5}[0-9a-f]{2}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Machine:
    """One server. Where it cannot be dialled, `trouble` says why and there is no endpoint."""

    name: str
    endpoint: Endpoint | None
    trouble: str = ""
    system: str = ""  # path of its ComputerSystem; empty: the first that can be switched
    macs: tuple[str, ...] = ()
    rack: str = ""
    cpu_milli: int = 0  # where the controller does not say
    memory_mib: int = 0


@dataclass(frozen=True, slots=True)
class Rules:
    """How the servers of a cluster are handled."""

    hooks: Mapping[str, Endpoint] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)  # of the hooks' addresses
    hook_secret: str = field(default="", repr=False)
    wipes: bool = True  # False only by the setting wipe: "none"
    takes_running: bool = False  # a server that is on and not leased is taken all the same
    tags: bool = False  # write the lease into AssetTag, which some keep their own marks in
    off_seconds: float = 120.0  # so long off and it has ended; a restart is off for a moment
    picture_seconds: float = 600.0  # so long the hardware is believed to be as it was
    trouble: str = ""


def machines_of(config: DriverConfig) -> dict[str, Machine]:
    """By name. What cannot be read is a machine with a trouble, not a machine that is missing."""
    given = config.settings.get("machines")
    found: dict[str, Machine] = {}
    for item in given if isinstance(given, list) else []:
        machine = _machine(item, config) if isinstance(item, Mapping) else None
        if machine is not None and machine.name not in found:
            found[machine.name] = machine
    return found


def _machine(item: Mapping[str, Any], config: DriverConfig) -> Machine | None:
    name = item.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= 253:
        return None
    secrets = config.secrets
    trouble, where = "", None
    if not secrets.get("username") or not secrets.get("password"):
        trouble = "There is no user name or password for the management controllers."
    else:
        try:
            where = endpoint(
                str(item.get("server") or ""),
                address=str(item.get("address") or ""),
                fingerprint=str(item.get("fingerprint") or ""),
                ca_pem=secrets.get("ca_pem", ""),
                allow_plain=config.settings.get("plain_http") is True,
                headers=basic(secrets["username"], secrets["password"]),
            )
        except BadEndpoint as error:
            trouble = str(error)
    macs = item.get("mac")
    system = str(item.get("system") or "")
    return Machine(
        name,
        where,
        trouble,
        system if system.startswith("/redfish/") else "",
        tuple(m.lower() for m in macs if isinstance(m, str) and _MAC.fullmatch(m)) if isinstance(macs, list) else (),
        str(item.get("rack") or "")[:63],
        _whole(item.get("cpu_milli")),
        _whole(item.get("memory_mib")),
    )


def rules_of(config: DriverConfig) -> Rules:
    settings = config.settings
    given = settings.get("hooks")
    hooks, paths, trouble = {}, {}, ""
    for name in HOOKS:
        said = given.get(name) if isinstance(given, Mapping) else None
        if not said:
            continue
        url, address = (said.get("url"), said.get("address")) if isinstance(said, Mapping) else (said, "")
        try:
            found = endpoint(
                str(url),
                address=str(address or ""),
                ca_pem=config.secrets.get("ca_pem", ""),
                allow_plain=settings.get("plain_http") is True,
            )
            hooks[name] = replace(found, has_public=True)  # a hook may be anywhere, a controller is in the house
        except BadEndpoint as error:
            trouble = f"The {name} hook: {error}"
            continue
        paths[name] = "/" + str(url).split("://", 1)[1].partition("/")[2].partition("#")[0]
    if hooks and not config.secrets.get("hook_secret"):
        hooks, trouble = {}, "Hooks need a hook_secret that they are signed with."
    wipes = settings.get("wipe") != "none"
    if wipes and "wipe" not in hooks and not trouble:
        trouble = (
            "There is no wipe hook: a server that was used is not given to the next tenant. "
            'Name one, or choose wipe "none".'
        )
    return Rules(
        hooks,
        paths,
        config.secrets.get("hook_secret", ""),
        wipes,
        settings.get("takes_running") is True,
        settings.get("asset_tag") is True,
        _seconds(settings.get("off_seconds"), 120.0),
        _seconds(settings.get("picture_seconds"), 600.0),
        trouble,
    )


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _seconds(value: Any, otherwise: float) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value < 1e9 else otherwise
