"""From the spec of an order to what a driver is given. What cannot be meant is refused here."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from aquifer_agent.orders import Order
from federation.drivers.base import Boot, BootFrom, DeviceGrant, Rejected, Volume, VolumeKind, WorkloadSpec

_TEXTS = ("name", "tenant", "project", "kind", "node", "image", "workload")
_TEXT_LISTS = ("command", "secret_env", "pull_secrets")
_NUMBERS = ("cpu_milli", "memory_mib", "replica", "replicas", "grace_seconds", "attempt")
_KNOWN = frozenset(field.name for field in fields(WorkloadSpec))


def spec_of(order: Order) -> WorkloadSpec:
    """Raises Rejected("InvalidSpec"). Fields that this agent does not know are left out."""
    given = {name: value for name, value in order.spec.items() if name in _KNOWN and value is not None}
    given.update(ref=order.ref, generation=order.generation, epoch=order.epoch)
    for name in _TEXTS:
        _check(given, name, str, "a text")
    for name in _NUMBERS:
        _check(given, name, int, "a whole number")
    for name in _TEXT_LISTS:
        if name in given:
            given[name] = tuple(_texts(name, given[name]))
    given["env"] = _env(given.get("env", {}))
    given["devices"] = tuple(_grant(one) for one in _list(given, "devices"))
    given["volumes"] = tuple(_volume(one) for one in _list(given, "volumes"))
    if given.get("boot") is not None:
        given["boot"] = _boot(given["boot"])
    given["ports"] = tuple(_list(given, "ports"))
    if not all(isinstance(port, int) and 0 < port < 65536 for port in given["ports"]):
        raise Rejected("InvalidSpec", "A port is a number from 1 to 65535.")
    try:
        return WorkloadSpec(**given)
    except TypeError as error:  # a field is missing
        raise Rejected("InvalidSpec", str(error).partition(" missing ")[2] or str(error)) from None


def _check(given: Mapping[str, Any], name: str, kind: type, words: str) -> None:
    if name in given and (not isinstance(given[name], kind) or isinstance(given[name], bool)):
        raise Rejected("InvalidSpec", f"{name} must be {words}.")


def _list(given: Mapping[str, Any], name: str) -> list[Any]:
    found = given.get(name) or []
    if not isinstance(found, list | tuple):
        raise Rejected("InvalidSpec", f"{name} must be a list.")
    return list(found)


def _texts(name: str, found: Any) -> list[str]:
    if not isinstance(found, list | tuple) or not all(isinstance(word, str) for word in found):
        raise Rejected("InvalidSpec", f"{name} must be a list of texts.")
    return list(found)


def _env(found: Any) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(v, str) for pair in found.items() for v in pair):
        raise Rejected("InvalidSpec", "The environment must map names to texts.")
    return found


def _grant(found: Any) -> DeviceGrant:
    try:
        return DeviceGrant(int(found["index"]), str(found["uuid"]), int(found["milli"]), int(found["memory_mib"]))
    except (KeyError, TypeError, ValueError):
        raise Rejected("InvalidSpec", "A device is granted by index, uuid, milli and memory_mib.") from None


def _boot(found: Any) -> Boot:
    if not isinstance(found, dict):
        raise Rejected("InvalidSpec", "boot must be an object.")
    known: dict[str, Any] = {field.name: found[field.name] for field in fields(Boot) if field.name in found}
    for name, value in known.items():
        if name == "ssh_keys":
            known[name] = tuple(_texts(name, value))
        elif isinstance(value, bool) or not isinstance(value, int if name == "disk_mib" else str):
            raise Rejected("InvalidSpec", f"boot.{name} is not of its kind.")
    try:
        return Boot(**{**known, "boot_from": BootFrom(known.get("boot_from", BootFrom.DISK))})
    except ValueError:
        raise Rejected("InvalidSpec", "A server starts from disk, pxe or virtual-media.") from None


def _volume(found: Any) -> Volume:
    try:
        known = {f.name: found[f.name] for f in fields(Volume) if f.name in found}
        return Volume(**{**known, "kind": VolumeKind(known.get("kind", VolumeKind.SCRATCH))})
    except (TypeError, ValueError):
        raise Rejected("InvalidSpec", "A volume has a path, and a kind that is claim, scratch or memory.") from None
