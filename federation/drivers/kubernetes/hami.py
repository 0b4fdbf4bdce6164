"""HAMi's annotations: the cards of a node, and what a pod holds of them.

Two forms of each: text ("uuid,count,memory,cores,type,numa,healthy[,index,mode]:...") and, since 2.7, JSON, where Go
leaves out what is zero: a card without "health" is unhealthy. Cambricon, Moore Threads and others have no annotation on
the node; HAMi then names cards by node and position, which is `known_as` in the table of vendors.
"""

import json
from collections.abc import Mapping
from typing import Any

from federation.accelerators.catalogue import EXCLUSIVE, PARTITIONED, SHARED
from federation.drivers.base import Health
from federation.drivers.kubernetes.shapes import number, rows, table, word
from federation.drivers.kubernetes.sights import Sight, recognised
from federation.drivers.kubernetes.vendors import VENDORS, Hami, Vendor

# One annotation may serve several cards of a vendor ("{}"), and several vendors never share one.
ALLOCATED: Mapping[str, str] = {
    row.allocated.format(name): vendor.name for vendor in VENDORS for row in vendor.hami for name in row.words
}
_REGISTERS = tuple(
    (row.register.format(name), row.handshake.format(name), name, row, vendor)
    for vendor in VENDORS
    for row in vendor.hami
    for name in row.words
    if row.register
)
_MOST_CARDS = 1024


def cards(annotations: Mapping[str, Any], products: Mapping[str, tuple[str, int]], problems: list[str]) -> list[Sight]:
    """The cards that a node's annotations name. `products` are model and memory of each vendor by the node's labels."""
    found: list[Sight] = []
    for register, handshake, name, row, vendor in _REGISTERS:
        if register not in annotations:
            continue
        entries, is_whole = _entries(word(annotations[register], 1 << 18))
        if not is_whole:
            problems.append(f"{register} cannot be read in full")
        is_gone = word(annotations.get(handshake)).startswith("Deleted")
        seen = [_card(entry, name, row, vendor, products.get(vendor.name, ("", 0))) for entry in entries]
        if is_gone:
            problems.append(f"HAMi has lost the device plugin of {vendor.name}")
            for sight in seen:
                sight.health = Health.UNKNOWN
        given = [sight.index for sight in seen]
        if len(set(given)) < len(given):  # the old form has no index, and 0 for all
            for position, sight in enumerate(seen):
                sight.index = position
        found += seen
    return found


def _card(entry: Mapping[str, Any], name: str, row: Hami, vendor: Vendor, product: tuple[str, int]) -> Sight:
    kind = word(entry.get("type") or entry.get("model"))
    own = kind.removeprefix(row.prefix) if row.prefix else kind
    model, listed = recognised(vendor.name, (name, kind, own, product[0]), own or product[0])
    registered = number(entry.get("devmem") or entry.get("totalVRam"), 1 << 34)
    known = product[1] if product[1] and product[0] == model else listed
    splits = number(entry.get("count") or entry.get("totalDevCount"), 1 << 20)
    mode = word(entry.get("mode"))
    sight = Sight(
        vendor.name, model, word(entry.get("id") or entry.get("uuid"), 128),
        # A site may register more memory than there is, so that more work fits; it does not add any.
        memory_mib=min(registered, known) if registered and known else registered or known,
        health=Health.HEALTHY if entry.get("health", entry.get("healthy")) is True else Health.UNHEALTHY,
        numa=number(entry.get("numa"), 1024),
        index=number(entry.get("index"), _MOST_CARDS),
        mode=row.mode, step_milli=0, most_shares=splits, resource=row.resource.format(name),
        memory_as_held=registered,
        tokens=max(splits, 1),
        cores_of=row.cores_of or number(entry.get("devcore"), 1 << 20) or 100,
    )  # fmt: skip
    if splits <= 1:
        sight.mode, sight.step_milli, sight.most_shares = EXCLUSIVE, 1000, 0
    elif mode == "mig":
        # HAMi makes the parts when it needs them, in sizes of its own choice: the hub can only have the whole card.
        sight.mode, sight.step_milli, sight.most_shares = PARTITIONED, 1000, 1
    elif mode == "mps":
        sight.mode, sight.step_milli = SHARED, max(1000 // splits, 1)
    return sight


def _entries(text: str) -> tuple[list[Mapping[str, Any]], bool]:
    """Entries with a UUID, each UUID once; and whether that was all."""
    if text.lstrip().startswith("["):
        try:
            given = rows(json.loads(text))
        except (ValueError, RecursionError):
            return [], False
    else:
        given = [_fields(part) for part in text.split(":") if part.strip()]
    found: dict[str, Mapping[str, Any]] = {}
    for entry in map(table, given):
        uuid = word(entry.get("id") or entry.get("uuid"), 128)
        if uuid:
            found.setdefault(uuid, entry)
    return list(found.values())[:_MOST_CARDS], len(found) == len(given)


def _fields(part: str) -> Mapping[str, Any]:
    given = part.split(",")
    if len(given) not in (7, 9):
        return {}
    uuid, count, memory, cores, kind, numa, healthy = given[:7]
    index, mode = given[7:] if len(given) == 9 else ("0", "hami-core")
    return {
        "id": uuid.strip(), "count": number(count), "devmem": number(memory), "devcore": number(cores), "type": kind,
        "numa": number(numa), "health": healthy in ("true", "True", "TRUE", "t", "T", "1"), "index": number(index),
        "mode": mode,
    }  # fmt: skip


def allocated(text: str, inits: list[bool], containers: int) -> tuple[dict[str, tuple[int, int]], bool]:
    """What a pod holds: card -> (cores, MiB); and whether all of it could be read.

    "uuid,type,memory,cores:" for each device, ";" after each container. New versions write the init containers first;
    `inits` says of each of them whether it is a sidecar. Init containers run one after the other.
    """
    held: dict[str, tuple[int, int]] = {}
    peak: dict[str, tuple[int, int]] = {}
    is_whole = True
    parts = text.split(";")
    if parts and not parts[-1].strip():
        parts.pop()
    has_inits = len(parts) == len(inits) + containers
    for position, part in enumerate(parts):
        mine: dict[str, tuple[int, int]] = {}
        for given in part.split(":"):
            if not given.strip():
                continue
            fields = given.split(",")
            if len(fields) < 4 or not fields[0] or not (fields[2].isdigit() and fields[3].isdigit()):
                is_whole = False
                continue
            # Parts that HAMi made by template are written as "uuid[template-slot]".
            _add(mine, fields[0].split("[")[0][:128], number(fields[3], 1 << 20), number(fields[2], 1 << 34))
        if has_inits and position < len(inits) and not inits[position]:
            for name, (cores, memory) in mine.items():
                before = peak.get(name, (0, 0))
                peak[name] = (max(before[0], cores), max(before[1], memory))
        else:
            for name, (cores, memory) in mine.items():
                _add(held, name, cores, memory)
    for name, (cores, memory) in peak.items():
        before = held.get(name, (0, 0))
        held[name] = (max(before[0], cores), max(before[1], memory))
    return held, is_whole


def _add(held: dict[str, tuple[int, int]], name: str, cores: int, memory: int) -> None:
    before = held.get(name, (0, 0))
    held[name] = (before[0] + cores, before[1] + memory)
