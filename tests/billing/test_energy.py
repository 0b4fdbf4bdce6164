"""Energy is charged as it was measured; where it was not, at the nominal power of the cards held."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import strategies as st

from billing.actions import books, prices
from billing.models import Charge, UsageRecord
from billing.rating.energy import drawn
from federation.models import AcceleratorModel, Allocation, EnergyHour
from portal.audit import SYSTEM
from tests.billing.cases import holds_for
from tests.billing.invoicing import draft, issue, meter
from tests.billing.rows import Estate, at
from tests.billing.test_books import price, terms


@holds_for(st.integers(0, 10**8), st.integers(1, 3600), st.integers(1, 3600), st.integers(0, 10**8))
def test_power_is_the_measured_mean_or_between_it_and_the_nominal(
    joules: int, measured: int, ran: int, nominal: int
) -> None:
    found = drawn(1000 * joules, 1000 * measured, ran, nominal)
    mean = 1000 * joules / measured
    if 2 * measured >= ran:
        assert abs(found - mean) <= 0.501
        # What is billed is what was measured, to the rounding of a milliwatt, when all of it was.
        assert measured != ran or abs(found * ran - 1_000_000 * joules // 1000) <= ran
    else:
        assert min(mean, nominal) - 1 <= found <= max(mean, nominal) + 1


def test_nothing_measured_is_nominal() -> None:
    assert drawn(0, 0, 3600, 400_000) == 400_000


def measured(allocation: Allocation, hour: int, joules: int, seconds: int) -> None:
    start = at(60 * hour)
    EnergyHour.objects.create(
        allocation_id=allocation.pk, hour=start, millijoules=1000 * joules, milliseconds=1000 * seconds,
        last_at=start + timedelta(seconds=seconds), last_watts=0,
    )  # fmt: skip


@pytest.fixture
def estate(db: None) -> Estate:
    estate = Estate()
    estate.price("10")
    AcceleratorModel.objects.filter(pk=estate.model.pk).update(power_watts=400)
    book = prices.default_book("CNY")
    price(estate, book, "0.5", meter="energy")
    return estate


def energy(estate: Estate) -> list[tuple[Decimal | None, Decimal]]:
    rows = Charge.objects.live().filter(tenant_id=estate.tenant.pk, meter="energy").order_by("period_start", "id")
    return [(c.quantity, c.billed_cost) for c in rows]


def test_each_hour_is_charged_as_it_was_measured(estate: Estate) -> None:
    work = estate.ended(at(0), at(180), 2000)
    measured(work, 0, 1_800_000, 3600)  # 500 W, where its cards may draw 800
    measured(work, 1, 180_000, 360)  # a tenth of the hour at 500 W: the rest is nominal
    issue(estate)
    assert energy(estate) == [
        (Decimal("0.5"), Decimal("0.25")),
        (Decimal("0.77"), Decimal("0.385")),
        (Decimal("0.8"), Decimal("0.4")),
    ]
    assert list(UsageRecord.objects.order_by("start_at").values_list("power_milliwatts", flat=True)) == [
        500_000, 770_000, None,
    ]  # fmt: skip


def test_figures_that_come_after_the_charge_change_nothing(estate: Estate) -> None:
    work = estate.ended(at(0), at(60))
    issue(estate)
    measured(work, 0, 1, 3600)
    meter()
    assert energy(estate) == [(Decimal("0.4"), Decimal("0.2"))]


def test_an_hour_in_two_pieces_has_one_power(estate: Estate) -> None:
    work = estate.ended(at(0), at(60))
    measured(work, 0, 1_080_000, 3600)  # 300 W
    own = books.create(by=SYSTEM, slug="own", name="Own", currency="CNY")
    price(estate, own, "0.5", meter="energy")
    terms(estate, own, valid_from=at(20))
    issue(estate)
    assert [quantity for quantity, _ in energy(estate)] == [Decimal("0.1"), Decimal("0.2")]


def test_what_was_measured_is_taken_back_with_its_record(estate: Estate) -> None:
    work = estate.ended(at(0), at(60))
    measured(work, 0, 1_080_000, 3600)
    issue(estate)
    Allocation.objects.filter(pk=work.pk).update(ended_at=at(30), proof_at=at(30))
    draft(estate)
    total = sum(c.quantity for c in Charge.objects.filter(tenant_id=estate.tenant.pk, meter="energy"))
    assert total == Decimal("0.15")
