"""What a settlement says to its parties: lines added up, and what is left for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Line:
    debtor: str  # empty: the hub, or the tenant's centre
    creditor: str
    period: str  # the month of usage
    currency: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Party:
    name: str
    currency: str
    owes: Decimal
    is_owed: Decimal
    net: Decimal


@dataclass(frozen=True, slots=True)
class Statement:
    """Between the sites of all, or between the departments of one tenant."""

    tenant: str  # empty: between sites
    lines: Sequence[Line]
    parties: Sequence[Party]
