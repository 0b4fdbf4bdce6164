"""Wallets: what comes in, what it pays, what comes back, what expires. Invariant 13."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from hypothesis import strategies as st

from billing.actions import invoices, ledger, wallets
from billing.models import AccountKind, Credit, CreditUse, Invoice, Wallet
from billing.policy import policy
from billing.rating.wallets import Lot, drain
from portal.audit import SYSTEM
from portal.errors import Conflict
from portal.models import AuditEntry
from portal.models.base import uuid7
from tests.billing.cases import holds_for
from tests.billing.invoicing import draft, issue
from tests.billing.rows import Estate, at

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
cents = st.integers(0, 100_000).map(lambda n: Decimal(n) / 100)
lots = st.lists(
    st.builds(
        lambda left, expires, came: Lot(
            uuid7(), left, None if expires is None else EPOCH + timedelta(days=expires), EPOCH - timedelta(days=came)
        ),
        cents,
        st.none() | st.integers(-5, 5),
        st.integers(0, 5),
    ),
    max_size=8,
)


# -- the arithmetic -----------------------------------------------------------------------------------------


@holds_for(lots, cents, cents, st.randoms(use_true_random=False))
def test_what_is_drained_adds_up_and_its_order_is_always_the_same(
    some: list[Lot], wanted: Decimal, overdraft: Decimal, random: Any
) -> None:
    found = drain(some, wanted, EPOCH, overdraft)
    left = {lot.id: lot.left for lot in some}
    assert found.paid + found.due == wanted
    assert 0 <= found.overdrawn <= overdraft
    assert all(0 < amount <= left[pk] for pk, amount in found.taken)
    good = [lot for lot in some if lot.expires_at is None or lot.expires_at > EPOCH]
    assert {pk for pk, _ in found.taken} <= {lot.id for lot in good}
    # The overdraft, and a debt, only where every good credit is used up; a later credit only after the earlier ones.
    used = dict(found.taken)
    if found.overdrawn or found.due:
        assert all(used.get(lot.id, 0) == lot.left for lot in good)
    if found.due:
        assert found.overdrawn == overdraft
    for first in good:
        for second in good:
            sooner = (first.expires_at or datetime.max.replace(tzinfo=UTC), first.came_at) < (
                second.expires_at or datetime.max.replace(tzinfo=UTC),
                second.came_at,
            )
            if sooner and second.id in used:
                assert used.get(first.id, 0) == first.left
    random.shuffle(some)
    assert drain(some, wanted, EPOCH, overdraft) == found


# -- with the ledger ----------------------------------------------------------------------------------------


@pytest.fixture
def estate(db: None) -> Estate:
    made = Estate()
    made.price("10")
    return made


def add(estate: Estate, amount: str, kind: str = "top-up", days: float | None = None) -> Credit:
    expires = None if days is None else timezone.now() + timedelta(days=days)
    return wallets.add(
        by=SYSTEM, tenant=estate.tenant, currency="CNY", kind=kind, amount=Decimal(amount), expires_at=expires
    )


def balance(estate: Estate) -> Decimal:
    """By the wallet's rows; and the ledger says the same."""
    found: Decimal = Wallet.objects.with_balance().get(tenant=estate.tenant).balance
    assert -ledger.balance(AccountKind.WALLET, "CNY", tenant_id=estate.tenant.pk) == found
    return found


def left(*credits: Credit) -> list[Decimal]:
    found = dict(Credit.objects.with_left().values_list("pk", "left"))
    return [found[credit.pk] for credit in credits]


def bill(estate: Estate, minutes: int = 60) -> Invoice:
    estate.ended(at(0), at(minutes))
    return issue(estate)


def pass_by(monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    later = timezone.now() + timedelta(days=days)
    monkeypatch.setattr("django.utils.timezone.now", lambda: later)


def test_money_that_comes_in_is_in_the_wallet_and_in_the_ledger(estate: Estate) -> None:
    add(estate, "100")
    add(estate, "20.50", "grant", days=30)
    assert balance(estate) == Decimal("120.50")
    assert ledger.balance(AccountKind.CASH, "CNY") == 100
    assert ledger.balance(AccountKind.CREDIT, "CNY") == Decimal("20.50")
    assert list(ledger.verify()) == []


def test_an_invoice_is_paid_from_what_expires_first(estate: Estate) -> None:
    never, late, soon = add(estate, "100"), add(estate, "4", "grant", days=60), add(estate, "3", days=5)
    invoice = bill(estate)
    assert wallets.paid_for(invoice) == 10
    assert left(never, late, soon) == [97, 0, 0]
    assert balance(estate) == 97
    assert ledger.balance(AccountKind.RECEIVABLE, "CNY", tenant_id=estate.tenant.pk) == 0


def test_what_the_wallet_does_not_have_is_still_due(estate: Estate) -> None:
    add(estate, "4")
    invoice = bill(estate)
    assert wallets.paid_for(invoice) == 4
    assert ledger.balance(AccountKind.RECEIVABLE, "CNY", tenant_id=estate.tenant.pk) == 6
    assert balance(estate) == 0


def test_a_wallet_goes_below_zero_as_far_as_its_overdraft_and_is_made_good(estate: Estate) -> None:
    add(estate, "4")
    wallet = Wallet.objects.get()
    wallets.set_overdraft(by=SYSTEM, wallet=wallet, overdraft=Decimal(5))
    invoice = bill(estate)
    assert wallets.paid_for(invoice) == 9
    assert balance(estate) == -5
    with pytest.raises(Conflict, match=r"overdrawn by 5\.00"):
        wallets.set_overdraft(by=SYSTEM, wallet=wallet, overdraft=Decimal("4.99"))
    more = add(estate, "7")
    assert left(more) == [2]
    assert balance(estate) == 2


def test_cancelling_gives_back_what_was_taken_where_it_came_from(estate: Estate) -> None:
    soon, never = add(estate, "3", "grant", days=5), add(estate, "100")
    invoice = bill(estate)
    invoices.cancel(by=SYSTEM, invoice=invoice)
    assert left(soon, never) == [3, 100]
    assert wallets.paid_for(invoice) == 0
    assert balance(estate) == 103
    assert ledger.balance(AccountKind.RECEIVABLE, "CNY", tenant_id=estate.tenant.pk) == 0
    again = invoices.issue(by=SYSTEM, invoice=draft(estate), policy=policy())
    assert wallets.paid_for(again) == 10
    assert left(soon, never) == [0, 93]


@pytest.mark.parametrize("is_made_good", [False, True])
def test_cancelling_gives_back_an_overdraft_too(estate: Estate, is_made_good: bool) -> None:
    add(estate, "4")
    wallets.set_overdraft(by=SYSTEM, wallet=Wallet.objects.get(), overdraft=Decimal(100))
    invoice = bill(estate)
    assert balance(estate) == -6
    more = [add(estate, "8")] if is_made_good else []
    assert left(*more) == [2] * len(more)
    invoices.cancel(by=SYSTEM, invoice=invoice)
    assert balance(estate) == (12 if is_made_good else 4)
    assert left(*more) == [8] * len(more)
    assert wallets.paid_for(invoice) == 0


def test_what_expires_is_posted_once_and_what_comes_back_afterwards_expires_again(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, paid = add(estate, "30", "grant", days=5), add(estate, "7", days=6)
    invoice = bill(estate)
    assert left(given, paid) == [20, 7]
    assert wallets.due_to_expire() == []
    pass_by(monkeypatch, 7)
    assert wallets.due_to_expire() == [estate.tenant.pk]
    assert wallets.expire(tenant_id=estate.tenant.pk) == 2
    assert wallets.expire(tenant_id=estate.tenant.pk) == 0
    assert balance(estate) == 0
    assert ledger.balance(AccountKind.CREDIT, "CNY") == 10  # given 30, of which 20 came back unused
    assert ledger.balance(AccountKind.REVENUE, "CNY", site="") == -7
    invoices.cancel(by=SYSTEM, invoice=invoice)
    assert balance(estate) == 10
    assert wallets.expire(tenant_id=estate.tenant.pk) == 1
    assert balance(estate) == 0
    assert AuditEntry.objects.filter(what="wallet.expire").count() == 3
    assert list(ledger.verify()) == []


def test_expired_credit_pays_nothing_even_before_the_sweep_comes(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(estate, "30", days=5)
    estate.ended(at(0), at(60))
    pass_by(monkeypatch, 6)
    assert wallets.paid_for(issue(estate)) == 0


def test_the_database_refuses_to_take_more_than_there_is_or_to_change_what_was(estate: Estate) -> None:
    credit = add(estate, "3")
    wallet = credit.wallet
    more: dict[str, Any] = {"wallet": wallet, "reason": "invoice"}
    for attempt in (
        lambda: CreditUse.objects.create(**more, credit=credit, amount=Decimal("3.01")),
        lambda: CreditUse.objects.create(**more, credit=credit, amount=Decimal("-0.01")),
        lambda: CreditUse.objects.create(**more, credit=None, amount=Decimal("0.01")),
        lambda: Credit.objects.filter(pk=credit.pk).update(amount=5),
        lambda: Credit.objects.filter(pk=credit.pk).delete(),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            attempt()
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("TRUNCATE billing_credituse")
