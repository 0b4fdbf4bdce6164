"""Planners that live between two looks at a queue, so that a look reads what has changed and not the whole fleet.

A planner is a memory of rows and may be thrown away at any time. What it may have missed is found by transaction:
rows carry the one that last changed them (migration 0014), and whatever a look could not see was written by one that
was still open then, or by a later one. Every five minutes all is read anew all the same.
"""

import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from federation.models import Pool
from federation.placement.mix import Mix
from federation.placement.plan import Planner
from federation.placement.types import NodeFree, Placement
from federation.reconcile.loads import facts_of
from federation.reconcile.snapshot import fleet_of, mix_of

REREAD_SECONDS, RELEARN_SECONDS = 300.0, 5.0
_NOTHING = 1 << 62  # a transaction that never comes
_MOST_KEPT = 8  # pools; one of 100,000 nodes takes some hundred MiB
_kept: "OrderedDict[UUID, Desk]" = OrderedDict()


def of(pool: Pool, kept: Sequence[NodeFree] = ()) -> "Desk":
    """A desk whose planner knows what is free now. On the nodes `kept` that is as they say, for this look."""
    desk = _kept.pop(pool.pk, None)
    if desk is None or not desk.renew(pool) or not desk.keep(kept):
        desk = None  # the old one's memory goes before the new one comes
        desk = Desk(pool)
        desk.keep(kept)
    _kept[pool.pk] = desk
    while len(_kept) > _MOST_KEPT:
        _kept.popitem(last=False)
    return desk


def forget() -> None:
    """Let go of all desks."""
    _kept.clear()


class Desk:
    """The planner of one pool."""

    def __init__(self, pool: Pool) -> None:
        self._read_at = self._learned_at = time.monotonic()
        self._sight = _sight(pool, _NOTHING)
        fleet = fleet_of(pool)
        self._known = {node.id for node in fleet.nodes}
        self._planned: set[str] = set()
        self._mix = mix_of(pool)
        self.planner = Planner(fleet, pool.policy, mix=self._mix)

    def note(self, placement: Placement) -> None:
        """What was planned may come to nothing: its nodes are read again by the next look."""
        self._planned.update(member.node for member in placement.members)

    def keep(self, nodes: Sequence[NodeFree]) -> bool:
        """Go by these for what is free on some nodes; they are read again by the next look. False as of `renew`."""
        self._planned.update(node.id for node in nodes)
        return not nodes or self.planner.renew(nodes)

    def renew(self, pool: Pool) -> bool:
        """Bring the planner up to date. False when it has to be made anew."""
        now = time.monotonic()
        sight, was = _sight(pool, self._sight.mark), self._sight
        if now - self._read_at > REREAD_SECONDS or sight.facts != was.facts:
            return False
        # Another server has taken over, or rows came or were deleted.
        if sight.mark < was.mark or (sight.nodes, sight.devices) != (was.nodes, was.devices):
            return False
        changed = set(sight.changed)
        stale = (changed & self._known) | self._planned
        if len(stale) > max(len(self._known) // 2, 100):
            return False
        nodes: tuple[NodeFree, ...] = ()
        if new := changed - self._known:
            nodes = fleet_of(pool, [UUID(pk) for pk in new]).nodes  # of other pools, most of the time
        if nodes or (stale and not self._renew_nodes(pool, stale)):
            return False
        self._sight = sight
        self._planned.clear()
        if now - self._learned_at > RELEARN_SECONDS:
            self._learned_at = now
            self._learn(mix_of(pool))
            self.planner.heat(facts_of(pool))
        return True

    def _renew_nodes(self, pool: Pool, stale: set[str]) -> bool:
        nodes = fleet_of(pool, [UUID(pk) for pk in stale]).nodes
        return len(nodes) == len(stale) and self.planner.renew(nodes)

    def _learn(self, mix: Mix) -> None:
        if mix != self._mix:
            self._mix = mix
            self.planner.learn(mix)


class _Sight(NamedTuple):
    """What decides whether a planner still knows all."""

    mark: int  # no transaction before this one was open
    nodes: int
    devices: int
    changed: frozenset[str]  # nodes that changed in or after a mark, or of which a device did
    facts: str  # a sum of what planners take for fixed: clusters and their sites, and what models count as


_SIGHT = """
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, nodes.all, devices.all, nodes.some || devices.some,
  md5(concat(
    (SELECT string_agg(ROW(c.id, c.slug, c.state, c.driver, c.settings->'default_image', s.slug, s.region,
                           s.power_price_per_kwh, s.carbon_grams_per_kwh)::text, ' '
                       ORDER BY c.id)
       FROM federation_cluster c JOIN federation_site s ON s.id = c.site_id), '/',
    (SELECT string_agg(ROW(m.id, m.name, m.vendor, f.name)::text, ' ' ORDER BY m.id)
       FROM federation_acceleratormodel m JOIN portal_resourceflavor f ON f.id = m.flavor_id), '/',
    (SELECT string_agg(cluster_id::text, ' ' ORDER BY cluster_id)
       FROM federation_pool_clusters WHERE pool_id = %(pool)s)))
FROM (SELECT count(*) AS all, coalesce(array_agg(id::text) FILTER (WHERE changed_in >= %(mark)s), '{}') AS some
        FROM federation_node) nodes,
     (SELECT count(*) AS all, coalesce(array_agg(DISTINCT node_id::text) FILTER (WHERE changed_in >= %(mark)s), '{}')
        AS some FROM federation_accelerator) devices
"""


def _sight(pool: Pool, mark: int) -> _Sight:
    with connection.cursor() as cursor:
        cursor.execute(_SIGHT, {"pool": pool.pk, "mark": mark})
        found, nodes, devices, changed, facts = cursor.fetchone()
    return _Sight(found, nodes, devices, frozenset(changed), f"{facts} {pool.policy} {sorted(pool.model_names)}")
