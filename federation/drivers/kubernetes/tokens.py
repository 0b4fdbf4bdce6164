"""What one unit of an extended resource is, by the table of vendors: a card, a share, a part, an amount, or nothing."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from federation.accelerators.catalogue import EXCLUSIVE
from federation.drivers.kubernetes.vendors import (
    BY_DOMAIN,
    NO_ACCELERATOR_DOMAINS,
    NO_ACCELERATOR_WORDS,
    VENDORS,
    Amount,
    Part,
    Share,
    Vendor,
)

_PREFIXES = ("hugepages-", "attachable-volumes-", "requests.", "limits.")
_WORDS = re.compile(r"[A-Za-z]+")


class Role(StrEnum):
    CARD = "card"
    SHARE = "share"
    CORES = "cores"
    PART = "part"
    BESIDE = "beside"  # goes with a card: memory, priority, a second count of the same
    UNKNOWN = "unknown"  # an accelerator that no row describes; one unit is one card
    NOTHING = "nothing"  # no accelerator


@dataclass(frozen=True, slots=True)
class Token:
    role: Role
    vendor: str = ""
    model: str = ""  # if the name says it
    kind: str = ""
    mode: str = EXCLUSIVE
    amount: Amount | None = None
    part: Part | None = None
    share: Share | None = None
    sizes: Mapping[str, str] = field(default_factory=dict)  # what the name of a part says: size, gib


_NOTHING = Token(Role.NOTHING)


@lru_cache(maxsize=4096)
def token(resource: str) -> Token:
    """Names in a cluster are few and seen again on every node and pod."""
    if "/" not in resource or resource.startswith(_PREFIXES) or len(resource) > 317:
        return _NOTHING
    for vendor in VENDORS:
        found = _of(vendor, resource)
        if found is not None:
            return found
    domain, _, name = resource.partition("/")
    if not name or NO_ACCELERATOR_DOMAINS.fullmatch(domain):
        return _NOTHING
    words = {word.lower() for word in _WORDS.findall(name)}
    if words & NO_ACCELERATOR_WORDS:
        return _NOTHING
    vendor_known = BY_DOMAIN.get(domain)
    return Token(Role.UNKNOWN, vendor_known.name if vendor_known else domain.lower(), name)


def _of(vendor: Vendor, resource: str) -> Token | None:
    for pattern in vendor.besides:
        if re.fullmatch(pattern, resource):
            # An amount may be described too, for what it says of the cards.
            break
    else:
        pattern = ""
    for amount in vendor.amounts:
        if resource == amount.cores:
            return Token(Role.CORES, vendor.name, amount=amount)
        if resource == amount.memory:
            return Token(Role.BESIDE, vendor.name)
    if pattern:
        return Token(Role.BESIDE, vendor.name)
    for share in vendor.shares:
        if resource == share.name:
            return Token(Role.SHARE, vendor.name, share=share)
    for part in vendor.parts:
        if found := re.fullmatch(part.name, resource):
            said = {key: value for key, value in found.groupdict().items() if value}
            return Token(Role.PART, vendor.name, said.pop("model", ""), part=part, sizes=said)
    for card in vendor.cards:
        if found := re.fullmatch(card.name, resource):
            return Token(Role.CARD, vendor.name, found.groupdict().get("model") or "", card.kind, card.mode)
    return None
