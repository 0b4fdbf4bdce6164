"""Workbooks for people: a table a sheet, in two languages, written row by row with flat memory.

Excel holds numbers as doubles of fifteen digits. Here a sheet shows them rounded to what people read; to the last digit
they are in CSV, JSON lines and Parquet. What does not fit into a double is written as text, so that nothing changes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import BinaryIO

import xlsxwriter

Value = str | Decimal | int | datetime | None

MOST_ROWS = 1_048_576 - 2  # of a sheet, less its two rows of headers
_MOST_TEXT = 32_767
_DIGITS = 15


class Show(Enum):
    """How a column is shown: the format of its numbers, and its width."""

    TEXT = ("@", 24)
    MONEY = ("#,##0.00", 16)
    PRICE = ("#,##0.000000", 16)
    HOURS = ("#,##0.000", 14)
    COUNT = ("#,##0", 14)
    INSTANT = ("yyyy-mm-dd hh:mm:ss", 20)

    def __init__(self, pattern: str, width: int) -> None:
        self.pattern, self.width = pattern, width


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    english: str
    chinese: str
    show: Show = Show.TEXT


@dataclass(frozen=True)
class Sheet:
    title: str
    columns: Sequence[Column]
    rows: Iterable[Sequence[Value]]


class TooLong(ValueError):
    """A sheet cannot hold it; the text says what can."""


LINE_ITEMS = (
    Column("line", "Line", "行号"),
    Column("category", "Category", "类别"),
    Column("project", "Project", "项目"),
    Column("site", "Site", "站点"),
    Column("sku", "Product", "规格"),
    Column("start", "From (UTC)", "开始时间 (UTC)", Show.INSTANT),
    Column("end", "To (UTC)", "结束时间 (UTC)", Show.INSTANT),
    Column("quantity", "Hours", "用量（卡时/核时）", Show.HOURS),
    Column("unit_price", "Unit price", "单价", Show.PRICE),
    Column("cost", "Cost", "金额", Show.MONEY),
    Column("currency", "Currency", "币种"),
    Column("description", "Description", "说明"),
)
CARD_HOURS = (
    Column("day", "Day", "日期"),
    Column("project", "Project", "项目"),
    Column("user", "User", "用户"),
    Column("site", "Site", "站点"),
    Column("model", "Card", "卡型"),
    Column("jobs", "Jobs", "作业数", Show.COUNT),
    Column("card_hours", "Card-hours", "卡时", Show.HOURS),
    Column("cost", "Cost", "金额", Show.MONEY),
    Column("currency", "Currency", "币种"),
)


def write(out: BinaryIO, sheets: Iterable[Sheet], *, made_at: datetime) -> None:
    """`made_at` is what the workbook says of itself: the same input is the same file."""
    options = {"constant_memory": True, "remove_timezone": True}
    book = xlsxwriter.Workbook(out, options)
    try:
        book.set_properties({"created": made_at.astimezone(UTC).replace(tzinfo=None)})
        head = book.add_format({"bold": True, "bottom": 1, "bg_color": "#EEF2F7"})
        formats = {show: book.add_format({"num_format": show.pattern}) for show in Show}
        for sheet in sheets:
            _sheet(book, sheet, head, formats)
    finally:
        book.close()


def _sheet(book: "xlsxwriter.Workbook", sheet: Sheet, head: object, formats: dict[Show, object]) -> None:
    page = book.add_worksheet(sheet.title)
    page.freeze_panes(2, 0)
    for position, column in enumerate(sheet.columns):
        page.set_column(position, position, column.show.width)
    for line, names in enumerate(([c.english for c in sheet.columns], [c.chinese for c in sheet.columns])):
        for position, name in enumerate(names):
            page.write_string(line, position, name, head)
    for number, row in enumerate(sheet.rows):
        if number == MOST_ROWS:
            raise TooLong(f"A sheet holds {MOST_ROWS:,} rows. Take CSV or Parquet, or a shorter period.")
        for position, (column, value) in enumerate(zip(sheet.columns, row, strict=True)):
            _cell(page, number + 2, position, value, formats[column.show], formats[Show.TEXT])


def _cell(page: object, line: int, position: int, value: Value, shown: object, as_text: object) -> None:
    assert isinstance(page, xlsxwriter.worksheet.Worksheet)
    match value:
        case None:
            return
        case Decimal() | int():
            if fits_a_double(Decimal(value)):
                page.write_number(line, position, float(value), shown)
            else:
                page.write_string(line, position, f"{value:f}" if isinstance(value, Decimal) else str(value), as_text)
        case datetime():
            page.write_datetime(line, position, value.astimezone(UTC), shown)
        case _:
            # Not `write`, which would make formulas and links of text that looks like them.
            page.write_string(line, position, value[:_MOST_TEXT], as_text)


def fits_a_double(value: Decimal) -> bool:
    """Whether Excel keeps every digit of it."""
    digits = "".join(map(str, value.as_tuple().digits)).strip("0")
    return len(digits) <= _DIGITS
