"""Who had how much of whose unused promise: over-quota use against the guaranteed use that others left.

By hour and flavor. What a tenant was promised of a flavor (as it is now), less what its guaranteed use took of it in
that hour, is what it left. Over-quota use has of its own tenant's first, where one project went beyond its share while
another left some; then of all that others left, in proportion to what they left and to what each went beyond
(`rating.spreading.lend`). What nobody had left was promised to nobody. Quotas hold over all sites together; over-quota
use is told apart by its site. Over all lenders it adds up to the over-quota use, to the milli-second.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from django.db import connection

from billing.rating.spreading import lend
from billing.showback.promises import promised

SECONDS = 3600  # that a promise is for, of an hour


@dataclass(frozen=True, slots=True)
class Loan:
    """No lender: nobody had promised it. The same as the borrower: another project of its own."""

    flavor: str
    site: str
    borrower: UUID
    lender: UUID | None
    milli_seconds: int


# Of hours and flavors in which somebody went beyond what is promised, all that was used.
_USED = """
WITH beyond AS (
  SELECT DISTINCT date_trunc('hour', start_at, 'UTC') AS hour, flavor_id FROM billing_usagerecord
  WHERE service_class = 'over-quota' AND start_at >= %(start)s AND start_at < %(end)s
)
SELECT hour, u.flavor_id, u.tenant_id, CASE WHEN service_class = 'over-quota' THEN site END AS place,
       max(u.flavor), sum(milli_seconds)
FROM billing_usagerecord u
JOIN beyond b ON b.hour = date_trunc('hour', u.start_at, 'UTC') AND b.flavor_id = u.flavor_id
WHERE u.start_at >= %(start)s AND u.start_at < %(end)s AND u.service_class IN ('over-quota', 'guaranteed')
GROUP BY hour, u.flavor_id, u.tenant_id, place
ORDER BY hour, u.flavor_id, u.tenant_id, place
"""


def loans(start: datetime, end: datetime) -> list[Loan]:
    """Added up over the hours; of the whole estate, and who asks is shown no more than is theirs."""
    names: dict[UUID, str] = {}
    beyond: dict[tuple[datetime, UUID], dict[tuple[UUID, str], int]] = defaultdict(dict)
    within: dict[tuple[datetime, UUID], dict[UUID, int]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(_USED, {"start": start.astimezone(UTC), "end": end.astimezone(UTC)})
        for hour, flavor, tenant, site, name, amount in cursor.fetchall():
            names[flavor] = name
            if site is None:
                within[hour, flavor][tenant] = int(amount)
            elif amount > 0:
                beyond[hour, flavor][tenant, site] = int(amount)
    promises: dict[UUID, dict[UUID, int]] = defaultdict(dict)
    for (flavor, tenant), milli in sorted(promised(names).items(), key=str):
        promises[flavor][tenant] = milli
    found: dict[tuple[str, str, UUID, UUID | None], int] = defaultdict(int)
    for (hour, flavor), asked in beyond.items():
        left = {
            tenant: max(0, milli * SECONDS - within[hour, flavor].get(tenant, 0))
            for tenant, milli in promises[flavor].items()
        }
        for (tenant, site), lender, amount in _lent(asked, left):
            found[names[flavor], site, tenant, lender] += amount
    return [Loan(*key, amount) for key, amount in sorted(found.items(), key=lambda item: str(item[0]))]


def _lent(
    asked: dict[tuple[UUID, str], int], left: dict[UUID, int]
) -> Iterable[tuple[tuple[UUID, str], UUID | None, int]]:
    """Of one hour and flavor. What a tenant left it has itself first, so afterwards nobody borrows of its own."""
    still: dict[tuple[UUID, str], int] = {}
    for who, amount in asked.items():
        own = min(amount, left.get(who[0], 0))
        if own:
            left[who[0]] -= own
            yield who, who[0], own
        still[who] = amount - own
    parts = lend(list(still.values()), list(left.values()))
    for (who, amount), row in zip(still.items(), parts, strict=True):
        for lender, part in zip(left, row, strict=True):
            if part:
                yield who, lender, part
        if amount > sum(row):
            yield who, None, amount - sum(row)
