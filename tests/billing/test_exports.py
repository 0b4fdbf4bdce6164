"""CSV: exact, whole, and harmless in a spreadsheet."""

import asyncio
import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import metering
from billing.actions import drafts, invoices
from billing.api.csv import CsvResponse
from billing.exports import csv as exports
from billing.models import UsageRecord
from billing.policy import policy
from portal.audit import SYSTEM
from tests.billing.rows import NOVEMBER, Estate, at


def read(pieces: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO("".join(pieces), newline="")))


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_text_never_begins_a_formula(start: str) -> None:
    assert exports.cell(f"{start}cmd|' /C calc'!A0") == f"'{start}cmd|' /C calc'!A0"


@given(st.text())
def test_other_text_stays_as_it_is(text: str) -> None:
    assert exports.cell(text) in (text, f"'{text}")
    assert exports.cell(f"a{text}") == f"a{text}"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "true"),
        (-5, "-5"),
        (Decimal("-0.000000000000001"), "-0.000000000000001"),
        (Decimal("1E+3"), "1000"),
        (Decimal("12.500000"), "12.500000"),
        (datetime(2026, 11, 10, 2, tzinfo=UTC), "2026-11-10T02:00:00Z"),
    ],
)
def test_values_keep_every_digit(value: Any, shown: str) -> None:
    assert exports.cell(value) == shown


@pytest.mark.django_db
def test_an_invoice_and_its_usage_as_csv_agree() -> None:
    estate = Estate(name='=HYPERLINK("http://evil")')
    estate.price("3.3")
    estate.ended(at(0), at(95, seconds=7), milli=333)
    metering.step()
    invoice = drafts.draft(by=SYSTEM, tenant=estate.tenant, period=NOVEMBER, policy=policy())
    invoices.issue(by=SYSTEM, invoice=invoice, policy=policy())
    invoice.refresh_from_db()
    line, adjustment = read(exports.invoice_csv(invoice))
    assert line["invoice"] == invoice.number
    assert line["tenant_name"] == '\'=HYPERLINK("http://evil")'
    assert (line["project_name"], line["flavor"], line["currency"]) == ("Vision", estate.flavor.name, "CNY")
    assert (line["is_rated"], line["unit_price"], adjustment["unit_price"]) == ("true", "3.300000", "")
    assert Decimal(line["quantity"]) * Decimal(line["unit_price"]) == Decimal(line["cost"])
    assert Decimal(line["cost"]) + Decimal(adjustment["cost"]) == invoice.total
    records = read(exports.usage_csv(UsageRecord.objects.order_by("start_at")))
    assert [(r["start_at"], r["seconds"]) for r in records] == [
        ("2026-11-10T02:00:00Z", "3600"),
        ("2026-11-10T03:00:00Z", "2107"),
    ]
    assert sum(Decimal(r["quantity"]) for r in records) == Decimal(line["quantity"])
    assert sum(int(r["milli_seconds"]) for r in records) == int(line["milli_seconds"])


@pytest.mark.django_db
def test_it_comes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "_PIECE", 2)
    estate = Estate()
    for n in range(5):
        estate.ended(at(n), at(n + 1))
    metering.step()
    pieces = list(exports.usage_csv(UsageRecord.objects.order_by("start_at")))
    assert [piece.count("\r\n") for piece in pieces] == [3, 2, 1]
    assert len(read(pieces)) == 5


def test_a_server_of_either_kind_gets_one_piece_after_another() -> None:
    made: list[str] = []

    def pieces() -> Any:
        for piece in ("a", "b"):
            made.append(piece)
            yield piece

    assert list(CsvResponse(pieces(), "x")) == [b"a", b"b"]
    made.clear()

    async def read_first() -> bytes:
        async for piece in CsvResponse(pieces(), "x"):
            return piece
        return b""

    assert (asyncio.run(read_first()), made) == (b"a", ["a"])
