"""Nodes as an agent sends them and the hub keeps them: JSON of each, a digest of each, one stamp of all."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from hashlib import blake2b, sha256
from typing import Any

from federation.drivers.base import DeviceSeen, Health, NodeSeen

MOST_DEVICES, MOST_LABELS, MOST_GUESTS = 1024, 300, 4096
_MOST_NUMBER = 2**53
_LONGEST = {
    "name": 253, "rack": 63, "message": 1000, "uuid": 300, "parent_uuid": 300, "vendor": 32, "model": 64, "mode": 16,
    "resource": 253, "serial": 64, "pci": 32, "passed_to": 64, "guest_pci": 32, "system_uuid": 64,
}  # fmt: skip
_MANY = ("devices", "labels", "guests")
_DEFAULTS = {kind: {f.name: f.default for f in fields(kind) if f.name not in _MANY} for kind in (NodeSeen, DeviceSeen)}


class NotUnderstood(ValueError):
    """This is no node. The text says what of it is not."""


def node_to_json(node: NodeSeen) -> dict[str, Any]:
    """All that differs from the defaults of NodeSeen and DeviceSeen; a new field travels by itself."""
    found = _told(node)
    if node.labels:
        found["labels"] = {str(name): str(value) for name, value in node.labels.items()}
    if node.devices:
        found["devices"] = [_told(device) for device in node.devices]
    if node.guests:
        found["guests"] = [*node.guests]
    return found


def node_from_json(value: Any) -> NodeSeen:
    """A node as it was sent. Texts are cut to what the hub keeps; raises NotUnderstood for what cannot be one."""
    if not isinstance(value, Mapping):
        raise NotUnderstood("a node is an object")
    devices, labels = value.get("devices") or [], value.get("labels") or {}
    if not isinstance(devices, list) or len(devices) > MOST_DEVICES:
        raise NotUnderstood(f"devices are a list of at most {MOST_DEVICES}")
    if not isinstance(labels, Mapping):
        raise NotUnderstood("labels are an object")
    guests = value.get("guests") or []
    if not isinstance(guests, list) or len(guests) > MOST_GUESTS or not all(isinstance(g, str) for g in guests):
        raise NotUnderstood(f"guests are a list of at most {MOST_GUESTS} texts")
    kept = {_text(name, 317): _text(label, 256) for name, label in sorted(labels.items(), key=str)[:MOST_LABELS]}
    node = NodeSeen(
        **_values(NodeSeen, value),
        labels=kept,
        devices=tuple(DeviceSeen(**_values(DeviceSeen, d)) for d in devices),
        guests=tuple(_text(guest, 64) for guest in guests),
    )
    if not node.name:
        raise NotUnderstood("a node has a name")
    return node


def not_believed(value: Any, why: str) -> NodeSeen | None:
    """A node in the place of one that is not understood: the hub names it, and places nothing there."""
    name = value.get("name") if isinstance(value, Mapping) else None
    if not isinstance(name, str) or not (kept := _text(name, 253)):
        return None
    return NodeSeen(name=kept, cpu_milli=0, memory_mib=0, is_ready=False, message=f"Not understood: {why}."[:1000])


def digest_of(node: Mapping[str, Any]) -> str:
    """The same for the same node, whoever asks."""
    text = json.dumps(node, sort_keys=True, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=12).hexdigest()


def stamp_of(digests: Mapping[str, str]) -> str:
    """One word for a whole picture: SHA-256 of its `name TAB digest NEWLINE`, sorted by name; the first 32 signs."""
    lines = "".join(f"{name}\t{digests[name]}\n" for name in sorted(digests))
    return sha256(lines.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _told(thing: NodeSeen | DeviceSeen) -> dict[str, Any]:
    return {
        name: value for name, default in _DEFAULTS[type(thing)].items() if (value := getattr(thing, name)) != default
    }


def _values(kind: type[NodeSeen] | type[DeviceSeen], value: Any) -> dict[str, Any]:
    """The fields of one thing, each of the kind that it has to be. Fields that we do not know are left out."""
    if not isinstance(value, Mapping):
        raise NotUnderstood("a device is an object")
    found: dict[str, Any] = {}
    for field in fields(kind):
        if field.name in _MANY or value.get(field.name) is None:
            continue
        given = value[field.name]
        if field.name == "health":
            found["health"] = Health(given) if given in [*Health] else Health.UNKNOWN
        elif field.name in _LONGEST:
            if not isinstance(given, str):
                raise NotUnderstood(f"{field.name} is a text")
            found[field.name] = _text(given, _LONGEST[field.name])
        elif field.name.startswith("is_"):
            if not isinstance(given, bool):
                raise NotUnderstood(f"{field.name} is true or false")
            found[field.name] = given
        elif not isinstance(given, int) or isinstance(given, bool) or abs(given) > _MOST_NUMBER:
            raise NotUnderstood(f"{field.name} is a whole number")
        else:
            found[field.name] = given
    missing = [f.name for f in fields(kind) if f.name not in found and f.default is f.default_factory is MISSING]
    if missing:
        raise NotUnderstood(f"{missing[0]} is missing")
    return found


def _text(value: Any, longest: int) -> str:
    """What a database takes: no NUL, nothing that UTF-8 cannot say."""
    return str(value).replace("\0", "?").encode("utf-8", "replace").decode()[:longest]
