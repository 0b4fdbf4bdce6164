"""One physical card that is seen in two places is one card, by its UUID: counted and handed out at one of them.

A card that a host passes through to a virtual machine is shown by the host and, if that machine is a Kubernetes node
of ours, by Kubernetes as well. The innermost place is where it can be handed out.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db import connection

from federation.models import Accelerator, ClusterKind
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
class _Part:
    pk: UUID
    counted_at: UUID | None


@dataclass(slots=True)
class _Card:
    pk: UUID
    counted_at: UUID | None
    can_count: bool
    depth: int
    is_held: bool
    created_at: datetime
    parts: list[_Part] = field(default_factory=list)

    @property
    def rank(self) -> tuple[int, bool, datetime, UUID]:
        """The least one is where the card counts: innermost, then where it is held, then the oldest."""
        return self.depth, not self.is_held, self.created_at, self.pk


def lock(uuids: Collection[str]) -> list[UUID]:
    """Let nobody else decide about cards until the transaction ends. The rows of these cards and of their parts.

    Taken before nodes and devices are locked: whoever has it may go on to those, and nobody who has those asks for it.
    """
    if not uuids:
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('federation.twins', 0))")
    cards = list(
        Accelerator.objects.filter(bulk.among("uuid", uuids, "text"), parent=None).values_list("pk", flat=True)
    )
    # Parts by the ids of their cards: for a join Postgres would read all devices of all clusters.
    return [*cards, *Accelerator.objects.filter(bulk.among("parent_id", cards)).values_list("pk", flat=True)]


def settle(uuids: Collection[str]) -> bool:
    """Decide anew where these cards count; their parts follow them. After `lock`. True when anything changed."""
    moved: dict[UUID | None, list[UUID]] = defaultdict(list)
    for cards in _cards(uuids).values():
        home = min((card for card in cards if card.can_count), key=lambda card: card.rank, default=None)
        for card in cards:
            at = home.pk if home is not None and card.can_count and card.pk != home.pk else None
            if card.counted_at != at:
                moved[at].append(card.pk)
            moved[at].extend(part.pk for part in card.parts if part.counted_at != at)
    touched = [pk for rows in moved.values() for pk in rows]
    if touched:  # in id order, as a grant locks
        list(
            Accelerator.objects.filter(bulk.among("pk", touched))
            .order_by("pk")
            .select_for_update(no_key=True)
            .values_list("pk")
        )
    for at, rows in moved.items():
        Accelerator.objects.filter(bulk.among("pk", rows)).update(counted_at=at)
    return bool(touched)


def _cards(uuids: Collection[str]) -> dict[str, list[_Card]]:
    """Every row of these cards, with its parts."""
    by_uuid: dict[str, list[_Card]] = defaultdict(list)
    by_pk: dict[UUID, _Card] = {}
    if not uuids:
        return by_uuid
    rows: Iterable[tuple[UUID, str, UUID | None, bool, bool, str, str, int, datetime]] = Accelerator.objects.filter(
        bulk.among("uuid", uuids, "text"), parent=None
    ).values_list(
        "pk", "uuid", "counted_at_id", "is_present", "is_identified", "node__cluster__kind", "node__cluster__state",
        "held_milli", "created_at",
    )  # fmt: skip
    for pk, uuid, counted_at, is_present, is_identified, kind, state, held, created_at in rows:
        can_count = is_present and is_identified and state != ClusterState.RETIRED
        by_pk[pk] = _Card(pk, counted_at, can_count, _DEPTH.get(kind, len(_DEPTH)), held > 0, created_at)
        by_uuid[uuid].append(by_pk[pk])
    parts = Accelerator.objects.filter(bulk.among("parent_id", by_pk)).values_list(
        "pk", "parent_id", "counted_at_id", "held_milli"
    )
    for pk, parent, counted_at, held in parts:
        if (card := by_pk.get(parent)) is not None:
            card.parts.append(_Part(pk, counted_at))
            card.is_held |= held > 0
    return by_uuid
