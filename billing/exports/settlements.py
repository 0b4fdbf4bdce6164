"""Settlements as tables: lines, and what is left of them for each party."""

import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from billing.exports.csv import stream
from billing.exports.xlsx import Column, Sheet, Show, write

ORDER = ("side", "tenant_id", "debtor", "creditor", "period", "currency")
_LINES = (
    Column("month", "Closed month", "结算月份"),
    Column("side", "Between", "结算范围"),
    Column("tenant", "Tenant", "租户"),
    Column("debtor", "Owes", "应付方"),
    Column("creditor", "Is owed", "应收方"),
    Column("period", "Month of usage", "用量月份"),
    Column("currency", "Currency", "币种"),
    Column("amount", "Amount", "金额", Show.MONEY),
)
_POSITIONS = (
    Column("side", "Between", "结算范围"),
    Column("tenant", "Tenant", "租户"),
    Column("party", "Party", "结算方"),
    Column("currency", "Currency", "币种"),
    Column("owes", "Owes", "应付", Show.MONEY),
    Column("is_owed", "Is owed", "应收", Show.MONEY),
    Column("net", "Net", "净额", Show.MONEY),
)


def settlement_csv(lines: Any) -> Iterator[str]:
    names = [column.name for column in _LINES]
    return stream(names, ([_of(line, name) for name in names] for line in lines.iterator(1000)))


def settlement_xlsx(lines: Any, positions: Sequence[dict[str, Any]]) -> bytes:
    out = io.BytesIO()
    first = lines.first()
    made_at = first.month.closed_at if first and first.month.closed_at else datetime(2000, 1, 1, tzinfo=UTC)
    rows = ([_named(line, column.name) for column in _LINES] for line in lines.iterator(1000))
    left = (
        [str(row[column.name] or "") if column.show is Show.TEXT else row[column.name] for column in _POSITIONS]
        for row in positions
    )
    write(out, [Sheet("Lines 明细", _LINES, rows), Sheet("Positions 净额", _POSITIONS, left)], made_at=made_at)
    return out.getvalue()


def _of(line: Any, name: str) -> Any:
    return line.month.label if name == "month" else getattr(line, name)


def _named(line: Any, name: str) -> Any:
    """People read who the empty party is."""
    if name in ("debtor", "creditor") and not getattr(line, name):
        return "hub 枢纽" if line.side == "site" else "centre 租户本部"
    return _of(line, name)
