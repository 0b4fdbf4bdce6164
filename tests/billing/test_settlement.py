"""Settlement and months as pure arithmetic: thousands of made-up federations and instants."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from billing.periods import month, month_of
from billing.rating import ZERO, payable_of, tax_of, total_of
from billing.rating.settlement import Owed, Share, Side, positions, settle, statement

SITES = ["", "a", "b", "c"]
TENANTS = [UUID(int=n) for n in range(1, 5)]
PROJECTS = [UUID(int=n) for n in range(10, 16)]
SHARES = st.lists(
    st.builds(
        Share,
        tenant_id=st.sampled_from(TENANTS),
        project_id=st.sampled_from([None, *PROJECTS]),
        site=st.sampled_from(SITES),
        period=st.sampled_from(["2026-10", "2026-11"]),
        currency=st.sampled_from(["CNY", "EUR"]),
        amount=st.decimals(-(10**9), 10**9, places=15),
    ),
    max_size=30,
)
HOMES = st.dictionaries(st.sampled_from(TENANTS), st.sampled_from(SITES))
DEPARTMENTS = st.dictionaries(st.sampled_from(PROJECTS), st.sampled_from(["", "research", "sales"]))
MANY = examples(max_examples=2000, deadline=None)


@MANY
@given(shares=SHARES, homes=HOMES, departments=DEPARTMENTS)
def test_net_positions_add_up_to_zero_and_statements_rebuild_the_sheet(
    shares: list[Share], homes: dict[UUID, str], departments: dict[UUID, str]
) -> None:
    owed = settle(shares, homes, departments)
    between = [line for line in owed if line.side is Side.SITE]
    found = positions(between)
    for currency in ("CNY", "EUR"):
        assert total_of(p.net for (_, of), p in found.items() if of == currency) == 0
    # Each line stands on the statements of its two parties: the statements of all are the sheet, twice.
    shown = [line for party in SITES for line in statement(between, party)]
    assert sorted(shown, key=repr) == sorted([*between, *between], key=repr)
    for site in SITES:
        own = positions(statement(between, site))
        for currency in ("CNY", "EUR"):
            assert own.get((site, currency)) == found.get((site, currency))
            # By another way: what others used here, less what those of here used elsewhere.
            here = total_of(
                s.amount
                for s in shares
                if (s.site, s.currency) == (site, currency) and homes.get(s.tenant_id, "") != site
            )
            away = total_of(
                s.amount
                for s in shares
                if s.currency == currency and s.site != site and homes.get(s.tenant_id, "") == site
            )
            net = own[site, currency].net if (site, currency) in own else ZERO
            assert net == here - away
    for tenant in TENANTS:
        inside = positions(n for n in owed if n.side is Side.DEPARTMENT and n.tenant_id == tenant)
        assert total_of(p.net for (_, of), p in inside.items() if of == "CNY") == 0
    assert all(isinstance(line, Owed) and line.amount and line.debtor != line.creditor for line in owed)


@MANY
@given(shares=SHARES, homes=HOMES, random=st.randoms(use_true_random=False))
def test_the_sheet_is_the_same_in_whatever_order_usage_is_read(
    shares: list[Share], homes: dict[UUID, str], random: "object"
) -> None:
    shuffled = list(shares)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # Hypothesis' own Random
    assert settle(shuffled, homes, {}) == settle(shares, homes, {})


ZONES = ["Asia/Shanghai", "UTC", "Europe/Berlin", "America/New_York"]


@pytest.mark.parametrize("name", ZONES)
@MANY
@given(at=st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC)))
def test_each_instant_lies_in_one_month_that_begins_and_ends_at_local_midnight(name: str, at: datetime) -> None:
    zone = ZoneInfo(name)
    period = month_of(at, zone)
    assert period.start <= at < period.end
    following = month_of(period.end, zone)
    assert following.start == period.end
    assert month(period.label, zone) == period
    local = period.start.astimezone(zone), period.end.astimezone(zone)
    assert all((edge.day, edge.hour, edge.minute, edge.second) == (1, 0, 0, 0) for edge in local)
    days = (local[1].date() - local[0].date()).days
    shift = local[0].utcoffset() or timedelta(0)
    later = local[1].utcoffset() or timedelta(0)
    assert period.end - period.start == timedelta(days=days) + (shift - later)  # 23 and 25 h days count as they are


@MANY
@given(base=st.decimals(-(10**12), 10**12, places=15), rate=st.decimals(0, 1, places=6))
def test_tax_is_of_the_exact_base_and_a_reversal_carries_its_own(base: Decimal, rate: Decimal) -> None:
    tax = tax_of(base, rate)
    assert abs(tax - base * rate) <= Decimal("0.005")
    assert tax_of(-base, rate) == -tax
    gross = payable_of(total_of([base, tax]))
    assert abs(gross - base - tax) <= Decimal("0.005")
    assert payable_of(-total_of([base, tax])) == -gross
