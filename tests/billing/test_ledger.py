"""The ledger against the database: what it refuses, what a reversal undoes, and that no edit goes unseen."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction

from billing.actions import invoices, ledger
from billing.actions.bookings import proven_total
from billing.actions.ledger import KeyUsedOtherwise, Move
from billing.models import (
    AccountKind,
    Charge,
    InvoicedCharge,
    LedgerAccount,
    LedgerEntry,
    LedgerTransaction,
    TransactionKind,
    UsageRecord,
)
from billing.rating import ZERO, total_of
from federation.models import Allocation
from portal.audit import SYSTEM
from tests.billing.cases import holds_for
from tests.billing.invoicing import draft, issue
from tests.billing.rows import Estate, at
from tests.billing.strategies import runs

pytestmark = pytest.mark.django_db
_AMOUNTS = ("milli_seconds", "quantity", "list_cost", "contracted_cost", "billed_cost", "effective_cost")
_TABLES = [Charge, InvoicedCharge, LedgerAccount, LedgerEntry, LedgerTransaction]


def pay(amount: str = "10", key: str = "payment 1", **more: Any) -> LedgerTransaction:
    moves = [Move(AccountKind.CASH, Decimal(amount), "CNY"), Move(AccountKind.WALLET, -Decimal(amount), "CNY")]
    return ledger.post(by=SYSTEM, kind=TransactionKind.PAYMENT, key=key, moves=moves, **more)


def commit() -> None:
    """What the database checks at commit is checked now."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")


def used() -> Estate:
    estate = Estate()
    estate.price("10")
    estate.ended(at(0), at(0, seconds=7))
    estate.ended(at(0), at(90), milli=250, device=0)
    return estate


def test_usage_is_posted_against_what_the_site_brought_in() -> None:
    estate = used()
    draft(estate)
    commit()
    charges = Charge.objects.filter(tenant_id=estate.tenant.pk)
    worth = total_of(charges.values_list("billed_cost", flat=True))
    assert worth == Decimal("0.001944444") * 10 + Decimal("0.375") * 10
    assert ledger.balance(AccountKind.UNBILLED, "CNY", tenant_id=estate.tenant.pk) == worth
    assert ledger.balance(AccountKind.REVENUE, "CNY", site=estate.site.slug) == -worth
    assert not UsageRecord.objects.filter(charged_in=None).exists()
    charge = charges.order_by("-milli_seconds").first()
    assert charge is not None
    record = UsageRecord.objects.get(pk=charge.usage_record_ids[0])
    assert (charge.unit, charge.pricing, charge.service_class) == ("Accelerator-Hours", "standard", "guaranteed")
    assert (charge.workload, charge.user, charge.pool) == ("train", "somebody", estate.pool.slug)
    assert (charge.period_start, charge.period_end) == (record.start_at, record.end_at)
    assert charge.sku == f"{estate.flavor.name}/accelerator"


def test_sums_agree_from_the_seconds_to_what_is_owed() -> None:
    estate = used()
    invoice = issue(estate)
    commit()
    assert ledger.balance(AccountKind.UNBILLED, "CNY", tenant_id=estate.tenant.pk) == ZERO
    assert ledger.balance(AccountKind.RECEIVABLE, "CNY", tenant_id=estate.tenant.pk) == invoice.total == invoice.payable
    assert proven_total(invoice) == invoice.total == total_of(invoice.lines.values_list("cost", flat=True))
    records = UsageRecord.objects.filter(tenant_id=estate.tenant.pk)
    charged = Charge.objects.filter(tenant_id=estate.tenant.pk, category="usage")
    for column in ("milli_seconds", "quantity"):
        assert sum(charged.values_list(column, flat=True)) == sum(records.values_list(column, flat=True))
    rounding = ledger.balance(AccountKind.ROUNDING, "CNY")
    assert rounding == -total_of(invoice.lines.filter(category="adjustment").values_list("cost", flat=True)) != ZERO
    invoices.cancel(by=SYSTEM, invoice=invoice)
    commit()
    note = invoice.credit_note
    assert proven_total(note) == note.total == -invoice.total
    assert ledger.balance(AccountKind.RECEIVABLE, "CNY", tenant_id=estate.tenant.pk) == ZERO
    assert ledger.balance(AccountKind.ROUNDING, "CNY") == ZERO
    again = issue(estate)
    assert (again.total, proven_total(again)) == (invoice.total, invoice.total)
    assert list(ledger.verify()) == []


def test_three_steps_lead_from_a_total_to_the_events() -> None:
    estate = used()
    invoice = issue(estate)
    charges = Charge.objects.filter(invoiced__invoice=invoice, category="usage")
    assert total_of(charges.values_list("billed_cost", flat=True)) + proven_rounding(invoice) == invoice.total
    for charge in charges:
        (record,) = UsageRecord.objects.filter(pk__in=charge.usage_record_ids)
        assert charge.price_version_id is not None
        assert charge.rule_version == "1"
        assert len(record.event_ids) == 4  # starting, active, stopping, released
        assert Allocation.objects.get(pk=record.allocation_id).ended_at is not None


def proven_rounding(invoice: Any) -> Decimal:
    return total_of(invoice.lines.filter(category="adjustment").values_list("cost", flat=True))


def test_what_does_not_sum_to_zero_is_refused_at_commit() -> None:
    with pytest.raises(IntegrityError, match=r"is 1\.0+ CNY off"), transaction.atomic():
        ledger.post(
            by=SYSTEM, kind=TransactionKind.PAYMENT, key="odd",
            moves=[Move(AccountKind.CASH, Decimal(3), "CNY"), Move(AccountKind.WALLET, Decimal(-2), "CNY")],
        )  # fmt: skip
        commit()
    with pytest.raises(IntegrityError, match="CNY off"), transaction.atomic():  # one currency does not pay for another
        ledger.post(
            by=SYSTEM, kind=TransactionKind.PAYMENT, key="mixed",
            moves=[Move(AccountKind.CASH, Decimal(3), "CNY"), Move(AccountKind.WALLET, Decimal(-3), "USD")],
        )  # fmt: skip
        commit()
    with pytest.raises(IntegrityError, match="no entries"), transaction.atomic():
        ledger.post(by=SYSTEM, kind=TransactionKind.PAYMENT, key="empty", moves=[])
        commit()
    pay()
    commit()


def test_an_entry_is_in_the_currency_of_its_account() -> None:
    posted = pay()
    account = LedgerAccount.objects.create(kind="cash", site="elsewhere", currency="USD")
    with pytest.raises(IntegrityError, match="currency of its account"), transaction.atomic():
        LedgerEntry.objects.create(transaction=posted, account=account, amount=1, currency="CNY")


@pytest.fixture
def app_role() -> Iterator[str]:
    """A role that may do anything to the tables, but owns none of them."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE app_of_tests")
        cursor.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO app_of_tests")
        yield "app_of_tests"
        cursor.execute("RESET ROLE; DROP OWNED BY app_of_tests; DROP ROLE app_of_tests")


@pytest.mark.parametrize("model", _TABLES)
@pytest.mark.parametrize("who", ["owner", "app"])
def test_nobody_changes_or_removes_what_is_posted(model: Any, who: str, app_role: str) -> None:
    issue(used())
    commit()
    table = model._meta.db_table
    assert model.objects.exists()
    with connection.cursor() as cursor:
        if who == "app":
            cursor.execute(f"SET ROLE {app_role}")
        for statement in (f"UPDATE {table} SET id = id", f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):  # noqa: S608
            with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
                cursor.execute(statement)
        cursor.execute("RESET ROLE")


def test_a_key_is_used_once() -> None:
    first = pay()
    assert pay().pk == first.pk
    assert LedgerTransaction.objects.count() == 1
    with pytest.raises(KeyUsedOtherwise) as refused:
        pay("11")
    assert (refused.value.status, refused.value.code) == (409, "key-used-otherwise")
    assert pay("11", key="payment 2").seq == 2


def test_a_reversal_undoes_and_its_own_reversal_restores() -> None:
    estate = used()
    draft(estate)
    (posted,) = LedgerTransaction.objects.filter(kind="usage")
    worth = ledger.balance(AccountKind.UNBILLED, "CNY")
    undone = ledger.reverse(by=SYSTEM, what=posted, memo="Wrong")
    commit()
    for column in _AMOUNTS:
        both = Charge.objects.filter(transaction__in=[posted, undone]).values_list(column, flat=True)
        assert sum(both) == 0
    assert ledger.balance(AccountKind.UNBILLED, "CNY") == ZERO
    with pytest.raises(IntegrityError, match="reversed already"), transaction.atomic():
        ledger.reverse(by=SYSTEM, what=posted)
    restored = ledger.reverse(by=SYSTEM, what=undone)
    commit()
    assert ledger.balance(AccountKind.UNBILLED, "CNY") == worth
    for column in _AMOUNTS:
        assert sum(Charge.objects.values_list(column, flat=True)) == sum(
            Charge.objects.filter(transaction=posted).values_list(column, flat=True)
        )
    with pytest.raises(IntegrityError, match="reversed already"), transaction.atomic():
        ledger.reverse(by=SYSTEM, what=undone)
    assert {charge.transaction_id for charge in Charge.objects.live()} == {restored.pk}
    with pytest.raises(IntegrityError, match="reversed already"), transaction.atomic():
        ledger.reverse(by=SYSTEM, what=posted)  # what restored it is what can be undone
    again = ledger.reverse(by=SYSTEM, what=restored)
    commit()
    assert ledger.balance(AccountKind.UNBILLED, "CNY") == ZERO
    assert not Charge.objects.live().exists()
    with pytest.raises(IntegrityError, match="charged anew"), transaction.atomic():
        ledger.reverse(by=SYSTEM, what=again)
    assert [t.seq for t in (posted, undone, restored, again)] == [1, 2, 3, 4]
    assert list(ledger.verify()) == []


def test_a_reversal_that_is_not_the_opposite_is_refused() -> None:
    estate = used()
    draft(estate)
    charge = Charge.objects.first()
    assert charge is not None
    for name in _AMOUNTS:
        wrong = ledger.opposite(charge)
        setattr(wrong, name, getattr(wrong, name) + 1)
        with pytest.raises(IntegrityError), transaction.atomic():
            pay(charges=[wrong])
    first, second = ledger.opposite(charge), ledger.opposite(charge)
    with pytest.raises(IntegrityError, match="reversed already"), transaction.atomic():
        pay(charges=[first, second])
    posted = pay()
    with pytest.raises(IntegrityError, match="opposite"), transaction.atomic():
        pay("3", key="half", reverses=posted)
        commit()


def test_the_ledger_has_no_gaps() -> None:
    first = pay()
    with pytest.raises(IntegrityError, match="does not follow"), transaction.atomic():
        LedgerTransaction.objects.create(
            seq=3, kind="payment", key="later", by="somebody", posted_at=first.posted_at, digest="", chain=""
        )


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE billing_ledgerentry SET amount = amount * 2", [(1, "content"), (2, "content"), (3, "content")]),
        ("UPDATE billing_ledgertransaction SET memo = 'for a friend' WHERE seq = 2", [(2, "content")]),
        ("UPDATE billing_ledgertransaction SET by = 'somebody else' WHERE seq = 2", [(2, "follow")]),
        ("UPDATE billing_ledgertransaction SET digest = 'x' WHERE seq = 1", [(1, "content"), (1, "follow")]),
        ("UPDATE billing_charge SET billed_cost = 0 WHERE position = 1 AND category = 'usage'", [(1, "content")]),
        ("UPDATE billing_charge SET usage_record_ids = '{}' WHERE position = 2", [(1, "content")]),
        ("DELETE FROM billing_charge WHERE category = 'adjustment'", [(2, "content")]),
        (
            "DELETE FROM billing_ledgerentry e USING billing_ledgertransaction t WHERE t.id = e.transaction_id"
            " AND t.seq = 2; DELETE FROM billing_ledgertransaction WHERE seq = 2",
            [(2, "missing"), (3, "follow")],
        ),
    ],
)
def test_any_edit_breaks_the_chain(statement: str, found: list[tuple[int, str]]) -> None:
    """By somebody who can switch the triggers off."""
    issue(used())
    pay()
    commit()
    assert list(ledger.verify()) == []
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(statement)
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")
    broken = list(ledger.verify())
    assert [b.seq for b in broken] == [seq for seq, _ in found]
    assert all(word in b.why for b, (_, word) in zip(broken, found, strict=True))


def test_a_command_says_whether_the_ledger_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("verify_ledger")
    pay()
    call_command("verify_ledger")
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "The ledger is empty."
    assert said[1].startswith("1 transactions are as they were posted. The last hash is ")
    assert said[1].endswith(LedgerTransaction.objects.get().chain)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE billing_ledgerentry SET amount = amount * 2")
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")
    with pytest.raises(CommandError, match="1 things are wrong"):
        call_command("verify_ledger")
    assert "Transaction 1: its content is not what was posted." in capsys.readouterr().out


@pytest.mark.django_db(transaction=True)
def test_nothing_joins_a_transaction_that_is_closed() -> None:
    posted = pay()
    entry = LedgerEntry.objects.filter(transaction=posted).select_related("account").first()
    assert entry is not None
    other = LedgerAccount.objects.create(kind="cash", site="elsewhere", currency="CNY")
    with pytest.raises(IntegrityError, match="that transaction is closed"):
        LedgerEntry.objects.create(transaction=posted, account=other, amount=0, currency="CNY")
    estate = used()
    draft(estate)
    charge = Charge.objects.first()
    assert charge is not None
    charge.pk, charge.position = Charge().pk, 99
    with pytest.raises(IntegrityError, match="that transaction is closed"):
        charge.save(force_insert=True)


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_is_off_does_not_commit() -> None:
    with pytest.raises(IntegrityError, match="CNY off"):
        ledger.post(
            by=SYSTEM, kind=TransactionKind.PAYMENT, key="odd", moves=[Move(AccountKind.CASH, Decimal(3), "CNY")]
        )
    assert not LedgerTransaction.objects.exists()


@holds_for(runs(), cases=20, at_length=200, is_shrunk=False)
def test_entries_and_their_reversals_sum_to_nothing_in_every_column(found: list[tuple[int, int, int]]) -> None:
    with transaction.atomic():
        estate = Estate()
        estate.price("12.345678")
        for start, length, milli in found:
            estate.ended(at(0, seconds=start), at(0, seconds=start + length), milli=milli)
        draft(estate)
        for posted in LedgerTransaction.objects.filter(kind="usage", tenant_id=estate.tenant.pk):
            ledger.reverse(by=SYSTEM, what=posted)
        commit()
        charges = Charge.objects.filter(tenant_id=estate.tenant.pk)
        assert charges.count() % 2 == 0
        assert all(sum(charges.values_list(column, flat=True)) == 0 for column in _AMOUNTS)
        assert ledger.balance(AccountKind.UNBILLED, "CNY", tenant_id=estate.tenant.pk) == ZERO
        transaction.set_rollback(True)
