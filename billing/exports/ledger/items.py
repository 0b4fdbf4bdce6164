"""For people and their own tools: line items, and card-hours (卡时) by tenant, project, user, model and site."""

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection

from billing.exports.focus.columns import Column, Dataset, Row
from billing.exports.focus.columns import Kind as K
from billing.exports.focus.columns import Level as L
from billing.exports.ledger.query import Asked, Whole
from billing.policy import policy
from billing.rating import ZERO


def _columns(**kinds: K) -> tuple[Column, ...]:
    return tuple(Column(name, kind, L.OURS, True, name) for name, kind in kinds.items())


LINE_ITEMS = Dataset(
    "LineItems",
    "1",
    _columns(
        line=K.TEXT, category=K.TEXT, tenant=K.TEXT, project=K.TEXT, user=K.TEXT, site=K.TEXT, sku=K.TEXT,
        workload=K.TEXT, start=K.TIME, end=K.TIME, quantity=K.DECIMAL, unit=K.TEXT, unit_price=K.DECIMAL,
        list_cost=K.DECIMAL, cost=K.DECIMAL, effective_cost=K.DECIMAL, currency=K.TEXT, invoice=K.TEXT,
        corrects=K.TEXT, description=K.TEXT,
    ),
)  # fmt: skip
CARD_HOURS = Dataset(
    "CardHours",
    "1",
    _columns(
        day=K.TEXT, tenant=K.TEXT, project=K.TEXT, user=K.TEXT, site=K.TEXT, model=K.TEXT, jobs=K.DECIMAL,
        card_seconds=K.DECIMAL, card_hours=K.DECIMAL, list_cost=K.DECIMAL, cost=K.DECIMAL, effective_cost=K.DECIMAL,
        currency=K.TEXT,
    ),
)  # fmt: skip


def line_item(row: Asked) -> Row:
    def times(value: Decimal | None) -> Decimal | None:
        return None if value is None else row.sign * value

    return {
        "line": row.line_id, "category": row.category, "tenant": row.tenant, "project": row.project or None,
        "user": row.user or None, "site": row.site or None, "sku": row.sku or None, "workload": row.workload or None,
        "start": row.period_start, "end": row.period_end, "quantity": times(row.quantity), "unit": row.unit or None,
        "unit_price": row.contracted_unit_price, "list_cost": times(row.list_cost), "cost": times(row.billed_cost),
        "effective_cost": times(row.effective_cost), "currency": row.currency, "invoice": row.invoice,
        "corrects": row.corrects, "description": row.description or None,
    }  # fmt: skip


# What was reversed counts with its reversal: sums are what is held to be true.
_HOURS = """
SELECT max(c.tenant), max(c.project), c."user", c.site, c.model, count(DISTINCT c.workload_id) AS jobs,
       sum(c.milli_seconds), sum(c.quantity), sum(c.list_cost), sum(c.billed_cost), sum(c.effective_cost), c.currency
FROM billing_charge c JOIN billing_ledgertransaction t ON t.id = c.transaction_id AND t.seq <= %(seq)s
WHERE c.billing_period_start = %(start)s AND c.category = 'usage' AND c.meter = 'accelerator'
  AND c.unit = 'Accelerator-Hours' AND (%(tenant)s::uuid IS NULL OR c.tenant_id = %(tenant)s)
  AND c.period_start >= %(from)s AND c.period_start < %(until)s
GROUP BY c.tenant_id, c.project_id, c."user", c.site, c.model, c.currency
HAVING sum(c.quantity) <> 0 OR sum(c.milli_seconds) <> 0
ORDER BY c.tenant_id, c.project_id, c."user", c.site, c.model, c.currency
"""


def card_hours(whole: Whole) -> Iterator[Row]:
    """Used card-hours of a month: a row for each day (of the billing time zone), tenant, project, user, site, model and
    currency. A day at a time is in memory.
    """
    zone = policy().zone
    params: dict[str, Any] = {"seq": whole.seq, "start": whole.start, "tenant": whole.tenant_id}
    day = whole.start.astimezone(zone).date()
    while (start := datetime.combine(day, time(), zone)) < whole.end:
        day += timedelta(days=1)
        with connection.cursor() as cursor:
            cursor.execute(_HOURS, {**params, "from": start, "until": datetime.combine(day, time(), zone)})
            found = cursor.fetchall()
        for tenant, project, user, site, model, jobs, milli, hours, listed, cost, effective, currency in found:
            yield {
                "day": f"{start:%Y-%m-%d}", "tenant": tenant, "project": project or None, "user": user or None,
                "site": site or None, "model": model or None, "jobs": Decimal(jobs),
                "card_seconds": Decimal(milli) / 1000, "card_hours": hours or ZERO, "list_cost": listed,
                "cost": cost, "effective_cost": effective, "currency": currency,
            }  # fmt: skip
