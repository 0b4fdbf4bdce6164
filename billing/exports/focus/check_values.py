"""Whether one value, as text, is what its column wants. Stricter than FOCUS where we promise more."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from billing.exports.focus.charges import Unit
from billing.exports.focus.columns import PRECISION, SCALE, Column, Dataset, Form, Kind
from billing.exports.focus.currencies import ISO_4217

TextRow = dict[str, str | None]
"""A row as `plain` texts. A column that is missing is not in it; null is None."""

_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.(\d+))?", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?Z", re.ASCII)
_PREFIXES = {
    "AvailabilityZone": "pool-",
    "BillingAccountId": "org-",
    "CapacityReservationId": "res-",
    "CommitmentDiscountId": "res-",
    "ContractCommitmentId": "res-",
    "ContractId": "contract-",
    "InvoiceDetailId": "line-",
    "RegionId": "site-",
    "SkuId": "sku-",
    "SkuPriceId": "price-",
    "SubAccountId": "proj-",
    "x_CorrectsLineId": "line-",
    "x_HostId": "org-",
    "x_LineId": "line-",
}
_MOST_DECIMALS = {
    "CommitmentDiscountQuantity": 9,
    "ConsumedQuantity": 3,
    "ContractedUnitPrice": 6,
    "ListUnitPrice": 6,
    "PricingQuantity": 9,
}
_UNITS = {
    "CommitmentDiscountUnit": {unit.hours for unit in Unit},
    "ConsumedUnit": {unit.seconds for unit in Unit},
    "ContractCommitmentUnit": {unit.hours for unit in Unit},
    "PricingUnit": {unit.hours for unit in Unit},
}
# Keys of a JSON column that FOCUS has words for; others begin with x_. Tags are free.
_KEYS = {
    "SkuPriceDetails": frozenset(
        {"CoreCount", "GpuCount", "InstanceSeries", "InstanceType", "MemorySize", "OperatingSystem"}
    ),
    "InvoiceDetailGrain": frozenset(
        {"ContractId", "RegionId", "ResourceId", "ResourceType", "ServiceName", "SkuId", "SkuMeter", "SkuPriceId",
         "SubAccountId"}
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Violation:
    """Row None is about the file as a whole; rows are counted from 1, without the header."""

    rule: str
    column: str
    message: str
    row: int | None = None

    def __str__(self) -> str:
        where = f"row {self.row}, {self.column}" if self.row is not None else self.column
        return f"{where}: {self.message} [{self.rule}]"


def header(dataset: Dataset, names: list[str]) -> Iterator[Violation]:
    known = {column.name for column in dataset.known}
    for name in dataset.names:
        if name not in names:
            yield Violation("missing-column", name, "The column is missing.")
    for name in sorted(set(names)):
        if name not in known and not name.startswith("x_"):
            yield Violation("unknown-column", name, "FOCUS has no such column; one of ours would begin with x_.")
        if names.count(name) > 1:
            yield Violation("double-column", name, "The column is there twice.")


def value(column: Column, text: str | None) -> Violation | None:
    """The first thing that is wrong with it."""
    if text is None:
        return None if column.nullable else Violation("null", column.name, "A value is missing.")
    if not text.strip():
        return Violation("blank", column.name, "It is blank; null is meant.")
    if any("\ud800" <= letter <= "\udfff" or letter == "\0" for letter in text):
        return Violation("unicode", column.name, "It is not valid Unicode.")
    match column.kind:
        case Kind.DECIMAL:
            return _number(column, text)
        case Kind.TIME:
            return None if is_time(text) else Violation("time", column.name, f"{text} is not as 2026-10-01T00:00:00Z.")
        case Kind.JSON:
            return _json(column, text)
    return _text(column, text)


def _number(column: Column, text: str) -> Violation | None:
    found = _NUMBER.fullmatch(text)
    if found is None:
        return Violation("number", column.name, f"{text} is not a plain number: no +, commas, signs, exponents.")
    decimals = (found[1] or "").rstrip("0")
    if len(decimals) > SCALE or len(text.lstrip("-").split(".")[0]) > PRECISION - SCALE:
        return Violation("digits", column.name, f"{text} has too many digits.")
    if len(decimals) > _MOST_DECIMALS.get(column.name, SCALE):
        return Violation("scale", column.name, f"{text} has more than {_MOST_DECIMALS[column.name]} decimals.")
    number = Decimal(text)
    if column.form is Form.NOT_NEGATIVE and number < 0:
        return Violation("negative", column.name, f"{text} is below 0.")
    if column.form is Form.SHARE and not 0 <= number <= 1:
        return Violation("share", column.name, f"{text} is not from 0 to 1.")
    return None


def _text(column: Column, text: str) -> Violation | None:
    if column.values and text not in column.values:
        return Violation("allowed", column.name, f"{text!r} is not one of {', '.join(sorted(column.values)[:8])}.")
    if column.form is Form.CURRENCY and text not in ISO_4217:
        return Violation("currency", column.name, f"{text!r} is not a currency of ISO 4217.")
    if column.form is Form.UNIT and text not in _UNITS.get(column.name, {text}):
        return Violation("unit", column.name, f"{text!r} is not one of {', '.join(sorted(_UNITS[column.name]))}.")
    if column.form is Form.ID:
        prefix = _PREFIXES.get(column.name, "")
        if text.isdigit():
            return Violation("digits-only", column.name, f"{text} is digits alone, which programs read as a number.")
        if not text.startswith(prefix):
            return Violation("prefix", column.name, f"{text!r} does not begin with {prefix!r}.")
    return None


def _json(column: Column, text: str) -> Violation | None:
    found = json_object(text)
    if found is None:
        return Violation("json", column.name, "It is not one JSON object with each key once.")
    if column.form is Form.PAIRS and any(isinstance(value, dict | list) for value in found.values()):
        return Violation("json-plain", column.name, "Its values have to be plain: no object or list.")
    known = _KEYS.get(column.name)
    if known is not None and any(key not in known and not key.startswith("x_") for key in found):
        return Violation("json-keys", column.name, "A key that FOCUS does not have begins with x_.")
    return None


def json_object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse, parse_float=Decimal)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def is_time(text: str) -> bool:
    return bool(_TIME.fullmatch(text)) and time(text) is not None


def time(text: str | None) -> datetime | None:
    """The instant, or None where there is none that could be read; then `value` has said so."""
    try:
        return datetime.fromisoformat(text) if text and _TIME.fullmatch(text) else None
    except ValueError:
        return None


def number(text: str | None) -> Decimal | None:
    """As `time`."""
    return Decimal(text) if text and _NUMBER.fullmatch(text) else None
