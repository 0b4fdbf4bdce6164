"""Two organisations and a month of theirs: every kind of charge, invoices that add up, a reservation used up."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from billing.exports.focus import reference, reference_rows
from billing.exports.focus.charges import (
    Charge,
    ChargeKind,
    Commitment,
    Party,
    Period,
    Pricing,
    Resource,
    Tax,
    Unit,
)
from billing.exports.focus.columns import Dataset, Row
from billing.exports.focus.cost_and_usage import COST_AND_USAGE_1_2, COST_AND_USAGE_1_4
from billing.exports.focus.money import product, total
from billing.exports.focus.rows import cost_and_usage
from billing.exports.focus.text import plain

# October and September of Asia/Shanghai.
SEPTEMBER = Period(datetime(2026, 8, 31, 16, tzinfo=UTC), datetime(2026, 9, 30, 16, tzinfo=UTC))
OCTOBER = Period(datetime(2026, 9, 30, 16, tzinfo=UTC), datetime(2026, 10, 31, 16, tzinfo=UTC))
HUB = Party("00000000-0000-4000-8000-000000000001", "Federation Hub")
PHYSICS = Party("11111111-1111-4111-8111-111111111111", "Institute of Physics")
BIOLOGY = Party("22222222-2222-4222-8222-222222222222", "生物研究所")
MEMBER = Party("33333333-3333-4333-8333-333333333333", "Member Site A")
SITE = Party("44444444", "Site A (上海)")
TRAINING = Party("55555555", "training")
MICRO = Decimal("0.000000001")


def hours(seconds: int) -> Decimal:
    return (Decimal(seconds) / 3600).quantize(MICRO)


def priced(seconds: int, list_price: str = "12.500000", agreed: str = "10.000000", sku: str = "a100") -> Pricing:
    return Pricing(
        sku_id=sku,
        meter=f"{sku} exclusive",
        price_id=f"{sku}-{list_price}-{agreed}",
        unit=Unit.ACCELERATOR,
        quantity=hours(seconds),
        list_price=Decimal(list_price),
        agreed_price=Decimal(agreed),
        details=(("Model", sku), ("Mode", "exclusive"), ("GpuCount", 1)),
    )


def charge(line: str, kind: ChargeKind, **fields: Any) -> Charge:
    pricing: Pricing | None = fields.get("pricing")
    if pricing is not None:
        fields.setdefault("cost", product(pricing.agreed_price, pricing.quantity))
    defaults: dict[str, Any] = {
        "payer": PHYSICS,
        "issuer": HUB.name,
        "provider": HUB.name,
        "host": MEMBER,
        "period": OCTOBER,
        "start": OCTOBER.start,
        "end": OCTOBER.end,
        "currency": "CNY",
        "description": f"{kind.value}, {line}",
        "invoice_id": "INV-2026-10-0001",
        "invoice_line_id": kind_line(kind),
        "price_book": "sha256:5f0c",
    }
    return Charge(line_id=line, kind=kind, **{**defaults, **fields})


def kind_line(kind: ChargeKind, invoice: str = "1") -> str:
    return f"{invoice}-{kind.name.lower()}"


def charges() -> list[Charge]:
    """All eight kinds and a correction for one organisation, and a little for another, each with its rounding."""
    held = Commitment("r1", "Ten days of A100", "c1")
    job = Resource("job", "77777777", "train-llm")
    used: dict[str, Any] = {"project": TRAINING, "site": SITE, "pool_id": "gpu", "resource": job}
    hour = timedelta(hours=1)
    first = OCTOBER.start + 12 * hour
    found = [
        charge("1", ChargeKind.ON_DEMAND, pricing=priced(3600), seconds=Decimal(3600), start=first, end=first + hour,
               tags=(("team", "llm"), ("=cost", "@1")), **used),
        charge("2", ChargeKind.ON_DEMAND, pricing=priced(1234), seconds=Decimal(1234), start=first + hour,
               end=first + timedelta(seconds=4834), description="=cmd|' /C calc'!A0", **used),
        charge("3", ChargeKind.SPOT, pricing=priced(7001, "6.250000", "5.123457"), seconds=Decimal("7001.000"),
               start=first, end=first + 2 * hour, **used),
        charge("4", ChargeKind.PURCHASE, pricing=priced(36000, "12.500000", "8.000000"), commitment=held,
               project=TRAINING, site=SITE, pool_id="gpu", is_recurring=False),
        charge("5", ChargeKind.COMMITTED_USED, pricing=priced(25200, "12.500000", "8.000000"), seconds=Decimal(25200),
               commitment=held, start=first, end=first + 7 * hour, **used),
        charge("6", ChargeKind.COMMITTED_UNUSED, pricing=priced(10800, "12.500000", "8.000000"), commitment=held,
               start=first + 7 * hour, end=first + 10 * hour, project=TRAINING, site=SITE, pool_id="gpu"),
        charge("7", ChargeKind.CREDIT, cost=Decimal("-5.000000000000001"), description="Grant 2026"),
        charge("8", ChargeKind.ON_DEMAND, pricing=priced(-600), seconds=Decimal(-600), corrects="0-17",
               invoice_line_id="1-correction", start=SEPTEMBER.start + hour,
               end=SEPTEMBER.start + hour + timedelta(seconds=600), **used),
        charge("9", ChargeKind.TAX, cost=Decimal("6.7812345"), tax=Tax("VAT", Decimal("0.06"))),
    ]  # fmt: skip
    found.append(rounding("10", found))
    other = charge(
        "11", ChargeKind.ON_DEMAND, pricing=priced(86400, "3.000000", "2.500000", "910b"), seconds=Decimal(86400),
        payer=BIOLOGY, invoice_id="INV-2026-10-0002", invoice_line_id="2-on_demand", start=first,
        end=first + 24 * hour, is_inference=True, resource=Resource("notebook", "88", "-1+1"), site=SITE,
    )  # fmt: skip
    return [*found, other]


def rounding(line: str, lines: list[Charge]) -> Charge:
    exact = total(owed(one) for one in lines)
    payable = exact.quantize(Decimal("0.01"), ROUND_HALF_UP)
    return charge(line, ChargeKind.ADJUSTMENT, cost=payable - exact, description="Rounded to 0.01")


def owed(one: Charge) -> Decimal:
    value = cost_and_usage(one)["BilledCost"]
    assert isinstance(value, Decimal)
    return value


@dataclass(frozen=True)
class Bundle:
    """All datasets of FOCUS 1.4, as rows of values."""

    cost_and_usage: list[Row]
    billing_period: list[Row]
    invoice_detail: list[Row]
    contract_commitment: list[Row]

    def datasets(self) -> Iterator[tuple[Dataset, list[Row]]]:
        yield COST_AND_USAGE_1_4, self.cost_and_usage
        yield reference.BILLING_PERIOD_1_4, self.billing_period
        yield reference.INVOICE_DETAIL_1_4, self.invoice_detail
        yield reference.CONTRACT_COMMITMENT_1_4, self.contract_commitment


def bundle() -> Bundle:
    lines = charges()
    issued = OCTOBER.end + timedelta(days=2)
    details = []
    for line_id in dict.fromkeys(one.invoice_line_id for one in lines):
        some = [one for one in lines if one.invoice_line_id == line_id]
        first = some[0]
        details.append(
            reference_rows.invoice_detail(
                reference_rows.InvoiceLine(
                    line_id=str(line_id),
                    invoice_id=str(first.invoice_id),
                    payer=first.payer,
                    issuer=first.issuer,
                    period=first.period,
                    currency=first.currency,
                    category=str(cost_and_usage(first)["ChargeCategory"]),
                    cost=total(owed(one) for one in some),
                    description=first.description,
                    created_at=OCTOBER.end,
                    updated_at=issued,
                    payment_terms="30 days",
                    issued_at=issued,
                    due_at=issued + timedelta(days=30),
                    sku_id=first.pricing.sku_id if first.pricing else None,
                )
            )
        )
    reservation = reference_rows.Reservation(
        id="r1",
        contract_id="c1",
        contract_period=Period(SEPTEMBER.start, OCTOBER.end),
        description="Ten card-hours of A100",
        issuer=HUB.name,
        provider=HUB.name,
        currency="CNY",
        term=OCTOBER,
        term_in_words="1 Month",
        status="Expired",
        hours=Decimal(10),
        unit=Unit.ACCELERATOR,
        cost=Decimal(80),
        discount=Decimal("0.36"),
        upfront=Decimal(1),
        sku_id="a100",
        created_at=SEPTEMBER.start,
        updated_at=OCTOBER.end,
        project_id=TRAINING.id,
    )
    month = reference_rows.BillingMonth(HUB.name, OCTOBER, True, OCTOBER.start, issued)
    return Bundle(
        [cost_and_usage(one) for one in lines],
        [reference_rows.billing_period(month)],
        details,
        [reference_rows.contract_commitment(reservation)],
    )


def texts(dataset: Dataset, rows: list[Row]) -> list[dict[str, str | None]]:
    """As a file of the dataset has them."""
    return [{name: plain(row.get(name)) for name in dataset.names} for row in rows]


def rows_1_2() -> list[dict[str, str | None]]:
    return texts(COST_AND_USAGE_1_2, [cost_and_usage(one) for one in charges()])
