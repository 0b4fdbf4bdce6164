"""What runs will still be billed beyond what is counted: seconds that are not metered yet, and the least of a price.

As much of a reservation is kept for them when their work begins anew, or has ended.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from decimal import Decimal
from uuid import UUID

from django.db import connection

from billing.actions import settling
from billing.models import BudgetHold, UsageRecord
from billing.rating.estimates import billed_seconds, worst_case
from federation.models import Allocation

# A charge for what is billed beyond what ran counts with its reversal.
_RUNS = """
SELECT a.workload_id, a.attempt, a.state = 'released', a.held_milli,
       ceil(extract(epoch FROM coalesce(a.ended_at, a.proof_at, a.started_at) - a.started_at))::bigint,
       coalesce((SELECT sum(milli_seconds) FROM billing_usagerecord WHERE allocation_id = a.id), 0)::bigint
     + coalesce((SELECT sum(milli_seconds) FROM billing_charge WHERE allocation_id = a.id AND is_minimum), 0)::bigint
FROM federation_allocation a
WHERE a.workload_id = ANY(%s) AND a.started_at IS NOT NULL
"""


def seconds(workloads: Collection[UUID]) -> dict[UUID, int | None]:
    """Of each that has run: the most seconds that it is still to be billed. None: one of its runs is not over."""
    if not workloads:
        return {}
    windows = settling.with_least().values()
    by_attempt: dict[tuple[UUID, int], int] = defaultdict(int)
    going: set[UUID] = set()
    with connection.cursor() as cursor:
        cursor.execute(_RUNS, [list(workloads)])
        for workload, attempt, is_over, held, ran, counted in cursor.fetchall():
            if not is_over:
                going.add(workload)
            rest = max(billed_seconds(ran, windows) - counted // held, 0)
            by_attempt[workload, attempt] = max(by_attempt[workload, attempt], rest)  # its members ran side by side
    found: dict[UUID, int | None] = defaultdict(int)
    for (workload, _), rest in by_attempt.items():
        found[workload] = None if workload in going else (found[workload] or 0) + rest
    return dict(found)


def cost(hold: BudgetHold, behind: Mapping[UUID, int | None]) -> Decimal:
    """What that comes to at worst: never more than what is left of the reservation."""
    rest = behind.get(hold.workload_id, 0)
    return hold.left if rest is None else min(hold.left, worst_case(hold.rate, rest))


def beyond(tenant_id: UUID, ended: Collection[UUID]) -> dict[UUID, int | None]:
    """`seconds` of work whose runs are over and metered, but not billed what a price asks for at least."""
    least = settling.with_least()
    if not least or not ended:
        return {}
    waiting = set(
        UsageRecord.objects.filter(workload_id__in=ended, charged_in=None).values_list("workload_id", flat=True)
    )
    charged = Allocation.objects.filter(workload_id__in=[pk for pk in ended if pk not in waiting])
    old, new = settling.minimums(tenant_id, least, set(charged.values_list("pk", flat=True)))
    waiting |= {charge.workload_id for charge in (*old, *new) if charge.workload_id is not None}
    return seconds(waiting)
