"""Charges and the invoices that ask for them, as the ledger had them at one transaction, in one order for good."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

AT_ONCE = 5000  # charges from the server at a time

# One row for each time that an invoice asks for a charge (or a credit note takes it back); one without an invoice where
# none asks for it now. `nth` counts the times. A charge and its reversal that stand on the same invoice, or on none,
# are left out both: `partner` is the other one, the reversal of what is not one, and what is reversed by one that is.
_ROWS = """
SELECT {columns}, c.is_odd, c.reverses_id,
       asked.invoice_id, asked.number, asked.sign, asked.ask, asked.nth, asked.before,
       coalesce(asked.net, 0) = 0 AND asked.is_last IS NOT FALSE AS is_open,
       c.partner IS NOT NULL AND EXISTS (
         SELECT FROM billing_invoicedcharge pc
         WHERE pc.charge_id = c.partner AND pc.invoice_id = asked.invoice_id AND pc.sign = asked.sign
       ) AS is_undone_here,
       c.partner IS NOT NULL AND NOT EXISTS (
         SELECT FROM billing_invoicedcharge pc JOIN billing_invoice pi ON pi.id = pc.invoice_id
         JOIN billing_ledgertransaction pt ON pt.id = pi.posted_in_id AND pt.seq <= %(seq)s
         WHERE pc.charge_id = c.partner HAVING sum(pc.sign) <> 0) AS is_undone_while_open
FROM (
  SELECT c.*, p1.id IS NOT NULL AND (p1.reverses_id IS NULL OR p2.reverses_id IS NOT NULL) AS is_odd,
         CASE WHEN p1.id IS NOT NULL AND (p1.reverses_id IS NULL OR p2.reverses_id IS NOT NULL) THEN p1.id
              ELSE n.id END AS partner
  FROM (
    SELECT c.* FROM billing_charge c
    JOIN billing_ledgertransaction t ON t.id = c.transaction_id AND t.seq <= %(seq)s
    WHERE c.billing_period_start = %(start)s {where}
    ORDER BY c.tenant_id, c.id LIMIT %(limit)s
  ) c
  LEFT JOIN billing_charge p1 ON p1.id = c.reverses_id
  LEFT JOIN billing_charge p2 ON p2.id = p1.reverses_id
  LEFT JOIN LATERAL (
    SELECT r.id FROM billing_charge r
    JOIN billing_ledgertransaction rt ON rt.id = r.transaction_id AND rt.seq <= %(seq)s
    WHERE r.reverses_id = c.id
  ) n ON true
) c
LEFT JOIN LATERAL (
  SELECT ic.id AS ask, ic.sign, i.id AS invoice_id, i.number, row_number() OVER (ORDER BY ic.id) AS nth,
         lag(ic.id) OVER (ORDER BY ic.id) AS before, sum(ic.sign) OVER () AS net,
         lead(ic.id) OVER (ORDER BY ic.id) IS NULL AS is_last
  FROM billing_invoicedcharge ic
  JOIN billing_invoice i ON i.id = ic.invoice_id
  JOIN billing_ledgertransaction it ON it.id = i.posted_in_id AND it.seq <= %(seq)s
  WHERE ic.charge_id = c.id
) asked ON true
ORDER BY c.tenant_id, c.id, asked.ask
"""
_COLUMNS = (
    "id", "category", "is_correction", "is_minimum", "tenant_id", "tenant", "project_id", "project", "workload_id",
    "workload", "workload_kind", "user", "site", "cluster", "pool", "flavor_id", "flavor", "model", "slicing_mode",
    "service_class", "tenant_class", "meter", "sku", "billing_period_start", "billing_period_end", "period_start",
    "period_end", "milli_seconds", "quantity", "unit", "tier", "pricing", "list_unit_price", "contracted_unit_price",
    "billed_cost", "effective_cost", "list_cost", "currency", "price_version_id", "list_price_version_id",
    "commitment_id", "tax_rule_id", "description", "allocation_id",
)  # fmt: skip


class Asked(NamedTuple):
    """One row of what is exported: a charge, and the invoice that asks for it or takes it back, if one does."""

    id: UUID
    category: str
    is_correction: bool
    is_minimum: bool
    tenant_id: UUID
    tenant: str
    project_id: UUID | None
    project: str
    workload_id: UUID | None
    workload: str
    workload_kind: str
    user: str
    site: str
    cluster: str
    pool: str
    flavor_id: UUID | None
    flavor: str
    model: str
    slicing_mode: str
    service_class: str
    tenant_class: str
    meter: str
    sku: str
    billing_period_start: datetime
    billing_period_end: datetime
    period_start: datetime
    period_end: datetime
    milli_seconds: int
    quantity: Any
    unit: str
    tier: int
    pricing: str
    list_unit_price: Any
    contracted_unit_price: Any
    billed_cost: Any
    effective_cost: Any
    list_cost: Any
    currency: str
    price_version_id: UUID | None
    list_price_version_id: UUID | None
    commitment_id: UUID | None
    tax_rule_id: UUID | None
    description: str
    allocation_id: UUID | None
    is_reversal: bool
    reverses_id: UUID | None
    invoice_id: UUID | None
    invoice: str | None
    sign: int
    nth: int  # how often it was asked for or taken back, this time included
    before: int | None
    ask: int | None

    @property
    def line_id(self) -> str:
        """Its own for each time that it is asked for; the first is the charge's."""
        if self.nth == 1:
            return str(self.id)
        return f"{self.id}.{self.ask or 'open'}"

    @property
    def corrects(self) -> str | None:
        """The line that this one takes back, or puts right."""
        if self.sign < 0:
            return str(self.id) if self.nth == 2 else f"{self.id}.{self.before}"
        return str(self.reverses_id) if self.is_reversal else None


@dataclass(frozen=True, slots=True)
class Place:
    """Where reading goes on: after so many rows of this charge."""

    tenant_id: UUID
    charge_id: UUID
    rows: int


@dataclass(frozen=True, slots=True)
class Whole:
    """What an export is about: a month, of one tenant or of all, in the ledger up to transaction `seq`."""

    start: datetime
    end: datetime
    seq: int
    tenant_id: UUID | None = None


def asked_for(whole: Whole, after: Place | None = None) -> Iterator[tuple[Asked, Place]]:
    """All rows from a place on, each with the place after it. Page by page: memory stays flat, nothing is kept open."""
    last, count = (None, 0) if after is None else (after.charge_id, 0)
    skipped = 0 if after is None else after.rows
    for row in _pages(whole, after):
        for asked in _spoken(row):
            if asked.id != last:
                last, count = asked.id, 0
            count += 1
            if after is not None and asked.id == after.charge_id and count <= skipped:
                continue
            yield asked, Place(asked.tenant_id, asked.id, count)


_TENANT, _ID = _COLUMNS.index("tenant_id"), _COLUMNS.index("id")


def _pages(whole: Whole, after: Place | None) -> Iterator[tuple[Any, ...]]:
    """Rows of charges, from that of `after` on, in order of tenant and id."""
    params: dict[str, Any] = {"seq": whole.seq, "start": whole.start, "limit": AT_ONCE}
    ours = ""
    if whole.tenant_id is not None:
        ours, params["tenant"] = "AND c.tenant_id = %(tenant)s", whole.tenant_id
    columns, compared = ", ".join(f'c."{name}"' for name in _COLUMNS), ">="
    place = None if after is None else (after.tenant_id, after.charge_id)
    while True:
        where = ours
        if place is not None:
            where += f" AND (c.tenant_id, c.id) {compared} (%(at_tenant)s, %(at_charge)s)"
            params |= {"at_tenant": place[0], "at_charge": place[1]}
        with connection.cursor() as cursor:
            cursor.execute(_ROWS.format(columns=columns, where=where), params)
            rows = cursor.fetchall()
        yield from rows
        if len({row[_ID] for row in rows}) < AT_ONCE:
            return
        place, compared = (rows[-1][_TENANT], rows[-1][_ID]), ">"


def _spoken(row: tuple[Any, ...]) -> Iterator[Asked]:
    *charge, is_odd, reverses, invoice_id, number, sign, ask, nth, before, is_open, is_undone, is_undone_open = row
    if ask is not None and not is_undone:
        yield Asked._make((*charge, is_odd, reverses, invoice_id, number, sign, nth, before, ask))
    if is_open and not is_undone_open:
        yield Asked._make((*charge, is_odd, reverses, None, None, 1, (nth or 0) + 1, ask, None))
