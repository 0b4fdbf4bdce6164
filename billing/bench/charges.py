"""Charges for benches: any of them by its number, without keeping the others. Names and prices vary as in an estate."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from billing.exports.focus.charges import Charge, ChargeKind, Commitment, Party, Period, Pricing, Resource, Tax, Unit
from billing.exports.focus.columns import Row
from billing.exports.focus.money import product
from billing.exports.focus.rows import cost_and_usage

MONTH = Period(datetime(2026, 9, 30, 16, tzinfo=UTC), datetime(2026, 10, 31, 16, tzinfo=UTC))
HOURS = int((MONTH.end - MONTH.start) / timedelta(hours=1))
_HUB = "Federation Hub"
_MODELS = ("a100", "h100", "910b", "l40s", "mi300x")
_NANO = Decimal("0.000000001")
# Of a hundred charges; the rest is on demand.
_KINDS = (
    *[ChargeKind.SPOT] * 20,
    *[ChargeKind.COMMITTED_USED] * 20,
    *[ChargeKind.COMMITTED_UNUSED] * 4,
    ChargeKind.PURCHASE,
    ChargeKind.CREDIT,
    ChargeKind.TAX,
    ChargeKind.ADJUSTMENT,
)


def charge(number: int) -> Charge:
    turn = number % 100
    kind = _KINDS[turn] if turn < len(_KINDS) else ChargeKind.ON_DEMAND
    tenant, project, site = number % 211, number % 1009, number % 13
    start = MONTH.start + timedelta(hours=number % HOURS)
    seconds = 60 + number * 7919 % 3540
    quantity = (Decimal(seconds) / 3600).quantize(_NANO)
    model = _MODELS[number % len(_MODELS)]
    agreed = Decimal(5_000_000 + number % 97 * 10_007).scaleb(-6)
    is_priced = kind not in (ChargeKind.CREDIT, ChargeKind.TAX, ChargeKind.ADJUSTMENT)
    is_committed = kind in (ChargeKind.PURCHASE, ChargeKind.COMMITTED_USED, ChargeKind.COMMITTED_UNUSED)
    is_metered = is_priced and kind not in (ChargeKind.PURCHASE, ChargeKind.COMMITTED_UNUSED)
    return Charge(
        line_id=f"{number:012}-{number * 2654435761 % 2**32:08x}",
        kind=kind,
        payer=Party(f"{tenant:08x}", f"Institute {tenant} 研究所"),
        issuer=_HUB,
        provider=_HUB,
        host=Party(f"{site:08x}", f"Member {site}"),
        period=MONTH,
        start=start,
        end=start + timedelta(seconds=seconds),
        currency="CNY",
        cost=product(agreed, quantity) if is_priced else Decimal(-1 if kind is ChargeKind.CREDIT else 0),
        description=f"{model}, {kind.value}, {quantity} h x {agreed}",
        invoice_id=f"INV-2026-10-{tenant:05}",
        invoice_line_id=f"{tenant}-{kind.name}",
        project=Party(f"{tenant:04x}-{project:08x}", f"project-{project}"),
        pricing=Pricing(
            sku_id=model,
            meter=f"{model} exclusive",
            price_id=f"{model}-{number % 97}",
            unit=Unit.ACCELERATOR,
            quantity=quantity,
            list_price=agreed + 2,
            agreed_price=agreed,
            details=(("Model", model), ("Mode", "exclusive"), ("GpuCount", 1)),
        )
        if is_priced
        else None,
        seconds=Decimal(seconds) if is_metered else None,
        site=Party(f"{site:08x}", f"Site {site}"),
        pool_id=f"{site}-{model}",
        resource=Resource("job", f"{number // 24:x}", f"train-{number // 24}") if is_metered else None,
        commitment=Commitment(f"{tenant}-{model}", f"Reservation {tenant}", f"{tenant}") if is_committed else None,
        tax=Tax("VAT", Decimal("0.06")) if kind is ChargeKind.TAX else None,
        tags=(("team", f"team-{number % 31}"), ("job", number // 24)),
        price_book="sha256:3c5f",
    )


def rows(count: int, after: int = 0) -> Iterator[Row]:
    return (cost_and_usage(charge(number)) for number in range(after, count))
