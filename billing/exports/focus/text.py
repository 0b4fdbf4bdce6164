"""Values as text, one way each: the same value is the same text in every file, forever."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from billing.exports.focus.columns import PRECISION, SCALE, Column, Kind, Value

# What a spreadsheet would run as a formula; the wide forms too, in Chinese ones. Apostrophes before it are counted in,
# so that reading back is exact: one apostrophe is put in front here, and one is taken away there.
_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")
_GUARDED = re.compile("'+[=+\\-@\t\r\n＝＋－＠]")


class NotWritable(ValueError):
    """A value that no file could hold unchanged."""


# Equal values have one text, so that what repeats (prices, months) is made once.
@lru_cache(maxsize=32_768)
def number(value: Decimal) -> str:
    """Every digit, no exponent, no zeros at the end beyond two: 25.00, -0.000000001, 7200.00.

    Two at least, because a column of whole numbers would be read as one of integers.
    """
    if not value.is_finite():
        raise NotWritable(f"{value} is not a number.")
    text = f"{value:f}"
    whole, _, decimals = text.partition(".")
    decimals = decimals.rstrip("0")
    if len(decimals) > SCALE or len(whole.lstrip("-0")) > PRECISION - SCALE:
        raise NotWritable(f"{text} has more digits than {PRECISION - SCALE} before and {SCALE} after the point.")
    if not decimals and not whole.strip("-0"):
        return "0.00"
    return f"{whole}.{decimals:0<2}"


@lru_cache(maxsize=8_192)
def instant(value: datetime) -> str:
    """UTC, with Z; milliseconds only where there are any."""
    if value.tzinfo is None:
        raise NotWritable(f"{value} has no time zone.")
    if value.microsecond % 1000:
        raise NotWritable(f"{value} is finer than a millisecond.")
    utc = value.astimezone(UTC)
    return utc.strftime("%Y-%m-%dT%H:%M:%S") + (f".{utc.microsecond // 1000:03}Z" if utc.microsecond else "Z")


def plain(value: Value) -> str | None:
    """As in JSON lines: numbers are texts there too, since most readers of JSON would make floats of them."""
    match value:
        case Decimal():
            return number(value)
        case datetime():
            return instant(value)
    return value


def cell(column: Column, value: Value) -> str:
    """As in CSV: null is empty, and text never begins a formula. Numbers may begin with a minus."""
    text = plain(value)
    if text is None:
        return ""
    return f"'{text}" if column.kind is Kind.TEXT and _FORMULA.match(text) else text


def from_cell(column: Column | None, text: str) -> str | None:
    """What `cell` was given, as `plain` text."""
    if text == "":
        return None
    guarded = column is not None and column.kind is Kind.TEXT and _GUARDED.match(text)
    return text[1:] if guarded else text


def compact_json(value: Mapping[str, object] | Sequence[object]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
