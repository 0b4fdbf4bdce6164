"""The settlement of a month: who owes whom, kept line by line, and posted as each party's net position."""

from collections.abc import Iterator
from typing import Any

from django.db import connection
from django.db.models import F

from billing.actions import ledger
from billing.actions.ledger import Move
from billing.models import AccountKind, BillingProfile, LedgerTransaction, Month, SettlementLine, TransactionKind
from billing.periods import month_of
from billing.policy import Policy
from billing.rating.settlement import Share, Side, positions, settle
from portal.audit import Actor
from portal.models import Project, Tenant

# What brought in something at a site: as it is posted (charges.moves_of). Taxes and rounding are the hub's.
_SHARES = """
SELECT c.tenant_id, c.project_id, c.site, c.billing_period_start, c.currency,
  sum(CASE WHEN c.commitment_id IS NULL THEN c.billed_cost ELSE c.effective_cost END)
FROM billing_charge c JOIN billing_ledgertransaction t ON t.id = c.transaction_id
WHERE c.category NOT IN ('tax', 'adjustment', 'purchase') AND t.seq <= %(seq)s
  AND (c.billing_period_start = %(start)s OR (c.billing_period_start < %(start)s AND t.seq > %(previous)s))
GROUP BY 1, 2, 3, 4, 5
"""
_AT_ONCE = 2000


def post(by: Actor, month: Month, seq: int, previous: int, policy: Policy) -> LedgerTransaction | None:
    """Keep what is owed as of `seq`, and post it. None: nobody owes anything to another site."""
    homes = dict(BillingProfile.objects.values_list("tenant_id", "home_site"))
    departments = dict(
        Project.objects.filter(department__isnull=False).values_list("pk", F("department__slug")).iterator(_AT_ONCE)
    )
    names = dict(Tenant.objects.values_list("pk", "name"))
    owed = settle(_shares(month, seq, previous, policy), homes, departments)
    SettlementLine.objects.bulk_create(
        (
            SettlementLine(
                month=month, side=line.side, tenant_id=line.tenant_id, tenant=names.get(line.tenant_id, ""),
                debtor=line.debtor, creditor=line.creditor, period=line.period, currency=line.currency,
                amount=line.amount,
            )
            for line in owed
        ),
        batch_size=_AT_ONCE,
    )  # fmt: skip
    between_sites = positions(line for line in owed if line.side is Side.SITE)
    moves = [
        Move(AccountKind.SETTLEMENT, position.net, currency, site=site)
        for (site, currency), position in between_sites.items()
        if position.net
    ]
    if not moves:
        return None
    return ledger.post(
        by=by, kind=TransactionKind.SETTLEMENT, key=f"settlement {month.label}", moves=moves,
        memo=f"Settlement of {month.label}",
    )  # fmt: skip


def _shares(month: Month, seq: int, previous: int, policy: Policy) -> Iterator[Share]:
    values: Any = {"seq": seq, "previous": previous, "start": month.period_start}
    with connection.chunked_cursor() as cursor:
        cursor.execute(_SHARES, values)
        while rows := cursor.fetchmany(_AT_ONCE):
            for tenant_id, project_id, site, start, currency, amount in rows:
                yield Share(tenant_id, project_id, site, month_of(start, policy.zone).label, currency, amount)
