"""One device as one source shows it, before what several sources say of the same card is put together."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from federation.accelerators import catalogue
from federation.drivers.base import Health

_MEMORY = re.compile(r"(\d{1,9})\s*([MGT]?)(i?B)?", re.ASCII | re.IGNORECASE)
_MOST_UUID = 100
_MEMORY_UNITS = {"": 1, "M": 1, "G": 1024, "T": 1024 * 1024}


@dataclass(slots=True, eq=False)
class Sight:
    vendor: str
    model: str
    uuid: str
    memory_mib: int = 0
    health: Health = Health.HEALTHY
    numa: int | None = None
    index: int | None = None  # the vendor's own, if it says one
    mode: str = catalogue.EXCLUSIVE
    step_milli: int = 1000
    most_shares: int = 0
    parent: str = ""
    is_identified: bool = True
    is_serial: bool = True  # `uuid` is of the hardware, and not made of the node's name
    resource: str = ""
    pci: str = ""
    names: set[str] = field(default_factory=set)  # what pods and claims call it besides
    cores_of: int = 100  # units of compute of a whole card, as holders count them
    memory_as_held: int = 0  # its memory as holders count it; more than there is when the site overcommits; 0: as it is
    capacity: dict[str, int] = field(default_factory=dict)  # of DRA, what several claims may share: name -> amount
    tokens: int = 1  # units that it makes of the resource that counts it
    is_divided: bool = False  # has parts, and is not handed out itself
    ours_milli: int = 0
    foreign_milli: int = 0
    foreign_holders: int = 0
    foreign_memory_mib: int = 0
    is_crowded: bool = False  # more foreign use than there is of it


def recognised(vendor: str, words: Iterable[str], otherwise: str) -> tuple[str, int]:
    """The catalogue's name for the first word it knows, and its memory; for none of them, `otherwise` and 0."""
    for word in words:
        if word and (record := catalogue.lookup(vendor, word)).is_listed:
            return record.name, record.memory_mib or 0
    return otherwise or "unknown", 0


def storable(uuid: str) -> str:
    """The same for any UUID of a sane length; a site may write more than can be kept, and two must stay two."""
    if len(uuid) <= _MOST_UUID and uuid.isprintable():
        return uuid
    return "long/" + hashlib.sha256(uuid.encode("utf-8", "backslashreplace")).hexdigest()


def memory_label(text: str) -> int:
    """MiB of a label: "81920" (MiB), "64GB", "192G". Vendors write G for what are GiB. 0 for anything else."""
    found = _MEMORY.fullmatch(text.strip())
    return int(found[1]) * _MEMORY_UNITS[found[2].upper()] if found else 0
