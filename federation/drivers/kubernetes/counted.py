"""The cards that a node only counts: device plugins, seen through what the node advertises and how it is labelled."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from federation.accelerators.catalogue import PARTITIONED, SHARED, SLICED
from federation.drivers.kubernetes.parts import deal, piece
from federation.drivers.kubernetes.quantities import whole
from federation.drivers.kubernetes.shapes import number, word
from federation.drivers.kubernetes.sights import Sight, memory_label, recognised
from federation.drivers.kubernetes.tokens import Role, Token, token
from federation.drivers.kubernetes.vendors import BY_NAME, MOST_UNKNOWN, Vendor

_MOST_CARDS = 1024
_MIG_PRODUCT = re.compile(r"(?P<card>.+?)-MIG-(?P<size>\d)g\.(?P<gib>\d+)gb(?:[.+].*)?")


@dataclass(slots=True)
class Pool:
    """What units of one resource stand for. `holders` of each device at a time, each `milli` of it."""

    resource: str
    vendor: str
    sights: list[Sight]
    per_device: int = 1  # units of the resource that one device makes
    units: int = 0  # advertised
    is_amount: bool = False  # any number of units of a device may go to one holder
    unhealthy: int = 0  # devices that the node has, and does not hand out


@dataclass(slots=True)
class Counted:
    sights: dict[str, list[Sight]] = field(default_factory=dict)  # by vendor
    pools: dict[str, Pool] = field(default_factory=dict)  # by resource


def products(labels: Mapping[str, Any]) -> dict[str, tuple[str, int]]:
    """Model and memory of each vendor's cards, by the labels of a node; only of vendors that have some."""
    found = {}
    for vendor in BY_NAME.values():
        said = _label(labels, vendor.product)
        memory = memory_label(_label(labels, vendor.memory))
        if said or memory:
            card, is_part = _of_card(said)
            model, listed = recognised(vendor.name, (card,), card)
            is_part = is_part or bool(_label(labels, vendor.layout))  # the label may then be of a part's memory
            found[vendor.name] = (model if said else "", listed if is_part else memory or listed)
    return found


def counted(
    node_uid: str, node_name: str, labels: Mapping[str, Any], capacity: Mapping[str, Any],
    allocatable: Mapping[str, Any], problems: list[str],
) -> Counted:  # fmt: skip
    """Cards by vendor and pools by resource. What cannot be understood is left out and told in `problems`."""
    by_vendor: dict[str, dict[str, tuple[Token, int]]] = {}
    for resource, amount in capacity.items():
        kind = token(resource)
        if kind.role is Role.NOTHING:
            continue
        try:
            units = whole(amount)
        except ValueError as error:
            problems.append(f"{resource[:64]} is {error}")
            continue
        if units:
            by_vendor.setdefault(kind.vendor, {})[resource] = (kind, units)
    result = Counted()
    known = products(labels) if by_vendor else {}
    for name, tokens in by_vendor.items():
        counter = _Counter(node_uid, node_name, labels, name, tokens, known.get(name, ("", 0)), problems)
        counter.count(result)
    for pool in result.pools.values():
        pool.unhealthy = _unhealthy(pool, allocatable.get(pool.resource))
    return result


def _unhealthy(pool: Pool, allocatable: object) -> int:
    try:
        missing = pool.units - whole(allocatable)
    except ValueError:
        missing = pool.units
    return min(-(-max(missing, 0) // pool.per_device), len(pool.sights))


class _Counter:
    """The cards of one vendor on one node."""

    def __init__(
        self, node_uid: str, node_name: str, labels: Mapping[str, Any], vendor: str,
        tokens: Mapping[str, tuple[Token, int]], product: tuple[str, int], problems: list[str],
    ) -> None:  # fmt: skip
        self.uid, self.node, self.labels, self.problems = node_uid, node_name, labels, problems
        self.row = BY_NAME.get(vendor) or Vendor(vendor, (), "")
        self.tokens, self.product = tokens, product
        self.sights: list[Sight] = []

    def count(self, result: Counted) -> None:
        parts = self._parts(result)
        self._cards(result, parts)
        if not self.sights:
            self._amounts(result)
        self._rest(result)
        self._unknown(result)
        result.sights[self.row.name] = self.sights

    def _of(self, role: Role) -> dict[str, tuple[Token, int]]:
        return {name: given for name, given in self.tokens.items() if given[0].role is role}

    def _new(self, resource: str, position: int, model: str, memory: int, **more: Any) -> Sight:
        kind = resource.partition("/")[2]
        names = {t.format(node=self.node, index=position, kind=kind) for t in self.row.known_as}
        return Sight(
            self.row.name, model, f"{self.uid}/{resource}/{position}", memory, index=position, is_identified=False,
            is_serial=False, resource=resource, names=names, **more,
        )  # fmt: skip

    def _fits(self, resource: str, devices: int) -> bool:
        if devices <= _MOST_CARDS:
            return True
        self.problems.append(f"{resource} counts {devices} devices, which no server has")
        return False

    def _model(self, kind: Token) -> tuple[str, int]:
        """Model and memory of a card, by the name of its resource or else by the labels of the node."""
        if kind.model:
            model, listed = recognised(self.row.name, (kind.model,), "")
            if model == "unknown" or self.product[0] == model:  # the label says it more exactly than "Ascend910" does
                return self.product[0] or kind.model, self.product[1]
            return model, listed
        return self.product[0] or "unknown", self.product[1]

    # -- parts ---------------------------------------------------------------------------------------------------

    def _parts(self, result: Counted) -> set[str]:
        """Cards in hardware parts, and the parts. Returns the resources that these are."""
        given = self._of(Role.PART)
        for resource, (_, units) in self._of(Role.CARD).items():
            # MIG "single" and AMD's "single" naming call parts by the name of the card; only labels tell.
            as_part = self._part_by_label(resource)
            if as_part is not None:
                given[resource] = (as_part, units)
        by_model: dict[str, dict[str, tuple[Token, int]]] = {}
        for resource, (kind, units) in given.items():
            if kind.part is not None and kind.part.per_card == 1:
                continue  # a "part" that is the whole card
            by_model.setdefault(kind.model, {})[resource] = (kind, units)
        for kinds in by_model.values():
            self._divided(kinds, result)
        return {resource for kinds in by_model.values() for resource in kinds}

    def _part_by_label(self, resource: str) -> Token | None:
        said = _label(self.labels, (f"{resource}.product", *self.row.product))
        found = _MIG_PRODUCT.fullmatch(said.removesuffix("-SHARED"))
        if found:
            return token(f"{self.row.domains[0]}/mig-{found['size']}g.{found['gib']}gb")
        layout = _label(self.labels, self.row.layout)
        as_part = token(f"{self.row.domains[0]}/{layout}") if layout else None
        return as_part if as_part is not None and as_part.role is Role.PART else None

    def _divided(self, kinds: Mapping[str, tuple[Token, int]], result: Counted) -> None:
        first, _ = next(iter(kinds.values()))
        model, card_mib = self._model(first)
        wanted, replicas = [], {}
        for resource, (kind, units) in kinds.items():
            shares = self._replicas(resource)
            devices = -(-units // shares)
            if not self._fits(resource, devices):
                return
            replicas[resource] = shares
            memory = number(self.labels.get(f"{resource}.memory"), 1 << 34)
            wanted.append((piece(resource, kind, memory, card_mib), devices))
        cards = deal(wanted, card_mib, self._cards_in_parts(kinds))
        owner = min(kinds)
        pools = {
            resource: Pool(resource, self.row.name, [], replicas[resource], units)
            for resource, (_, units) in kinds.items()
        }
        for position, pieces in enumerate(cards):
            card = self._new(f"{owner}.card", position, model, card_mib, is_divided=True)
            card.names, card.resource = set(), ""
            self.sights.append(card)
            for made in pieces:
                shares, pool = replicas[made.resource], pools[made.resource]
                part = self._new(
                    made.resource, len(pool.sights), model, made.memory_mib, mode=PARTITIONED, parent=card.uuid,
                    step_milli=max(1000 // shares, 1), most_shares=shares if shares > 1 else 0,
                )  # fmt: skip
                part.index = None
                pool.sights.append(part)
        for pool in pools.values():
            self.sights += pool.sights
            result.pools[pool.resource] = pool

    def _cards_in_parts(self, kinds: Mapping[str, tuple[Token, int]]) -> int:
        """How many cards the labels say are there for these, if they say it: all cards less the undivided ones."""
        said = number(_label(self.labels, self.row.count), _MOST_CARDS)
        whole_cards = sum(units for name, (_, units) in self._of(Role.CARD).items() if name not in kinds)
        is_overridden = any(token(name).role is Role.CARD for name in kinds)  # the label then counts parts
        return 0 if is_overridden or not said else max(said - whole_cards, 0)

    # -- cards, whole or shared ----------------------------------------------------------------------------------

    def _cards(self, result: Counted, parts: set[str]) -> None:
        """Names of one kind are the same cards: the one that counts most of them is believed."""
        kinds: dict[tuple[str, str], list[tuple[int, str, Token]]] = {}
        whole_parts = {n: g for n, g in self._of(Role.PART).items() if g[0].part and g[0].part.per_card == 1}
        for resource, (kind, units) in {**self._of(Role.CARD), **whole_parts}.items():
            if resource not in parts:
                kinds.setdefault((kind.model, kind.kind), []).append((units, resource, kind))
        for same in kinds.values():
            units, resource, kind = max(same, key=lambda each: (each[0], each[1]))
            shares = self._replicas(resource)
            said = number(_label(self.labels, self.row.count), _MOST_CARDS)
            if shares == 1 and not parts and len(kinds) == 1 and 0 < said < units and units % said == 0:
                shares = units // said
            self._shared(resource, units, shares, kind, result)
            for _, other, _ in same:
                result.pools.setdefault(other, Pool(other, self.row.name, result.pools[resource].sights, shares, units))

    def _shared(self, resource: str, units: int, shares: int, kind: Token, result: Counted) -> None:
        cards = -(-units // shares)
        if units % shares:
            self.problems.append(f"{units} of {resource} cannot be {shares} for each card")
        pool = result.pools[resource] = Pool(resource, self.row.name, [], shares, units)
        if not self._fits(resource, cards):
            return
        model, memory = self._model(kind)
        step, most = (max(1000 // shares, 1), shares) if shares > 1 else (1000, 0)
        mode = SHARED if shares > 1 else kind.mode
        pool.sights += [
            self._new(resource, i, model, memory, mode=mode, step_milli=step, most_shares=most) for i in range(cards)
        ]
        self.sights += pool.sights

    def _replicas(self, resource: str) -> int:
        key = self.row.replicas.format(resource)
        return max(number(self.labels.get(key), 100_000), 1) if key else 1

    def _amounts(self, result: Counted) -> None:
        """Cards known only by their compute and memory taken together."""
        for resource, (kind, units) in self._of(Role.CORES).items():
            amount = kind.amount
            if amount is None or not self._fits(resource, cards := -(-units // amount.per_card)):
                continue
            model, memory = self._model(kind)
            _, steps = self.tokens.get(amount.memory, (None, 0))
            memory = steps * amount.memory_step_mib // cards or memory
            pool = Pool(resource, self.row.name, [], amount.per_card, units, is_amount=True)
            pool.sights += [
                self._new(resource, i, model, memory, mode=SLICED, step_milli=0, cores_of=amount.per_card)
                for i in range(cards)
            ]
            result.pools[resource] = pool
            self.sights += pool.sights

    def _rest(self, result: Counted) -> None:
        """Shares: of cards that are known already, or else of as many cards as something says there are."""
        for resource, (kind, units) in self._of(Role.SHARE).items():
            counting = self.tokens.get(kind.share.cards) if kind.share else None
            said = counting[1] if counting else number(_label(self.labels, self.row.count), _MOST_CARDS)
            mine = [sight for sight in self.sights if not sight.is_divided and not sight.parent]
            if mine:
                result.pools[resource] = Pool(resource, self.row.name, mine, max(-(-units // len(mine)), 1), units)
            elif said:
                self._shared(resource, units, max(-(-units // said), 1), kind, result)
            elif (shares := self._replicas(f"{self.row.domains[0]}/gpu")) > 1:
                self._shared(resource, units, shares, kind, result)
            else:
                self.problems.append(f"nothing says of how many cards {resource} are shares")
        for resource, (_, units) in self._of(Role.CORES).items():
            mine = [sight for sight in self.sights if not sight.is_divided and not sight.parent]
            if resource not in result.pools and mine:
                per = max(-(-units // len(mine)), 1)
                result.pools[resource] = Pool(resource, self.row.name, mine, per, units, is_amount=True)

    def _unknown(self, result: Counted) -> None:
        for resource, (kind, units) in self._of(Role.UNKNOWN).items():
            if units > MOST_UNKNOWN:
                self.problems.append(f"{units} of {resource} are too many to be cards")
                continue
            pool = result.pools[resource] = Pool(resource, self.row.name, [], 1, units)
            pool.sights += [self._new(resource, i, kind.model, 0) for i in range(units)]
            self.sights += pool.sights


def _of_card(product: str) -> tuple[str, bool]:
    """A product label without what it says of sharing, and whether it is of a part."""
    product = product.removesuffix("-SHARED")
    found = _MIG_PRODUCT.fullmatch(product)
    return (found["card"], True) if found else (product, False)


def _label(labels: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    for key in keys:
        if text := word(labels.get(key)):
            return text
    return ""
