"""From live figures to what each piece of work drew: watts times the time between two figures, hour by hour."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from federation.models import Cluster

EVERY_SECONDS = 20  # sums grow so often at most: figures come every 5 s, and each step writes a row for each allocation
GAP_SECONDS = 300  # over longer silence nothing is known

# An allocation draws what its devices do, as far as it holds them; parts of a card have their share of the card's by
# memory. It is known when all its devices say. What a whole lease is said to draw goes before what its cards do. A step
# is the mean of two figures times what lies between them, cut at the hour, and begins where the last one ended: figures
# that come twice add nothing. Where work began later than the figure before, the step begins with the work.
_ADD = """
WITH device AS (
  SELECT * FROM unnest(%(devices)s::uuid[], %(device_watts)s::float8[]) AS d (id, watts)
), whole AS (
  SELECT * FROM unnest(%(refs)s::uuid[], %(ref_watts)s::float8[]) AS w (id, watts)
), drawn AS (
  SELECT a.id, least(coalesce(w.watts, parts.watts), 1e6) AS watts, a.started_at
  FROM federation_allocation a
  LEFT JOIN whole w ON w.id = a.id
  LEFT JOIN LATERAL (
    SELECT sum(h.milli / 1000.0 * coalesce(d.watts, p.watts * c.memory_mib / nullif(pc.memory_mib, 0))) AS watts,
           bool_and(coalesce(d.watts, p.watts) IS NOT NULL) AS is_known
    FROM federation_share h
    JOIN federation_accelerator c ON c.id = h.accelerator_id
    LEFT JOIN device d ON d.id = h.accelerator_id
    LEFT JOIN device p ON p.id = c.parent_id
    LEFT JOIN federation_accelerator pc ON pc.id = c.parent_id
    WHERE h.allocation_id = a.id
  ) parts ON parts.is_known
  WHERE a.cluster_id = %(cluster)s AND a.state = 'active' AND a.started_at IS NOT NULL
    AND coalesce(w.watts, parts.watts) >= 0
), step AS (
  SELECT d.id, d.watts, greatest(last.last_at, d.started_at) AS since, (d.watts + last.last_watts) / 2 AS mean,
         last.last_at IS NOT NULL AND last.last_at >= %(at)s - interval '1 second' * %(gap)s AS is_known
  FROM drawn d
  LEFT JOIN LATERAL (
    SELECT last_at, last_watts FROM federation_energyhour e WHERE e.allocation_id = d.id ORDER BY hour DESC LIMIT 1
  ) last ON true
  WHERE last.last_at IS NULL OR last.last_at <= %(at)s - interval '1 second' * %(every)s
), piece AS (
  SELECT s.id, hour, s.watts, s.mean,
         extract(epoch FROM least(%(at)s, hour + interval '1 hour') - greatest(s.since, hour)) AS seconds
  FROM step s, generate_series(date_trunc('hour', s.since, 'UTC'), %(at)s, interval '1 hour') AS hour
  WHERE s.is_known AND s.since < %(at)s
  UNION ALL
  SELECT id, date_trunc('hour', %(at)s, 'UTC'), watts, 0, 0 FROM step
)
INSERT INTO federation_energyhour AS e (allocation_id, hour, millijoules, milliseconds, last_at, last_watts)
SELECT id, hour, round(sum(1000 * mean * seconds)), round(sum(1000 * seconds)), %(at)s, max(watts)
FROM piece GROUP BY id, hour ORDER BY id, hour
ON CONFLICT (allocation_id, hour) DO UPDATE SET
  millijoules = e.millijoules + excluded.millijoules,
  milliseconds = least(e.milliseconds + excluded.milliseconds, 3600000),
  last_at = excluded.last_at, last_watts = excluded.last_watts
WHERE e.last_at < excluded.last_at
"""


def add(
    cursor: Any, cluster: Cluster, devices: Mapping[UUID, float], whole: Mapping[str, float], *, at: datetime
) -> None:
    """Add what was drawn since the last figures. `devices`: watts by accelerator; `whole`: by allocation.

    To be called in the transaction that stores the figures: what is lost of one is lost of the other.
    """
    if not devices and not whole:
        return
    refs = {UUID(ref): watts for ref, watts in whole.items() if _is_uuid(ref)}
    cursor.execute(
        _ADD,
        {
            "devices": list(devices), "device_watts": list(devices.values()),
            "refs": list(refs), "ref_watts": list(refs.values()),
            "cluster": cluster.pk, "at": at, "every": EVERY_SECONDS, "gap": GAP_SECONDS,
        },
    )  # fmt: skip


def _is_uuid(ref: str) -> bool:
    """A site may tell of work that is not ours."""
    try:
        UUID(ref)
    except ValueError:
        return False
    return True
