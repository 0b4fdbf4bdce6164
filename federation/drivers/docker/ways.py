"""How one host wants its work: what its settings may say, and what holds where they say nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from federation.accelerators.catalogue import EXCLUSIVE, SLICING_MODES

DEVICES_BY = ("auto", "cdi", "requests", "runtime", "paths", "env")


class BadWays(ValueError):
    """A setting that cannot be; the text names it."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A card as the operator declares it."""

    uuid: str
    vendor: str
    model: str = ""
    memory_mib: int = 0
    index: int = 0
    numa: int | None = None
    mode: str = EXCLUSIVE
    cdi: str = ""  # its name in a CDI specification: nvidia.com/gpu=0
    paths: tuple[str, ...] = ()  # device files that it is reached by


@dataclass(frozen=True)
class Ways:
    name: str = ""  # of the node; the host's own name otherwise
    cpu_milli: int = 0  # what work may have; 0: all there is
    memory_mib: int = 0
    rack: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    devices: tuple[Declared, ...] = ()
    devices_by: str = "auto"  # how cards are given to containers
    default_image: str = ""
    pull_policy: str = "missing"  # always, missing, never
    network: str = ""  # of containers; the engine's default otherwise
    runtime: str = ""  # of containers, whatever their devices
    user: str = ""  # inside containers; as the image says otherwise
    is_privileged_allowed: bool = False  # leave containers the right to gain rights (sudo inside)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Ways":
        """From a cluster's settings; what is not for this driver is left alone. Raises BadWays."""
        known = {name: settings[name] for name in cls.__dataclass_fields__ if name in settings}
        for name, value in known.items():
            is_right, wanted = _SHAPES.get(name, (_is_text, "a text"))
            if not is_right(value):
                raise BadWays(f"The host is set up wrongly: {name} is to be {wanted}.")
        known["devices"] = tuple(_declared(i, one) for i, one in enumerate(known.get("devices") or ()))
        uuids = [device.uuid for device in known["devices"]]
        if len(set(uuids)) != len(uuids):
            raise BadWays("The host is set up wrongly: two devices have one uuid.")
        return cls(**known)


def _declared(position: int, given: Mapping[str, Any]) -> Declared:
    known = {name: given[name] for name in Declared.__dataclass_fields__ if name in given}
    known.setdefault("index", position)
    texts = ("uuid", "vendor", "model", "mode", "cdi")
    right = all(isinstance(known.get(name, ""), str) for name in texts)
    right = right and all(_is_amount(known.get(name, 0)) for name in ("memory_mib", "index"))
    right = right and (known.get("numa") is None or _is_amount(known["numa"]))
    right = right and _is_texts(known.get("paths", ())) and known.get("mode", EXCLUSIVE) in SLICING_MODES
    if not right or not known.get("uuid") or not known.get("vendor"):
        raise BadWays(f"The host is set up wrongly: device {position} wants a uuid and a vendor, and the right kinds.")
    known["paths"] = tuple(known.get("paths", ()))
    return Declared(**known)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= 500 and value.isprintable()


def _is_amount(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40


def _is_table(value: object) -> bool:
    return isinstance(value, dict) and all(_is_text(k) and _is_text(v) for k, v in value.items())


def _is_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(_is_text(one) for one in value)


_SHAPES: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "cpu_milli": (_is_amount, "a whole number"),
    "memory_mib": (_is_amount, "a whole number"),
    "labels": (_is_table, "a table of texts"),
    "devices": (lambda v: isinstance(v, list | tuple) and all(isinstance(o, dict) for o in v), "a list of devices"),
    "devices_by": (lambda value: value in DEVICES_BY, f"one of {', '.join(DEVICES_BY)}"),
    "pull_policy": (lambda value: value in ("always", "missing", "never"), "always, missing or never"),
    "is_privileged_allowed": (lambda value: isinstance(value, bool), "true or false"),
}
