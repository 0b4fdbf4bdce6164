"""CSV for spreadsheets and finance tools: exact decimals, instants in UTC, streamed in pieces."""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from billing.models import Invoice, InvoiceLine, UsageRecord

_PIECE = 1000  # rows
# A cell of text that begins like a formula would be run by a spreadsheet; the wide forms too, in Chinese ones.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

INVOICE_COLUMNS = [
    "invoice", "state", "refers_to", "tenant_id", "tenant_name", "period_start", "period_end", "position", "category",
    "project_id", "project_name", "site", "flavor", "unit", "milli_seconds", "quantity", "unit_price", "cost",
    "currency", "is_rated", "price_id",
]  # fmt: skip
USAGE_COLUMNS = [
    "id", "start_at", "end_at", "tenant_id", "tenant_name", "project_id", "project_name", "workload_id",
    "workload_name", "allocation_id", "site", "cluster", "node", "flavor", "unit", "seconds", "held_milli",
    "milli_seconds", "quantity",
]  # fmt: skip
_NAMES = {"tenant_name": "tenant", "project_name": "project", "workload_name": "workload"}


def invoice_csv(invoice: Invoice) -> Iterator[str]:
    """The lines of one invoice. The costs add up to its total."""
    head = {
        "invoice": invoice.number or "",
        "state": invoice.state,
        "refers_to": (invoice.refers_to and invoice.refers_to.number) or "",
        "tenant_id": invoice.tenant_id,
        "tenant_name": invoice.tenant,
        "period_start": invoice.period_start,
        "period_end": invoice.period_end,
    }
    lines = InvoiceLine.objects.filter(invoice=invoice).order_by("position").iterator(_PIECE)
    return stream(
        INVOICE_COLUMNS,
        ([head.get(name) if name in head else _value(line, name) for name in INVOICE_COLUMNS] for line in lines),
    )


def usage_csv(records: Any) -> Iterator[str]:
    """Usage records, as filtered and scoped by the caller."""
    found: Iterable[UsageRecord] = records.iterator(_PIECE)
    return stream(USAGE_COLUMNS, ([_value(record, name) for name in USAGE_COLUMNS] for record in found))


def _value(row: Any, column: str) -> Any:
    return getattr(row, _NAMES.get(column, column))


def stream(columns: list[str], rows: Iterable[list[Any]]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(columns)
    for number, row in enumerate(rows, 1):
        writer.writerow([cell(value) for value in row])
        if number % _PIECE == 0:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def cell(value: Any) -> str:
    """One value as text. Numbers keep every digit and no exponent; text never begins a formula."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case Decimal():
            return f"{value:f}"
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
