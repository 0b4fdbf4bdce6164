"""Reservations: paid whether used or not, and spread over what they cover to the last digit."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import transaction
from hypothesis import strategies as st

from billing.actions import commitments, ledger
from billing.models import AccountKind, Charge, Commitment
from billing.policy import policy
from billing.rating import ZERO, total_of
from billing.rating.commitments import cover
from federation.models import Allocation
from portal.audit import SYSTEM
from portal.errors import Invalid
from tests.billing.cases import holds_for
from tests.billing.invoicing import draft, issue, lines, meter
from tests.billing.rows import NOVEMBER, Estate, at

pytestmark = pytest.mark.django_db


def buy(
    estate: Estate, start: datetime, end: datetime, milli: int = 2000, price: str = "4", site: str = ""
) -> Commitment:
    return commitments.buy(
        by=SYSTEM, tenant=estate.tenant, flavor=estate.flavor, held_milli=milli, unit_price=Decimal(price),
        currency="CNY", start=start, end=end, site=site,
    )  # fmt: skip


def balance(kind: AccountKind, estate: Estate) -> Decimal:
    return ledger.balance(kind, "CNY", tenant_id=estate.tenant.pk)


def spread(estate: Estate) -> list[tuple[str, Decimal | None, Decimal, Decimal]]:
    rows = Charge.objects.live().filter(tenant_id=estate.tenant.pk, category="usage").order_by("period_start", "meter")
    return [(c.meter if c.commitment_id else "on demand", c.quantity, c.billed_cost, c.effective_cost) for c in rows]


def reconciles(estate: Estate) -> None:
    """Invariant 11: what was paid is what was used and what was not, and nothing is left over at the end."""
    mine = Charge.objects.filter(tenant_id=estate.tenant.pk, commitment_id__isnull=False)
    paid = total_of(mine.filter(category="purchase").values_list("billed_cost", flat=True))
    used = total_of(mine.filter(category="usage").values_list("effective_cost", flat=True))
    assert used == paid
    assert total_of(mine.filter(category="usage").values_list("billed_cost", flat=True)) == ZERO
    assert balance(AccountKind.COMMITMENT, estate) == ZERO
    bought = mine.filter(category="purchase").values_list("milli_seconds", flat=True)
    assert sum(bought) == sum(mine.filter(category="usage").values_list("milli_seconds", flat=True))


def test_usage_is_covered_and_the_rest_stands_as_unused() -> None:
    estate = Estate()
    estate.price("10")
    estate.ended(at(0), at(30))
    estate.ended(at(0), at(60), milli=3000)
    buy(estate, at(0), at(120))
    invoice = draft(estate)
    sums: dict[str, list[Decimal]] = {}
    for how, *amounts in spread(estate):  # which of two at the same time is covered first is all the same
        was = sums.setdefault(how, [ZERO, ZERO, ZERO])
        sums[how] = [one + (more or ZERO) for one, more in zip(was, amounts, strict=True)]
    assert sums == {
        "accelerator": [Decimal(2), ZERO, Decimal(8)],
        "on demand": [Decimal("1.5"), Decimal(15), Decimal(15)],
        "reservation": [Decimal(2), ZERO, Decimal(8)],
    }
    assert invoice.total == 16 + 15
    reconciles(estate)
    assert {n[2:] for n in lines(invoice)} == {(0, 0), (10, 15), (4, 16)}
    covered = Charge.objects.live().filter(commitment_id__isnull=False, meter="accelerator").first()
    assert covered is not None
    assert (covered.pricing, covered.list_unit_price, covered.contracted_unit_price) == ("committed", 10, 4)
    assert covered.usage_record_ids


def test_its_hours_are_used_unused_or_still_to_come() -> None:
    estate = Estate()
    bought = buy(estate, at(0), at(240))
    assert commitments.hours_of(bought) == {"reserved": Decimal(8), "used": ZERO, "unused": ZERO}
    estate.price("10")
    estate.ended(at(0), at(30), milli=1500)
    draft(estate)
    found = commitments.hours_of(bought)
    assert (found["used"], found["used"] + found["unused"]) == (Decimal("0.75"), Decimal(8))


def test_it_is_spread_once_however_often_one_looks() -> None:
    estate = Estate()
    estate.price("10")
    estate.ended(at(0), at(30))
    buy(estate, at(0), at(120))
    draft(estate)
    before = Charge.objects.count()
    draft(estate)
    assert commitments.settle(tenant_id=estate.tenant.pk, policy=policy()) == 0
    assert Charge.objects.count() == before


def test_late_usage_takes_what_was_unused_and_what_is_taken_back_frees_it() -> None:
    estate = Estate()
    estate.price("10")
    buy(estate, at(0), at(60), milli=1000)
    run = estate.running(at(0), at(15))
    draft(estate)
    assert [(kind, q) for kind, q, *_ in spread(estate)] == [
        ("accelerator", Decimal("0.25")),
        ("reservation", Decimal("0.75")),
    ]
    Allocation.objects.filter(pk=run.pk).update(proof_at=at(60))
    draft(estate)
    assert sum(q or 0 for kind, q, *_ in spread(estate) if kind == "accelerator") == 1
    assert all(kind == "accelerator" for kind, *_ in spread(estate))
    reconciles(estate)
    Allocation.objects.filter(pk=run.pk).update(ended_at=at(30))
    draft(estate)
    assert sum(q or 0 for kind, q, *_ in spread(estate) if kind == "accelerator") == Decimal("0.5")
    reconciles(estate)
    assert list(ledger.verify()) == []


def test_each_hour_is_covered_once() -> None:
    """Two reservations: that of the site first, then that of any."""
    estate = Estate()
    estate.price("10")
    buy(estate, at(0), at(60), milli=1000, price="5")
    here = buy(estate, at(0), at(60), milli=1000, price="3", site=estate.site.slug)
    estate.ended(at(0), at(60))
    draft(estate)
    covered = Charge.objects.live().get(meter="accelerator")
    assert covered.commitment_id == here.pk
    reconciles(estate)
    estate.ended(at(0), at(60))
    estate.ended(at(0), at(60))
    draft(estate)
    assert sorted(spread(estate))[0][0] == "accelerator"
    assert [kind for kind, *_ in spread(estate)].count("on demand") == 1
    reconciles(estate)


def test_another_flavor_site_or_tenant_is_not_covered() -> None:
    estate, other = Estate(), Estate()
    for each in (estate, other):
        each.price("10")
        each.ended(at(0), at(60))
    buy(estate, at(0), at(60), site="elsewhere")
    draft(estate)
    draft(other)
    assert sorted(kind for kind, *_ in spread(estate)) == ["on demand", "reservation"]
    assert [kind for kind, *_ in spread(other)] == ["on demand"]
    reconciles(estate)


def test_a_term_over_two_months_is_asked_for_month_by_month() -> None:
    estate = Estate()
    estate.price("10")
    edge = NOVEMBER.start
    buy(estate, edge - timedelta(hours=2), edge + timedelta(hours=3), milli=500, price="7.123456")
    estate.ended(edge - timedelta(minutes=30), edge + timedelta(minutes=20))
    meter()
    issue(estate)
    purchases = Charge.objects.filter(category="purchase").order_by("period_start")
    assert [(c.quantity, c.billed_cost, c.effective_cost) for c in purchases] == [
        (Decimal(1), Decimal("7.123456"), 0),
        (Decimal("1.5"), Decimal("10.685184"), 0),
    ]
    reconciles(estate)


def test_odd_terms_are_refused() -> None:
    estate = Estate()
    for start, end in ((at(1), at(60)), (at(0), at(61)), (at(60), at(60))):
        with pytest.raises(Invalid):
            buy(estate, start, end)


@holds_for(st.decimals(0, 100, places=9), st.lists(st.decimals(0, 50, places=9), max_size=8))
def test_cover_gives_no_more_than_there_is(reserved: Decimal, used: list[Decimal]) -> None:
    covered, unused = cover(reserved, used)
    assert all(0 <= part <= whole for part, whole in zip(covered, used, strict=True))
    assert total_of([*covered, unused]) == reserved
    assert unused == 0 or covered == used


@holds_for(
    st.lists(
        st.tuples(st.integers(-3000, 12_000), st.integers(1, 9000), st.integers(1, 3000), st.integers(-4000, 4000)),
        min_size=1, max_size=4,
    ),
    st.integers(1, 4000), st.integers(-1, 1), st.integers(1, 3), st.decimals(0, 50, places=6),
    cases=12, at_length=150, is_shrunk=False,
)  # fmt: skip
def test_paid_is_used_and_unused_to_the_last_digit(
    runs: list[tuple[int, int, int, int]], milli: int, start: int, length: int, price: Decimal
) -> None:
    with transaction.atomic():
        estate = Estate()
        estate.price("12.345678")
        first = at(60 * start)
        buy(estate, first, first + timedelta(hours=length), milli=milli, price=str(price))
        made = [estate.ended(at(0, seconds=a), at(0, seconds=a + n), milli=m) for a, n, m, _ in runs]
        draft(estate)
        reconciles(estate)
        for run, (a, n, _, change) in zip(made, runs, strict=True):
            Allocation.objects.filter(pk=run.pk).update(ended_at=at(0, seconds=max(a + 1, a + n + change)))
        draft(estate)
        reconciles(estate)
        seconds = sum(max(1, n + change) * m for _, n, m, change in runs)
        used = Charge.objects.filter(tenant_id=estate.tenant.pk, meter="accelerator", category="usage")
        assert sum(used.values_list("milli_seconds", flat=True)) == seconds
        transaction.set_rollback(True)


def owed(estate: Estate) -> Decimal:
    mine = Charge.objects.filter(tenant_id=estate.tenant.pk)
    return total_of(mine.values_list("billed_cost", flat=True))


def test_who_is_covered_does_not_depend_on_who_was_charged_first() -> None:
    """The dear half of an hour, and the cheap one: what a reservation covers is worth the one or the other."""
    found = []
    for is_dear_first in (True, False):
        estate = Estate()
        estate.price("10", valid_to=at(30))
        estate.price("20", valid_from=at(30))
        buy(estate, at(0), at(60), milli=500)
        cheap, dear = estate.running(at(0), at(0, seconds=1)), estate.running(at(30), at(30, seconds=1))
        for run in (dear, cheap) if is_dear_first else (cheap, dear):
            Allocation.objects.filter(pk=run.pk).update(ended_at=at(30 if run is cheap else 60))
            draft(estate)
            reconciles(estate)
        covered = Charge.objects.live().filter(tenant_id=estate.tenant.pk, meter="accelerator")
        assert {c.allocation_id for c in covered.filter(commitment_id__isnull=False)} == {cheap.pk}
        found.append(owed(estate))
        before = Charge.objects.count()
        assert commitments.settle(tenant_id=estate.tenant.pk, policy=policy()) == 0
        assert Charge.objects.count() == before
    assert found == [12, 12]
    assert list(ledger.verify()) == []


def test_a_reservation_of_a_site_takes_over_what_one_of_any_site_covered() -> None:
    """Its own usage is taken back; what it covers instead makes room for another site's under the other."""
    estate = Estate()
    estate.price("10")
    buy(estate, at(0), at(60), milli=1000, price="5")
    here = buy(estate, at(0), at(60), milli=1000, price="3", site=estate.site.slug)
    first, second = estate.ended(at(0), at(60)), estate.ended(at(0), at(60))
    draft(estate)
    Allocation.objects.filter(pk=first.pk).update(ended_at=at(0, seconds=1))
    draft(estate)
    reconciles(estate)
    mine = Charge.objects.live().filter(tenant_id=estate.tenant.pk, allocation_id=second.pk)
    assert sum(mine.filter(commitment_id=here.pk).values_list("milli_seconds", flat=True)) == 3599 * 1000
    assert owed(estate) == 8
