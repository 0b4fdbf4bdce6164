"""Re-rating by other prices: shown first, posted when approved."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.actions import ledger, prices, rerating
from billing.models import AccountKind, Charge, LedgerTransaction, PriceBook, Proposal, UsageRecord
from billing.policy import policy
from billing.rating import Tier, TierMode
from portal.audit import SYSTEM
from portal.errors import Conflict, IllegalTransition, Invalid
from tests.billing.invoicing import draft, issue, lines, meter
from tests.billing.rows import NOVEMBER, Estate, at

pytestmark = pytest.mark.django_db


@pytest.fixture
def estate() -> Estate:
    found = Estate()
    found.price("10")
    found.ended(at(0), at(90))
    found.ended(at(30), at(40), milli=250, project=found.project_named("Speech"))
    return found


def book(estate: Estate, unit_price: str, **more: Any) -> PriceBook:
    made: PriceBook = PriceBook.objects.create(slug=f"book-{unit_price[0]}", name="Next year", currency="CNY")
    prices.set_price(
        by=SYSTEM, flavor=estate.flavor, unit_price=Decimal(unit_price), currency="CNY", book=made,
        valid_from=at(0) - timedelta(days=300), **more,
    )  # fmt: skip
    return made


def proposed(estate: Estate, by_book: PriceBook, start: Any = None, end: Any = None) -> Proposal:
    return rerating.propose(
        by=SYSTEM, tenant=estate.tenant, book=by_book, start=start or NOVEMBER.start, end=end or NOVEMBER.end,
        policy=policy(),
    )  # fmt: skip


def worth(estate: Estate) -> Decimal:
    return ledger.balance(AccountKind.UNBILLED, "CNY", tenant_id=estate.tenant.pk)


def test_the_difference_is_shown_and_nothing_is_posted(estate: Estate) -> None:
    draft(estate)
    before = LedgerTransaction.objects.count()
    found = proposed(estate, book(estate, "8"))
    assert (found.state, found.charges) == ("open", 3)
    speech = Decimal("0.041666667")
    assert (found.was, found.would_be) == (15 + speech * 10, 12 + speech * 8)
    assert [(n["project"], Decimal(n["difference"])) for n in found.lines] == [("Speech", speech * -2), ("Vision", -3)]
    assert LedgerTransaction.objects.count() == before
    rerating.drop(by=SYSTEM, proposal=found)
    assert LedgerTransaction.objects.count() == before
    with pytest.raises(IllegalTransition):
        rerating.approve(by=SYSTEM, proposal=found, policy=policy())


def test_what_is_approved_is_posted_as_reversals_and_others(estate: Estate) -> None:
    draft(estate)
    found = proposed(estate, book(estate, "8"))
    approved = rerating.approve(by=SYSTEM, proposal=found, policy=policy())
    assert approved.state == "approved"
    assert worth(estate) == found.would_be
    posted = approved.posted_as
    assert posted is not None
    assert [c.reverses_id is not None for c in posted.charges.order_by("position")] == [True] * 3 + [False] * 3
    assert {c.contracted_unit_price for c in Charge.objects.live()} == {Decimal(8)}
    assert {n[2] for n in lines(draft(estate))} == {Decimal(8)}
    assert list(ledger.verify()) == []
    with pytest.raises(IllegalTransition, match="approved already"):
        rerating.approve(by=SYSTEM, proposal=found, policy=policy())


def test_the_same_prices_give_no_difference(estate: Estate) -> None:
    draft(estate)
    found = proposed(estate, PriceBook.objects.get(is_default=True))
    assert (found.charges, found.was, found.would_be, found.lines) == (0, 0, 0, [])
    approved = rerating.approve(by=SYSTEM, proposal=found, policy=policy())
    assert approved.posted_as is None


def test_it_is_the_same_each_time(estate: Estate) -> None:
    draft(estate)
    next_year = book(estate, "8")
    assert proposed(estate, next_year).digest == proposed(estate, next_year).digest


def test_what_changed_since_has_to_be_proposed_anew(estate: Estate) -> None:
    draft(estate)
    next_year = book(estate, "8")
    found = proposed(estate, next_year)
    estate.ended(at(100), at(110))
    draft(estate)
    with pytest.raises(Conflict, match="Propose it anew"):
        rerating.approve(by=SYSTEM, proposal=found, policy=policy())
    again = rerating.approve(by=SYSTEM, proposal=proposed(estate, next_year), policy=policy())
    assert worth(estate) == again.would_be


def test_only_the_period_is_rated_again(estate: Estate) -> None:
    draft(estate)
    found = proposed(estate, book(estate, "8"), start=at(60), end=at(120))
    assert (found.was, found.would_be) == (5, 4)
    for wrong in ({"start": at(61)}, {"start": at(120), "end": at(60)}):
        with pytest.raises(Invalid):
            proposed(estate, PriceBook.objects.get(is_default=True), **wrong)


def test_what_is_invoiced_is_corrected_and_asked_for_on_the_next_invoice(estate: Estate) -> None:
    first = issue(estate)
    approved = rerating.approve(by=SYSTEM, proposal=proposed(estate, book(estate, "8")), policy=policy())
    assert approved.posted_as is not None
    assert {c.is_correction for c in approved.posted_as.charges.all()} == {True}
    second = issue(estate)
    assert second.total < 0
    both = [*lines(first), *lines(second)]
    assert sum(n[3] for n in both) == first.total + second.total
    assert worth(estate) == 0
    first.refresh_from_db()
    assert first.state == "issued"


def test_tiers_are_counted_anew(estate: Estate) -> None:
    draft(estate)
    tiers = prices.Terms(tier_mode=TierMode.GRADUATED, tiers=[Tier(Decimal(1), Decimal(4))])
    found = proposed(estate, book(estate, "8", terms=tiers))
    assert found.would_be == 8 + (Decimal("0.5") + Decimal("0.041666667")) * 4
    rerating.approve(by=SYSTEM, proposal=found, policy=policy())
    assert worth(estate) == found.would_be


def test_another_currency_is_refused(estate: Estate) -> None:
    draft(estate)
    dollars = PriceBook.objects.create(slug="usd", name="Dollars", currency="USD")
    with pytest.raises(Conflict, match="another currency"):
        proposed(estate, dollars)


def test_proof_that_comes_after_approval_takes_the_new_charges_back(estate: Estate) -> None:
    run = estate.running(at(120), at(150))
    draft(estate)
    rerating.approve(by=SYSTEM, proposal=proposed(estate, book(estate, "8")), policy=policy())
    type(run).objects.filter(pk=run.pk).update(ended_at=at(130))
    meter()
    draft(estate)
    record = UsageRecord.objects.filter(allocation_id=run.pk)
    assert sum(record.values_list("seconds", flat=True)) == 600
    mine = Charge.objects.filter(allocation_id=run.pk)
    assert sum(mine.values_list("milli_seconds", flat=True)) == 600_000
    assert sum(mine.values_list("billed_cost", flat=True)) == Decimal("0.166666667") * 10  # by its own book
