"""The devices of one node: what DRA, HAMi and the device plugins show, put together so that each card is there once.

What names a card goes before what counts cards: DRA, then HAMi, then the counted. Two sources are of the same cards
when they show the same UUID; where one of them has no UUIDs of the hardware, they are taken to be of the same cards in
order. A card that is overlooked can be found by a person, one that is counted twice is given away twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from federation.drivers.kubernetes import dra, hami
from federation.drivers.kubernetes.counted import Counted, Pool, counted, products
from federation.drivers.kubernetes.sights import Sight, storable
from federation.drivers.kubernetes.tokens import Role, token
from federation.drivers.kubernetes.vendors import BY_NAME


@dataclass(slots=True)
class Devices:
    """The working picture of a node; federation/drivers/kubernetes/uses.py writes into it who holds what."""

    sights: list[Sight]
    names: dict[str, Sight]  # by UUID, and by whatever else pods call them; lower case
    pools: dict[str, Pool]  # by resource
    claimable: Mapping[tuple[str, str, str], dra.Claimable]  # by driver, pool and device


def devices_of(
    uid: str, name: str, meta: Mapping[str, Any], status: Mapping[str, Any], slices: Sequence[Mapping[str, Any]],
    problems: list[str],
) -> Devices:  # fmt: skip
    """`meta` has labels and annotations, `status` capacity and allocatable, all of them dicts."""
    labels = meta["labels"]
    by_count = counted(uid, name, labels, status["capacity"], status["allocatable"], problems)
    by_claim = dra.published(uid, name, labels, slices, problems) if slices else dra.Published()
    by_hami = hami.cards(meta["annotations"], products(labels), problems) if meta["annotations"] else []
    named: dict[str, list[Sight]] = {vendor: list(sights) for vendor, sights in by_claim.sights.items()}
    for vendor in {sight.vendor: None for sight in by_hami}:
        mine = [sight for sight in by_hami if sight.vendor == vendor]
        named[vendor] = _same(named.get(vendor, []), mine, vendor, problems)
    for vendor, mine in named.items():
        named[vendor] = _once(mine, by_claim)
    sights: list[Sight] = []
    for vendor in sorted({*named, *by_count.sights}, key=_rank):
        known = named.get(vendor, [])
        sights += known + [s for s in _others(by_count, vendor, known, problems) if s not in known]
    names: dict[str, Sight] = {}
    for sight in sights:
        for word in (sight.uuid, storable(sight.uuid), *sight.names):
            names.setdefault(word.lower(), sight)
    return Devices(_numbered(sights), names, by_count.pools, by_claim.devices)


def _rank(vendor: str) -> tuple[int, str]:
    order = list(BY_NAME)
    return (order.index(vendor) if vendor in BY_NAME else len(order), vendor)


def _same(better: list[Sight], worse: list[Sight], vendor: str, problems: list[str]) -> list[Sight]:
    """Cards of two sources that name them; `better` says how they are handed out."""
    if not better:
        return worse
    by_uuid = {sight.uuid.lower(): sight for sight in better}
    left = []
    for sight in worse:
        same = by_uuid.get(sight.uuid.lower())
        if same:
            _learn(same, sight)
        else:
            left.append(sight)
    whole = [sight for sight in better if not sight.parent]
    if all(sight.is_serial for sight in whole):
        return better + left
    unpaired = [sight for sight in whole if not sight.is_serial]
    for same, sight in zip(unpaired, sorted(left, key=lambda s: s.index or 0), strict=False):
        _learn(same, sight)
    if len(left) > len(unpaired):
        problems.append(f"{len(left) - len(unpaired)} cards of {vendor} are seen by HAMi only, and not counted")
    return better


def _learn(same: Sight, other: Sight) -> None:
    """What the other source of a card adds: the names by which its holders call it, and what is not known yet."""
    same.names |= {other.uuid, *other.names}
    same.memory_mib = same.memory_mib or other.memory_mib
    same.numa = other.numa if same.numa is None else same.numa
    if same.health == "healthy":
        same.health = other.health
    if same.model == "unknown":
        same.model = other.model
    same.cores_of = other.cores_of
    same.tokens = max(same.tokens, other.tokens)


def _once(sights: list[Sight], by_claim: dra.Published) -> list[Sight]:
    """One UUID is one card, also when two drivers show it: the one that stands first in the table of vendors."""
    best: dict[str, Sight] = {}
    order = [row.driver for vendor in BY_NAME.values() for row in vendor.dra]
    for sight in sorted(sights, key=lambda s: order.index(s.resource) if s.resource in order else len(order)):
        known = best.setdefault(sight.uuid.lower(), sight)
        if known is not sight:
            _learn(known, sight)
            known.is_divided = known.is_divided or sight.is_divided
            for key, claimable in by_claim.devices.items():
                if claimable.sight is sight:
                    by_claim.devices[key] = dra.Claimable(known, claimable.is_partial)
    kept = {id(sight) for sight in best.values()}
    return [sight for sight in sights if id(sight) in kept]


def _others(by_count: Counted, vendor: str, known: list[Sight], problems: list[str]) -> list[Sight]:
    """Counted cards that are not among the known ones: only those whose resource says that they are another model."""
    mine = by_count.sights.get(vendor, [])
    if not known:
        return mine
    models = {sight.model for sight in known}
    whole = [sight for sight in known if not sight.is_divided]
    kept = []
    for resource, pool in list(by_count.pools.items()):
        if pool.vendor != vendor:
            continue
        said = token(resource)
        if said.role is Role.CARD and said.model and not {sight.model for sight in pool.sights} & models:
            kept += pool.sights
            continue
        # One unit of it is then a device of the known ones; which, only its holder says.
        parts = [sight for sight in whole if sight.parent]
        by_count.pools[resource] = Pool(
            resource, vendor, parts if said.role is Role.PART and parts else whole, 1, pool.units
        )
        tokens = sum(sight.tokens for sight in whole)
        if said.role is Role.CARD and pool.units > tokens:
            problems.append(f"{resource} counts {pool.units}, {tokens} are known by name: the others are not counted")
    return kept


def _numbered(sights: list[Sight]) -> list[Sight]:
    """Positions on the node: the vendor's own where no two cards have the same, the next free ones for all others."""
    taken: set[int] = set()
    left = []
    for sight in sights:
        if sight.index is None or sight.parent or sight.index in taken:
            left.append(sight)
        else:
            taken.add(sight.index)
    following = 0
    for sight in left:
        while following in taken:
            following += 1
        sight.index = following
        taken.add(following)
    return sights
