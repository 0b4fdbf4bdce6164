"""Planners that live between two looks at a queue, so that a look reads what has changed and not the whole fleet.

A planner is a memory of rows and may be thrown away at any time. What it may have missed is found by transaction:
rows carry the one that last changed them (migration 0014), and whatever a look could not see was written by one that
was still open then, or by a later one. Once a minute all is read anew all the same.
"""

import time
from collections import OrderedDict
from typing import Any
from uuid import UUID

from django.db import connection

from federation.models import AcceleratorModel, Cluster, Pool
from federation.placement.mix import Mix
from federation.placement.plan import Planner
from federation.placement.types import NodeFree, Placement
from federation.reconcile.snapshot import fleet_of, mix_of

REREAD_SECONDS, RELEARN_SECONDS = 60.0, 5.0
_MOST_KEPT = 8  # pools; one of 100,000 nodes takes some hundred MiB
_kept: "OrderedDict[UUID, Desk]" = OrderedDict()


def of(pool: Pool) -> "Desk":
    """A desk whose planner knows what is free now."""
    desk = _kept.pop(pool.pk, None)
    if desk is None or not desk.renew(pool):
        desk = None  # the old one's memory goes before the new one comes
        desk = Desk(pool)
    _kept[pool.pk] = desk
    while len(_kept) > _MOST_KEPT:
        _kept.popitem(last=False)
    return desk


def cost_of(pool: Pool) -> float:
    """Seconds that the last look of this process at this queue took; 0 when it has not looked yet."""
    desk = _kept.get(pool.pk)
    return 0.0 if desk is None else desk.cost


def forget() -> None:
    """Let go of all desks."""
    _kept.clear()


class Desk:
    """The planner of one pool."""

    def __init__(self, pool: Pool) -> None:
        self.cost = 0.0
        self._read_at = self._learned_at = time.monotonic()
        self._facts = _facts(pool)
        self._mark = _oldest_open()
        self._counts = _changed_since(self._mark)[:2]
        fleet = fleet_of(pool)
        self._known = {node.id for node in fleet.nodes}
        self._planned: set[str] = set()
        self._mix = mix_of(pool)
        self.planner = Planner(fleet, pool.policy, mix=self._mix)

    def note(self, placement: Placement) -> None:
        """What was planned may come to nothing: its nodes are read again by the next look."""
        self._planned.update(member.node for member in placement.members)

    def renew(self, pool: Pool) -> bool:
        """Bring the planner up to date. False when it has to be made anew."""
        now = time.monotonic()
        if now - self._read_at > REREAD_SECONDS or _facts(pool) != self._facts:
            return False
        mark = _oldest_open()
        *counts, changed = _changed_since(self._mark)
        if mark < self._mark or tuple(counts) != self._counts:  # another server has taken over, or rows were deleted
            return False
        stale = (changed & self._known) | self._planned
        if len(stale) > max(len(self._known) // 2, 100):
            return False
        nodes: tuple[NodeFree, ...] = ()
        if new := changed - self._known:
            nodes = fleet_of(pool, [UUID(pk) for pk in new]).nodes  # of other pools, most of the time
        if nodes or (stale and not self._renew_nodes(pool, stale)):
            return False
        self._mark = mark
        self._planned.clear()
        if now - self._learned_at > RELEARN_SECONDS:
            self._learned_at = now
            self._learn(mix_of(pool))
        return True

    def _renew_nodes(self, pool: Pool, stale: set[str]) -> bool:
        nodes = fleet_of(pool, [UUID(pk) for pk in stale]).nodes
        return len(nodes) == len(stale) and self.planner.renew(nodes)

    def _learn(self, mix: Mix) -> None:
        if mix != self._mix:
            self._mix = mix
            self.planner.learn(mix)


def _facts(pool: Pool) -> tuple[Any, ...]:
    """What a planner takes for fixed: how the pool is set, its clusters and their sites, what models count as."""
    clusters = Cluster.objects.order_by("pk")
    if chosen := list(pool.clusters.values_list("pk", flat=True)):
        clusters = clusters.filter(pk__in=chosen)
    places = clusters.values_list(
        "pk", "slug", "state", "site__slug", "site__power_price_per_kwh", "site__carbon_grams_per_kwh"
    )
    models = AcceleratorModel.objects.order_by("pk").values_list("pk", "name", "vendor", "flavor__name")
    return pool.policy, tuple(pool.model_names), tuple(places), tuple(models)


def _oldest_open() -> int:
    """No transaction before this one is still open."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        (found,) = cursor.fetchone()
    return int(found)


def _changed_since(mark: int) -> tuple[int, int, set[str]]:
    """How many nodes and devices there are, and the nodes that changed, or of which a device did."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(*), coalesce(array_agg(id::text) FILTER (WHERE changed_in >= %(mark)s), '{}')
                 FROM federation_node
               UNION ALL
               SELECT count(*), coalesce(array_agg(DISTINCT node_id::text) FILTER (WHERE changed_in >= %(mark)s), '{}')
                 FROM federation_accelerator""",
            {"mark": mark},
        )
        (nodes, some), (devices, others) = cursor.fetchall()
    return nodes, devices, {*some, *others}
