"""Orders as the hub sends them, checked before anything is done about them."""

import math
import re
from collections.abc import Set
from dataclasses import dataclass
from typing import Any

_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # it becomes a folder's name
_MOST_GRACE_SECONDS = 3600
_NUMBERS = ("cpu_milli", "memory_mib", "max_seconds", "grace_seconds", "replica", "replicas")


class Refused(Exception):
    """This order is not carried out. `reason` is CamelCase, `message` is for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Order:
    ref: str
    generation: int
    epoch: int
    is_run: bool
    spec: dict[str, Any]

    @classmethod
    def from_json(cls, value: Any) -> "Order | None":
        """None for what is no order at all, or of a kind this agent does not know: it is left alone."""
        try:
            ref, desired, spec = str(value["ref"]), value["desired"], value.get("spec")
            order = cls(
                ref=ref,
                generation=int(value["generation"]),
                epoch=int(value["epoch"]),
                is_run=desired == "run",
                spec=spec if isinstance(spec, dict) else {},
            )
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            return None
        return order if _REF.fullmatch(ref) and desired in ("run", "absent") else None


def check(spec: dict[str, Any], devices: Set[str], *, has_image: bool = False) -> None:
    """Raises Refused when this machine could never run it as asked. `has_image`: an image may have its own command."""
    command = spec.get("command")
    if has_image and not command:
        command = ["of the image"]
    if not isinstance(command, list) or not command or not all(_is_text(word) for word in command) or not command[0]:
        raise Refused("InvalidSpec", "A bare-metal site needs a command: a list of words, the first not empty.")
    env = spec.get("env") or {}
    if not isinstance(env, dict) or not all(
        _is_text(name) and _is_text(value) and name and "=" not in name for name, value in env.items()
    ):
        raise Refused("InvalidSpec", "The environment must map names to texts.")
    for name in _NUMBERS:
        if spec.get(name) is not None and not _is_amount(spec[name]):
            raise Refused("InvalidSpec", f"{name} must be a number, not below 0.")
    if (spec.get("grace_seconds") or 0) > _MOST_GRACE_SECONDS:
        raise Refused("InvalidSpec", f"grace_seconds may be at most {_MOST_GRACE_SECONDS}.")
    _check_devices(spec.get("devices") or [], devices)


def shares(spec: dict[str, Any]) -> dict[str, int]:
    """Thousandths of each device that this work was granted; a whole one where nothing is said."""
    found: dict[str, int] = {}
    for device in spec.get("devices") or ():
        found[device["uuid"]] = found.get(device["uuid"], 0) + int(device.get("milli", 1000))
    return found


def _check_devices(granted: Any, present: Set[str]) -> None:
    if not isinstance(granted, list) or not all(isinstance(d, dict) and _is_text(d.get("uuid")) for d in granted):
        raise Refused("InvalidSpec", "devices must be a list of devices with their uuid.")
    for device in granted:
        if device["uuid"] not in present:
            raise Refused("DeviceMissing", f"This machine has no accelerator {device['uuid'][:100]}.")
        if not _is_amount(device.get("milli", 1000)) or device.get("milli", 1000) > 1000:
            raise Refused("InvalidSpec", "A device is granted in thousandths, 1000 at most.")


def _is_text(value: Any) -> bool:
    """What the kernel takes as an argument: no NUL, and nothing that UTF-8 cannot say."""
    if not isinstance(value, str) or "\0" in value:
        return False
    return value.isprintable() or not any("\ud800" <= letter <= "\udfff" for letter in value)


def _is_amount(value: Any) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value < 2**53
    )
