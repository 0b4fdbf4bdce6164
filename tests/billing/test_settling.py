"""Tiers of a month and least lengths of runs, as usage comes, goes and comes late."""

from datetime import timedelta
from decimal import Decimal
from random import Random

import pytest
from hypothesis import strategies as st

from billing.actions import commitments, ledger, settling
from billing.actions.prices import Terms
from billing.models import AccountKind, Charge, LedgerTransaction
from billing.policy import policy
from billing.rating import Tier, TierMode, TierScope
from billing.rating.minimums import extra_seconds
from billing.rating.tiers import cost_of
from federation.models import Allocation
from portal.audit import SYSTEM
from tests.billing.cases import holds_for
from tests.billing.invoicing import draft, lines
from tests.billing.rows import Estate, at

pytestmark = pytest.mark.django_db


def tiered(mode: TierMode = TierMode.GRADUATED, scope: TierScope = TierScope.TENANT) -> Terms:
    tiers = [Tier(Decimal(2), Decimal(8)), Tier(Decimal(4), Decimal("4.5"))]
    return Terms(tier_mode=mode, tiers=tiers, tier_scope=scope)


def worth(estate: Estate) -> Decimal:
    return ledger.balance(AccountKind.UNBILLED, "CNY", tenant_id=estate.tenant.pk)


def by_tier() -> dict[int, Decimal]:
    found: dict[int, Decimal] = {}
    for charge in Charge.objects.live():
        found[charge.tier] = found.get(charge.tier, Decimal(0)) + (charge.quantity or 0)
    return found


def test_graduated_tiers_fill_up_one_after_the_other() -> None:
    estate = Estate()
    estate.price("10", terms=tiered())
    estate.ended(at(0), at(90))
    invoice = draft(estate)
    assert [n[1:] for n in lines(invoice)] == [(Decimal("1.5"), 10, 15)]
    estate.ended(at(90), at(300))
    invoice = draft(estate)
    assert [n[1:] for n in lines(invoice)] == [(1, Decimal("4.5"), Decimal("4.5")), (2, 8, 16), (2, 10, 20)]
    assert worth(estate) == Decimal("40.5")


def test_what_is_taken_back_comes_off_the_last_tier() -> None:
    estate = Estate()
    estate.price("10", terms=tiered())
    first = estate.ended(at(0), at(120))
    estate.ended(at(120), at(300))
    draft(estate)
    assert by_tier() == {0: 2, 1: 2, 2: 1}
    Allocation.objects.filter(pk=first.pk).update(ended_at=at(60))  # the first to have come is the one to go
    draft(estate)
    assert by_tier() == {0: 2, 1: 2}
    assert worth(estate) == 36
    assert list(ledger.verify()) == []


def test_a_volume_price_moves_the_whole_month() -> None:
    estate = Estate()
    estate.price("10", terms=tiered(TierMode.VOLUME))
    estate.ended(at(0), at(90))
    draft(estate)
    assert worth(estate) == 15
    estate.ended(at(90), at(120))
    draft(estate)
    assert (worth(estate), by_tier()) == (16, {1: 2})
    estate.ended(at(120), at(240))
    draft(estate)
    assert (worth(estate), by_tier()) == (18, {2: 4})
    before = LedgerTransaction.objects.count()
    settling.settle(tenant_id=estate.tenant.pk, policy=policy())
    assert LedgerTransaction.objects.count() == before


def test_tiers_may_be_counted_by_project() -> None:
    estate = Estate()
    estate.price("10", terms=tiered(scope=TierScope.PROJECT))
    estate.ended(at(0), at(180))
    estate.ended(at(0), at(180), project=estate.project_named("Speech"))
    draft(estate)
    assert by_tier() == {0: 4, 1: 2}


@pytest.mark.parametrize("mode", list(TierMode))
def test_in_whatever_order_usage_comes_a_month_costs_the_same(mode: TierMode) -> None:
    runs = [(0, 50), (50, 47), (97, 61), (160, 130), (290, 20)]
    for n in range(4):
        estate = Estate()
        price = estate.price("10", terms=tiered(mode))
        for start, length in Random(n).sample(runs, len(runs)):
            run = estate.ended(at(start), at(start + length + 13))
            draft(estate)
            Allocation.objects.filter(pk=run.pk).update(ended_at=at(start + length))
        draft(estate)
        charged = Charge.objects.live().filter(tenant_id=estate.tenant.pk)
        total = sum((charge.quantity or Decimal(0) for charge in charged), Decimal(0))
        assert worth(estate) == cost_of(price.window(), total)


@holds_for(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 10**5))
def test_a_run_is_billed_at_least_so_long_and_in_whole_steps(ran: int, minimum: int, step: int) -> None:
    billed = ran + extra_seconds(ran, minimum, step)
    if ran:
        assert billed % step == 0
        assert max(ran, minimum) <= billed < max(ran, minimum) + step
    else:
        assert billed == 0


def test_a_short_run_is_billed_for_the_least_once_it_has_ended() -> None:
    estate = Estate()
    estate.price("36", terms=Terms(minimum_seconds=600, step_seconds=60))
    run = estate.running(at(0), at(2), milli=500)
    draft(estate)
    assert round(worth(estate), 6) == Decimal("0.6")  # it may go on
    Allocation.objects.filter(pk=run.pk).update(ended_at=at(2, seconds=1))
    draft(estate)
    assert round(worth(estate), 6) == 3
    extra = Charge.objects.live().get(is_minimum=True)
    assert (extra.milli_seconds, extra.unit, extra.price_version_id is not None) == (
        479 * 500,
        "Accelerator-Hours",
        True,
    )
    draft(estate)
    assert Charge.objects.filter(is_minimum=True).count() == 1
    Allocation.objects.filter(pk=run.pk).update(ended_at=at(10, seconds=1))  # it ran for longer, as is proven late
    draft(estate)
    assert round(worth(estate), 6) == Decimal(11) * 36 / 60 / 2
    assert Charge.objects.live().get(is_minimum=True).milli_seconds == 59 * 500


def test_a_node_is_let_by_the_day() -> None:
    estate = Estate()
    estate.price("1", terms=Terms(step_seconds=86_400))
    estate.ended(at(0) - timedelta(days=2), at(0) - timedelta(days=1) + timedelta(seconds=1))
    draft(estate)
    assert worth(estate) == 48


def test_the_least_of_a_run_stays_when_a_reservation_covers_it() -> None:
    """However often one looks, what is billed beyond a run is the same."""
    estate = Estate()
    estate.price("36", terms=Terms(minimum_seconds=600))
    commitments.buy(
        by=SYSTEM, tenant=estate.tenant, flavor=estate.flavor, held_milli=1000, unit_price=Decimal(1), currency="CNY",
        start=at(0), end=at(60),
    )  # fmt: skip
    estate.ended(at(0), at(2))
    for _ in range(3):
        draft(estate)
        (extra,) = Charge.objects.live().filter(is_minimum=True)
        assert (extra.milli_seconds, extra.contracted_unit_price, extra.commitment_id) == (480_000, 36, None)
    assert Charge.objects.filter(is_minimum=True).count() == 1
