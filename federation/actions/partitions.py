"""Cards cut into parts by the hardware (MIG): asked for by an operator, carried out by the agent of the machine."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from federation.models import Accelerator, Agent, CardLayout, Cluster, LayoutState
from portal import audit
from portal.audit import Actor
from portal.errors import Conflict, Invalid

MOST_SLICES = 7  # of compute, on every card that NVIDIA has made so far


def possible(card: Accelerator) -> dict[str, int]:
    """What the card can be cut into, so many of each at most, as the agent of its machine says. Nothing: it cannot."""
    agent = Agent.objects.filter(cluster_id=card.node.cluster_id, revoked_at=None).only("inventory").first()
    devices = (agent.inventory or {}).get("devices") or [] if agent is not None else []
    return next((dict(d.get("profiles") or {}) for d in devices if d.get("uuid") == card.uuid), {})


@transaction.atomic
def cut(*, by: Actor, card: Accelerator, profiles: Mapping[str, int]) -> CardLayout:
    """Want these parts of it, or none: the whole card. Not while anybody has any of it."""
    offered = possible(card)
    if card.parent_id is not None:
        raise Invalid.field("profiles", "This is a part of a card. Ask for the card itself.", "is-a-part")
    if not offered:
        raise Invalid.field("profiles", "This card does not say that it can be cut into parts.", "not-partitionable")
    wanted = {name: count for name, count in sorted(profiles.items()) if count}
    _check(wanted, offered)
    # Parts and card in id order, as grants lock them.
    rows = Accelerator.objects.filter(pk=card.pk) | Accelerator.objects.filter(parent_id=card.pk)
    if any(row.held_milli or row.held_shares for row in rows.order_by("pk").select_for_update(of=("self",))):
        raise Conflict("Work is on this card, or on a part of it. Wait for it to end, or drain the node.")
    layout, is_new = CardLayout.objects.select_for_update().get_or_create(accelerator=card, defaults={"wanted": wanted})
    if not is_new:
        layout.wanted, layout.generation = wanted, layout.generation + 1
        layout.state, layout.reason, layout.message = LayoutState.WAITING, "", ""
        CardLayout.objects.filter(pk=layout.pk).update(
            wanted=wanted,
            generation=layout.generation,
            wanted_at=Now(),
            state=LayoutState.WAITING,
            reason="",
            message="",
        )
    audit.record(by=by, what="accelerator.partition", target=card, detail={"profiles": wanted})
    return layout


def _check(wanted: Mapping[str, int], offered: Mapping[str, int]) -> None:
    for name, count in wanted.items():
        if name not in offered:
            known = ", ".join(sorted(offered))
            raise Invalid.field("profiles", f"This card has no {name}; it has {known}.", "unknown-profile")
        if count > offered[name]:
            raise Invalid.field("profiles", f"This card has room for {offered[name]} of {name}.", "too-many")
    slices = sum(_slices(name) * count for name, count in wanted.items())
    if slices > MOST_SLICES:
        raise Invalid.field(
            "profiles", f"These parts need {slices} slices of compute; a card has {MOST_SLICES}.", "too-many"
        )


def _slices(profile: str) -> int:
    head = profile.partition("g.")[0]
    return int(head) if head.isdigit() else 0


# What an agent is told, and what it says


def wishes(cluster: Cluster) -> dict[str, Any]:
    """By the card's uuid; those of cards that are gone wait for them."""
    rows = CardLayout.objects.filter(accelerator__node__cluster=cluster, accelerator__is_present=True)
    told = rows.values_list("accelerator__uuid", "wanted", "generation")
    return {uuid: {"profiles": wanted, "generation": generation} for uuid, wanted, generation in told}


def take(cluster: Cluster, reports: list[dict[str, Any]]) -> None:
    """Write down what became of wishes; of those that are still wished."""
    said = {str(report["uuid"]): report for report in reports}
    if not said:
        return
    for layout in CardLayout.objects.filter(
        accelerator__node__cluster=cluster, accelerator__uuid__in=said
    ).select_related("accelerator"):
        report = said[layout.accelerator.uuid]
        now = {name: str(report.get(name) or "") for name in ("state", "reason", "message")}
        if report["generation"] == layout.generation and now != {name: getattr(layout, name) for name in now}:
            CardLayout.objects.filter(pk=layout.pk, generation=layout.generation).update(**now)
