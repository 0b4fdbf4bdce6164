"""What a column of FOCUS is, and a dataset. The tables themselves are `cost_and_usage` and `reference`.

Facts are from the specification (https://focus.finops.org, releases 1.2 and 1.4); what we put in is ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum

Value = str | Decimal | datetime | None
Row = Mapping[str, Value]

SCALE = 15
"""Digits after the point of every number: the product of a price (6) and a quantity (9) is exact."""
PRECISION = 38


class Kind(Enum):
    TEXT = "text"
    DECIMAL = "decimal"
    TIME = "time"
    JSON = "json"


class Level(Enum):
    MANDATORY = "mandatory"
    CONDITIONAL = "conditional"
    RECOMMENDED = "recommended"
    OURS = "ours"  # begins with x_


class Form(Enum):
    """What a value must look like beyond its kind."""

    ANY = "any"
    NOT_NEGATIVE = "not negative"
    SHARE = "from 0 to 1"
    CURRENCY = "ISO 4217"
    UNIT = "a unit"
    ID = "an identifier"
    PAIRS = "an object of plain values"
    OBJECT = "an object"
    ONE_OF = "one of its values"


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    kind: Kind
    level: Level
    nullable: bool
    fill: str
    """What we put there, for people. Empty: a column of FOCUS that we do not write, since its condition is not met."""
    form: Form = Form.ANY
    values: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Dataset:
    name: str
    version: str
    known: tuple[Column, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        """What we write, in this order: FOCUS first, ours after."""
        return tuple(column for column in self.known if column.fill)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column | None:
        return next((column for column in self.known if column.name == name), None)
