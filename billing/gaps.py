"""Gaps in proof: work that was seen to run, whose site has fallen silent. Listed while they last, and kept.

Both statements may be repeated at any time.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

AFTER = timedelta(minutes=5)  # of silence; sites are looked at more often by far

# The site has said something since: a later proof, or how it ended. What of the gap was proven is billed.
_CLOSE = """
UPDATE billing_usagegap g SET end_at = CASE WHEN a.proof_at > g.start_at THEN a.proof_at ELSE %(now)s END,
  version = g.version + 1,
  proven_seconds = greatest(0, extract(epoch FROM date_trunc('second', coalesce(a.ended_at, a.proof_at)) - g.start_at))
FROM federation_allocation a
WHERE a.id = g.allocation_id AND g.end_at IS NULL
  AND (a.proof_at > g.start_at + interval '1 second' OR (a.ended_at IS NOT NULL AND a.state <> 'lost'))
"""
_OPEN = """
INSERT INTO billing_usagegap (id, version, allocation_id, workload_id, tenant_id, project_id, site, cluster, node,
  flavor, held_milli, start_at)
SELECT gen_random_uuid(), 1, a.id, a.workload_id, a.tenant_id, a.project_id, s.slug, c.slug, n.name, f.name,
  a.held_milli, date_trunc('second', coalesce(a.proof_at, a.started_at))
FROM federation_allocation a
JOIN federation_cluster c ON c.id = a.cluster_id
JOIN federation_site s ON s.id = c.site_id
JOIN federation_node n ON n.id = a.node_id
JOIN portal_resourceflavor f ON f.id = a.flavor_id
WHERE a.state <> 'released' AND a.started_at IS NOT NULL AND (a.ended_at IS NULL OR a.state = 'lost')
  AND coalesce(a.proof_at, a.started_at) < %(now)s - %(after)s
ON CONFLICT DO NOTHING
"""


def step(now: datetime | None = None) -> None:
    """Close gaps that are over, and open new ones."""
    values: Any = {"now": now or timezone.now(), "after": AFTER}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CLOSE, values)
        cursor.execute(_OPEN, values)
