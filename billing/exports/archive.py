"""The archive of a closed month: one JSON document in one way of writing it, made anew at any time to the same byte.

It says only what is fixed: invoices and lines as issued, the digests of the ledger that their charges are in, prices,
and the settlement; not what may still change (whether an invoice is paid or void) and nothing of the estate.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q

from billing.models import Invoice, InvoiceLine, Month, PriceVersion, SettlementLine, TaxRule
from billing.rating import ZERO
from billing.rating.money import plus

FORMAT = "aquifer-month-1"
_AT_ONCE = 200
_INVOICE = (
    "id", "number", "tenant_id", "tenant", "period_start", "period_end", "currency", "refers_to_id", "total",
    "issued_at", "due_on", "issuer", "bill_to",
)  # fmt: skip
_LINE = (
    "position", "category", "project_id", "project", "flavor_id", "flavor", "unit", "site", "meter", "price_id",
    "unit_price", "milli_seconds", "quantity", "cost", "currency",
)  # fmt: skip
_PRICE = (
    "id", "book_id", "meter", "flavor_id", "tenant_id", "tenant_class", "site", "slicing_mode", "service_class",
    "unit_price", "currency", "tier_mode", "tier_scope", "tier_starts", "tier_prices", "minimum_seconds",
    "step_seconds", "valid_from",
)  # fmt: skip
_TAX = ("id", "book_id", "name", "rate", "valid_from")
_OWED = ("side", "tenant_id", "tenant", "debtor", "creditor", "period", "currency", "amount")

_CHARGES = """
SELECT i.invoice_id, t.seq, t.digest, count(*), sum(i.sign * c.billed_cost)
FROM billing_invoicedcharge i
JOIN billing_charge c ON c.id = i.charge_id JOIN billing_ledgertransaction t ON t.id = c.transaction_id
WHERE i.invoice_id = ANY(%s) GROUP BY 1, 2, 3 ORDER BY 1, 2
"""


def pieces(month: Month) -> Iterator[bytes]:
    """The document, piece by piece. The month has its `ledger_seq`."""
    prices: set[UUID] = set()
    head = {
        "format": FORMAT, "month": month.label, "period_start": month.period_start, "period_end": month.period_end,
        "ledger_seq": month.ledger_seq, "previous_seq": month.previous_seq,
    }  # fmt: skip
    yield b'{"head":' + written(head) + b',"invoices":[\n'
    yield from _joined(_invoices(month, prices))
    yield b'],"prices":[\n'
    yield from _joined(_rows(PriceVersion, prices, _PRICE))
    yield b'],"taxes":[\n'
    yield from _joined(_rows(TaxRule, prices, _TAX))
    yield b'],"settlement":[\n'
    owed = SettlementLine.objects.filter(month=month).order_by(*_OWED[:-1])
    yield from _joined(written(_said(line, _OWED)) for line in owed.iterator(_AT_ONCE))
    yield b"]}\n"


def invoices_of(month: Month) -> Any:
    """What was issued of the month by then, and of earlier ones since the closing before. Each is in one archive."""
    posted = Q(period_start=month.period_start) | Q(
        period_start__lt=month.period_start, posted_in__seq__gt=month.previous_seq
    )
    # Issued before there was a ledger.
    unposted = Q(posted_in=None, period_start=month.period_start, issued_at__isnull=False)
    return Invoice.objects.filter((posted & Q(posted_in__seq__lte=month.ledger_seq)) | unposted).order_by("number")


def _invoices(month: Month, prices: set[UUID]) -> Iterator[bytes]:
    for some in _batches(invoices_of(month).iterator(_AT_ONCE), _AT_ONCE):
        lines: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
        for line in InvoiceLine.objects.filter(invoice__in=some).order_by("invoice", "position").iterator(_AT_ONCE):
            lines[line.invoice_id].append(_said(line, _LINE))
            if line.price_id is not None:
                prices.add(line.price_id)
        charges = _charges([invoice.pk for invoice in some])
        for invoice in some:
            yield written(
                {**_said(invoice, _INVOICE), "lines": lines[invoice.pk], "charges": charges.get(invoice.pk, _NONE)}
            )


_NONE = {"count": 0, "billed_cost": ZERO, "sha256": sha256().hexdigest()}


def _charges(invoices: list[UUID]) -> dict[UUID, dict[str, Any]]:
    """How many charges stand behind each invoice, their sum, and a hash of the transactions that posted them: a
    transaction's digest is of each field of its charges.
    """
    found: dict[UUID, dict[str, Any]] = {}
    hashes: dict[UUID, Any] = defaultdict(sha256)
    with connection.chunked_cursor() as cursor:
        cursor.execute(_CHARGES, [invoices])
        while rows := cursor.fetchmany(2000):
            for invoice, seq, digest, count, amount in rows:
                hashes[invoice].update(f"{seq} {digest}\n".encode())
                there = found.setdefault(invoice, {"count": 0, "billed_cost": ZERO})
                there["count"] += count
                there["billed_cost"] = plus(there["billed_cost"], amount)
    for invoice, of in found.items():
        of["sha256"] = hashes[invoice].hexdigest()
    return found


def _rows(model: Any, ids: Iterable[UUID], fields: tuple[str, ...]) -> Iterator[bytes]:
    for some in _batches(sorted(ids), 1000):
        for row in model.objects.filter(pk__in=some).order_by("pk"):
            yield written(_said(row, fields))


def _batches(rows: Iterable[Any], size: int) -> Iterator[list[Any]]:
    found = iter(rows)
    while some := list(islice(found, size)):
        yield some


def _said(row: Any, fields: tuple[str, ...]) -> dict[str, Any]:
    return {field: getattr(row, field) for field in fields}


def _joined(rows: Iterable[bytes]) -> Iterator[bytes]:
    for number, row in enumerate(rows):
        yield b",\n" + row if number else row


def written(value: Any) -> bytes:
    """Keys in order, no spaces, text as it is; numbers of money as text with the decimals of their column."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_text).encode()


def _text(value: Any) -> str:
    match value:
        case Decimal():
            return f"{value:f}"
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="microseconds")
    return str(value)
