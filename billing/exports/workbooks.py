"""Line items and card-hours as a workbook for people."""

import hashlib
import io
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, BinaryIO, cast

from billing.exports.focus.columns import Dataset, Kind, Row
from billing.exports.ledger.items import CARD_HOURS, LINE_ITEMS, card_hours, line_item
from billing.exports.ledger.query import Whole, asked_for
from billing.exports.targets import Target
from billing.exports.xlsx import Column, Sheet, Show, TooLong
from billing.exports.xlsx import write as write_book

MOST_ROWS = 200_000  # more takes a worker too long, and nobody reads it
_CHINESE = {
    "line": "行号", "category": "类别", "tenant": "租户", "project": "项目", "user": "用户", "site": "站点",
    "sku": "规格", "workload": "作业", "start": "开始时间 (UTC)", "end": "结束时间 (UTC)", "quantity": "用量",
    "unit": "单位", "unit_price": "单价", "list_cost": "目录价金额", "cost": "金额", "effective_cost": "摊销金额",
    "currency": "币种",
    "invoice": "账单", "corrects": "更正的行", "description": "说明", "day": "日期", "model": "卡型", "jobs": "作业数",
    "card_seconds": "卡秒", "card_hours": "卡时",
}  # fmt: skip
_SHOWN = {
    "unit_price": Show.PRICE, "quantity": Show.HOURS, "card_hours": Show.HOURS, "jobs": Show.COUNT,
    "card_seconds": Show.COUNT,
}  # fmt: skip


def write(kind: str, whole: Whole, target: Target, *, made_at: datetime) -> dict[str, Any]:
    """One file; what is to be said of it. Raises TooLong."""
    dataset, rows = CARD_HOURS, card_hours(whole)
    if kind == "line-items":
        dataset, rows = LINE_ITEMS, (line_item(row) for row, _ in asked_for(whole))
    counted = _Counted(rows)
    sheet = Sheet(dataset.name, _columns(dataset), ([row.get(n) for n in dataset.names] for row in counted))
    name = f"{dataset.name}.xlsx"
    out = io.BytesIO()
    write_book(out, [sheet], made_at=made_at)
    data = out.getvalue()
    with target.create(name) as file:
        cast(BinaryIO, file).write(data)
    return {"name": name, "rows": counted.count, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


class _Counted:
    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows, self.count = rows, 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.count += 1
            if self.count > MOST_ROWS:
                raise TooLong(f"A workbook holds {MOST_ROWS:,} rows here. Take CSV or Parquet.")
            yield row


def _columns(dataset: Dataset) -> list[Column]:
    found = []
    for column in dataset.columns:
        default = {Kind.TIME: Show.INSTANT, Kind.DECIMAL: Show.MONEY}.get(column.kind, Show.TEXT)
        words = column.name.replace("_", " ").capitalize()
        found.append(Column(column.name, words, _CHINESE[column.name], _SHOWN.get(column.name, default)))
    return found
