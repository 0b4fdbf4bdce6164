"""One physical card that is seen in several places is one card: counted and handed out at one of them.

A card that a host passes through to a virtual machine is shown by the host and, if that machine is a node of ours, by
that as well. It is known again by its UUID; else by its serial; else by where the host says that it passed it
(`passed_from`, see reconcile/nesting.py). The innermost place is where it can be handed out.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from federation.drivers.identities import is_of_the_chip
from federation.models import Accelerator, AcceleratorModel, Cluster, ClusterKind, Node
from federation.states import ClusterState
from portal import bulk

# What lies inside comes first: a scheduler of containers or jobs, a cloud, a server, the host of virtual machines.
INNERMOST_FIRST = (
    ClusterKind.KUBERNETES,
    ClusterKind.SLURM,
    ClusterKind.DOCKER,
    ClusterKind.OPENSTACK,
    ClusterKind.VMWARE,
    ClusterKind.BAREMETAL,
    ClusterKind.KVM,
)
_DEPTH = {kind.value: depth for depth, kind in enumerate(INNERMOST_FIRST)}


@dataclass(slots=True)
class Named:
    """Cards, by what they are known by. A look may find them in the rows before they are written, or after."""

    uuids: set[str] = field(default_factory=set)
    serials: set[str] = field(default_factory=set)
    ids: set[UUID] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.uuids or self.serials or self.ids)


@dataclass(slots=True)
class _Part:
    pk: UUID
    counted_at: UUID | None


@dataclass(slots=True)
class _Card:
    pk: UUID
    node: UUID
    cluster: UUID
    uuid: str
    serial: tuple[str, str]
    passed_from: UUID | None
    counted_at: UUID | None
    is_there: bool
    is_identified: bool
    depth: int
    kind: int
    is_held: bool
    created_at: datetime
    parts: list[_Part] = field(default_factory=list)

    @property
    def rank(self) -> tuple[int, int, bool, datetime, UUID]:
        """The least one is where the card counts: inside of most hosts, then by what kind of site it is, then where it
        is held, then the oldest."""
        return -self.depth, self.kind, not self.is_held, self.created_at, self.pk


def lock() -> None:
    """Let nobody else decide about cards and hosts until the transaction ends.

    Taken before nodes and devices are locked: whoever has it may go on to those, and nobody who has those asks for it.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('federation.twins', 0))")


def rows(named: Named) -> list[UUID]:
    """All that `settle` may write: these cards, those they are one with, and their parts."""
    return [pk for card in _cards(named) for pk in (card.pk, *(part.pk for part in card.parts))]


def settle(named: Named) -> set[UUID]:
    """Decide anew where these cards count; their parts follow them. After `lock`. The clusters of what changed."""
    moved: dict[UUID, UUID | None] = {}
    clusters: set[UUID] = set()
    for cards in _groups(_cards(named)):
        home = min((card for card in cards if card.is_there), key=lambda card: card.rank, default=None)
        for card in cards:
            at = home.pk if home is not None and card.is_there and card.pk != home.pk else None
            wrong = [part.pk for part in card.parts if part.counted_at != at]
            if card.counted_at != at:
                wrong.append(card.pk)
            if wrong:
                moved |= dict.fromkeys(wrong, at)
                clusters.add(card.cluster)
    if moved:  # in id order, as a grant locks
        list(
            Accelerator.objects.filter(bulk.among("pk", moved))
            .order_by("pk")
            .select_for_update(no_key=True)
            .values_list("pk")
        )
        bulk.update(Accelerator, ("counted_at_id",), moved.items())
    return clusters


def _groups(cards: Collection[_Card]) -> Iterable[list[_Card]]:
    """Of each physical card, all its rows. A node shows a card once: what makes two cards of one node the same is
    mistaken, and then only UUIDs count."""
    serials = _telling(card for card in cards if card.is_there)
    for one in _joined(cards, lambda card: [*_by_uuid(card), *_by_serial(card, serials), *_by_passing(card)]):
        shown = Counter(card.node for card in one if card.is_there)
        if len(one) > 1 and max(shown.values(), default=0) > 1:
            yield from _joined(one, _by_uuid)
        else:
            yield one


def _joined(cards: Collection[_Card], names_of: Callable[[_Card], list[Hashable]]) -> Iterable[list[_Card]]:
    """Those that share a name, or share one with another that does."""
    groups: dict[Hashable, list[_Card]] = {}
    for card in cards:
        names = names_of(card)
        joined = [card]
        for group in {id(group): group for name in names if (group := groups.get(name))}.values():
            joined += group
        for each in joined:
            for name in names_of(each):
                groups[name] = joined
    return list({id(group): group for group in groups.values()}.values())


def _by_uuid(card: _Card) -> list[Hashable]:
    return [card.pk, card.uuid] if card.is_there and card.is_identified else [card.pk]


def _by_serial(card: _Card, telling: Collection[tuple[str, str]]) -> list[Hashable]:
    return [card.serial] if card.is_there and card.serial in telling else []


def _by_passing(card: _Card) -> list[Hashable]:
    return [card.passed_from] if card.is_there and card.passed_from is not None else []


def _telling(cards: Iterable[_Card]) -> set[tuple[str, str]]:
    """Vendor and serial, of those that are of one card. Not that of a board with two chips, nor a word of the maker's
    that stands on many: one node shows it twice, or it is of cards that have UUIDs of their own."""
    shown: dict[tuple[str, str], list[_Card]] = defaultdict(list)
    for card in cards:
        if card.serial[1]:
            shown[card.serial].append(card)
    return {
        serial
        for serial, some in shown.items()
        if len({card.node for card in some}) == len(some)
        and len({card.uuid for card in some if card.is_identified and is_of_the_chip(card.uuid)}) <= 1
    }


class _Row(NamedTuple):
    """Of a card as it is stored, in the order of _COLUMNS."""

    pk: UUID
    node: UUID
    model: UUID
    uuid: str
    serial: str
    passed_from: UUID | None
    passed_to: str
    counted_at: UUID | None
    is_present: bool
    is_identified: bool
    held_milli: int
    created_at: datetime


_COLUMNS = ("pk", "node_id", "model_id", "uuid", "serial", "passed_from_id", "passed_to", "counted_at_id", "is_present",
            "is_identified", "held_milli", "created_at")  # fmt: skip


def _cards(named: Named) -> list[_Card]:
    """Every row of these cards, of all that they lead to, and on; with their parts."""
    found: dict[UUID, _Row] = {}
    wanted, asked = Named({*named.uuids}, {*named.serials}, {*named.ids}), Named()
    passing: set[UUID] = set()  # cards of hosts that a guest's may point to
    while wanted or passing:
        asked.uuids |= wanted.uuids
        asked.serials |= wanted.serials
        asked.ids |= wanted.ids
        new = {row.pk: row for row in _read(wanted, passing) if row.pk not in found}
        found |= new
        passing = {row.pk for row in new.values() if row.passed_to}
        wanted = Named(
            {row.uuid for row in new.values() if row.is_present and row.is_identified} - asked.uuids,
            {row.serial for row in new.values() if row.serial} - asked.serials,
            {pk for row in new.values() for pk in (row.passed_from, row.counted_at) if pk is not None}
            - asked.ids.union(found),
        )
    cards = _placed(found)
    # Parts by the ids of their cards: for a join Postgres would read all devices of all clusters.
    parts = Accelerator.objects.filter(bulk.among("parent_id", found)) if found else Accelerator.objects.none()
    for pk, parent, counted_at, held in parts.values_list("pk", "parent_id", "counted_at_id", "held_milli"):
        if (home := cards.get(parent)) is not None:
            home.parts.append(_Part(pk, counted_at))
            home.is_held |= held > 0
    return [*cards.values()]


def _read(wanted: Named, passing: Collection[UUID]) -> Iterable[_Row]:
    """A statement for each way to know a card, so that each has its index; without joins, as for parts."""
    cards = Accelerator.objects.filter(parent=None)
    asked = []
    if wanted.uuids:
        asked.append(cards.filter(bulk.among("uuid", wanted.uuids, "text")))
    if wanted.ids:
        asked.append(cards.filter(bulk.among("pk", wanted.ids)))
    if wanted.serials:
        asked.append(cards.exclude(serial="").filter(bulk.among("serial", wanted.serials, "text")))
    if passing:
        asked.append(cards.filter(passed_from__isnull=False).filter(bulk.among("passed_from_id", passing)))
    return [_Row(*values) for rows in asked for values in rows.values_list(*_COLUMNS)]


def _placed(found: Mapping[UUID, _Row]) -> dict[UUID, _Card]:
    """With what their nodes, clusters and models say."""
    if not found:
        return {}
    clusters = {pk: (kind, state) for pk, kind, state in Cluster.objects.values_list("pk", "kind", "state")}
    nodes = Node.objects.filter(bulk.among("pk", {row.node for row in found.values()}))
    places = {pk: (cluster, depth) for pk, cluster, depth in nodes.values_list("pk", "cluster_id", "depth")}
    has_serials = any(row.serial for row in found.values())
    vendors = dict(AcceleratorModel.objects.values_list("pk", "vendor")) if has_serials else {}
    cards = {}
    for row in found.values():
        cluster, depth = places[row.node]
        kind, state = clusters[cluster]
        cards[row.pk] = _Card(
            row.pk, row.node, cluster, row.uuid, (vendors.get(row.model, ""), row.serial), row.passed_from,
            row.counted_at, row.is_present and state != ClusterState.RETIRED, row.is_identified, depth,
            _DEPTH.get(kind, len(_DEPTH)), row.held_milli > 0, row.created_at,
        )  # fmt: skip
    return cards
