"""What the ledger has to tell about one charge for it to become a row of FOCUS. Pure: no models, no settings.

Identifiers are plain, as the ledger has them; the rows get `org-`, `proj-` and so on before them.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum

from billing.exports.focus.money import product

Pairs = tuple[tuple[str, str | int | bool], ...]
"""Names and values, hashable so that what a million charges share is turned into JSON once."""


class ChargeKind(Enum):
    ON_DEMAND = "on demand"
    SPOT = "spot or over quota"
    PURCHASE = "reservation bought"
    COMMITTED_USED = "reservation, used"
    COMMITTED_UNUSED = "reservation, unused"
    CREDIT = "credit"
    TAX = "tax"
    ADJUSTMENT = "rounding"


PRICED = frozenset(
    {
        ChargeKind.ON_DEMAND,
        ChargeKind.SPOT,
        ChargeKind.PURCHASE,
        ChargeKind.COMMITTED_USED,
        ChargeKind.COMMITTED_UNUSED,
    }
)
METERED = frozenset({ChargeKind.ON_DEMAND, ChargeKind.SPOT, ChargeKind.COMMITTED_USED})
COMMITTED = frozenset({ChargeKind.PURCHASE, ChargeKind.COMMITTED_USED, ChargeKind.COMMITTED_UNUSED})
_AT_ITS_PRICE = frozenset({ChargeKind.ON_DEMAND, ChargeKind.SPOT, ChargeKind.PURCHASE})


class Unit(Enum):
    """What is priced, and what is metered."""

    ACCELERATOR = ("Accelerator-Hours", "Accelerator-Seconds")
    CORE = ("Core-Hours", "Core-Seconds")
    MEMORY = ("GiB-Hours", "GiB-Seconds")
    ENERGY = ("Kilowatt-Hours", "Kilowatt-Seconds")

    def __init__(self, hours: str, seconds: str) -> None:
        self.hours, self.seconds = hours, seconds


class InvalidCharge(ValueError):
    """The ledger contradicts itself; the text names the line and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Party:
    """An organisation, a project or a site: its identifier, and its name when the charge arose."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Period:
    """A local month as two instants; the end is not in it."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Pricing:
    sku_id: str
    meter: str
    """How the SKU is metered, such as `A100 exclusive`."""
    price_id: str
    """One version of the price. It belongs to one SKU for good."""
    unit: Unit
    quantity: Decimal
    """Hours, at nine decimals; below 0 in a correction that takes back."""
    list_price: Decimal
    agreed_price: Decimal
    details: Pairs = ()
    """`Model`, `Mode`, `GpuCount`... What FOCUS has no word for gets `x_` before it."""


@dataclass(frozen=True, slots=True)
class Resource:
    kind: str
    """`job`, `notebook`, `lease`, `vm`: the prefix of its identifier, and its type."""
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Commitment:
    """A reservation of card-hours, under an agreement."""

    id: str
    name: str
    contract_id: str


@dataclass(frozen=True, slots=True)
class Tax:
    name: str
    rate: Decimal


@dataclass(frozen=True, slots=True)
class Charge:
    """One line of the ledger.

    `cost` is what the line is worth: what is owed, and for usage under a reservation its share of what the reservation
    cost (there nothing more is owed). Without rounding; except for a correction it is agreed price times quantity on
    demand, on spot and when a reservation is bought.
    """

    line_id: str
    kind: ChargeKind
    payer: Party
    issuer: str
    """Who writes the invoice: the hub, or a member that bills its own users."""
    provider: str
    """The hub."""
    host: Party
    """The member whose cards they are, or the hub for what has no cards."""
    period: Period
    start: datetime
    end: datetime
    currency: str
    cost: Decimal
    description: str
    invoice_id: str | None = None
    invoice_line_id: str | None = None
    project: Party | None = None
    pricing: Pricing | None = None
    seconds: Decimal | None = None
    """Metered seconds times units (milli-seconds / 1000), for usage."""
    site: Party | None = None
    pool_id: str | None = None
    resource: Resource | None = None
    commitment: Commitment | None = None
    is_recurring: bool = False
    is_inference: bool = False
    is_correction: bool = False
    """Of a period that was invoiced before."""
    corrects: str | None = None
    """The line of an already invoiced period that this one corrects."""
    tax: Tax | None = None
    tags: Pairs = ()
    price_book: str | None = None

    def __post_init__(self) -> None:
        for wrong in self._contradictions():
            raise InvalidCharge(f"Line {self.line_id}: {wrong}")

    def _contradictions(self) -> list[str]:
        kind, found = self.kind, []
        if (self.pricing is not None) != (kind in PRICED):
            found.append(
                f"a charge of kind {kind.value!r} {'needs' if kind in PRICED else 'has no'} price and quantity."
            )
        if (self.seconds is not None) != (kind in METERED):
            found.append(f"a charge of kind {kind.value!r} {'needs' if kind in METERED else 'has no'} metered seconds.")
        if (self.commitment is not None) != (kind in COMMITTED):
            found.append(f"a charge of kind {kind.value!r} {'needs' if kind in COMMITTED else 'has no'} reservation.")
        if (self.tax is not None) != (kind is ChargeKind.TAX):
            found.append("tax is named on charges of tax, and on those alone.")
        if self.start >= self.end:
            found.append("it ends before it has begun.")
        elif self.corrects is None and not (self.period.start <= self.start and self.end <= self.period.end):
            found.append("it is outside the billing period.")
        if self.corrects == self.line_id:
            found.append("it corrects itself.")
        if kind in _AT_ITS_PRICE and self.corrects is None and not self._is_product():
            found.append("its cost is not the agreed price times the quantity.")
        return found

    def _is_product(self) -> bool:
        return self.pricing is None or self.cost == product(self.pricing.agreed_price, self.pricing.quantity)
