"""Workbooks: what people see, and that nothing in them is ever run."""

import io
import re
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from billing.exports import xlsx

NOW = datetime(2026, 11, 2, 8, tzinfo=UTC)
COLUMNS = (
    xlsx.Column("name", "Name", "名称"),
    xlsx.Column("cost", "Cost", "金额", xlsx.Show.MONEY),
    xlsx.Column("at", "At", "时间", xlsx.Show.INSTANT),
)


def sheet(rows: Sequence[Sequence[xlsx.Value]], columns: Sequence[xlsx.Column] = COLUMNS) -> tuple[str, bytes]:
    out = io.BytesIO()
    xlsx.write(out, [xlsx.Sheet("Lines 明细", columns, rows)], made_at=NOW)
    return zipfile.ZipFile(out).read("xl/worksheets/sheet1.xml").decode(), out.getvalue()


def cells(xml: str) -> dict[str, str]:
    found = re.findall(r'<c r="([A-Z]+\d+)"[^>]*>(?:<is><t[^>]*>(.*?)</t></is>|<v>(.*?)</v>)</c>', xml, re.DOTALL)
    return {name: text or number for name, text, number in found}


def test_headers_are_in_two_languages_and_stay_in_sight() -> None:
    xml, _ = sheet([])
    assert cells(xml) == {"A1": "Name", "B1": "Cost", "C1": "At", "A2": "名称", "B2": "金额", "C2": "时间"}
    assert '<pane ySplit="2" topLeftCell="A3" activePane="bottomLeft" state="frozen"/>' in xml


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "{=1}", "=cmd|' /C calc'!A0", "https://a.example", "12"]
)
def test_text_stays_text(text: str) -> None:
    xml, data = sheet([[text, None, None]])
    assert '<c r="A3" s="2" t="inlineStr">' in xml
    assert "<f>" not in xml
    assert b"hyperlink" not in data


def test_values_are_shown_as_what_they_are() -> None:
    xml, _ = sheet([["a", Decimal("1234.567890123"), datetime(2026, 10, 1, 12, tzinfo=UTC)]])
    assert cells(xml)["B3"] == "1234.567890123"
    assert cells(xml)["C3"] == "46296.5"


def test_what_a_double_would_change_is_written_as_text() -> None:
    xml, _ = sheet([["a", Decimal("0.1234567890123456"), None], ["b", Decimal("1E+20"), None]])
    assert cells(xml)["B3"] == "0.1234567890123456"
    assert 't="inlineStr"' in xml.split('r="B3"')[1].split(">")[0]
    assert cells(xml)["B4"] == "1E+20"


def test_the_same_input_is_the_same_file() -> None:
    rows = [["a", Decimal(1), NOW]]
    assert sheet(rows)[1] == sheet(rows)[1]


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        sheet([["a"]])


def test_more_rows_than_a_sheet_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "MOST_ROWS", 2)
    with pytest.raises(xlsx.TooLong, match="Take CSV"):
        sheet([["a", None, None]] * 3)


@pytest.mark.parametrize("columns", [xlsx.LINE_ITEMS, xlsx.CARD_HOURS])
def test_ready_made_sheets_have_names_for_all_columns(columns: Sequence[xlsx.Column]) -> None:
    samples: dict[xlsx.Show, xlsx.Value] = {xlsx.Show.TEXT: "a", xlsx.Show.INSTANT: NOW, xlsx.Show.COUNT: 3}
    xml, _ = sheet([[samples.get(column.show, Decimal("1.5")) for column in columns]], columns)
    assert len(cells(xml)) == 3 * len(columns)
    assert len({column.name for column in columns}) == len(columns)
