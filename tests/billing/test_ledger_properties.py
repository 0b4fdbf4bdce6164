"""What the ledger promises, tried on many postings: reversals, keys, edits and the walls against them."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import count
from random import Random
from typing import Any

import pytest
from django.db import IntegrityError, connection, models, transaction
from django.db.models import Sum
from hypothesis import strategies as st

from billing.actions import ledger
from billing.actions.ledger import KeyUsedOtherwise, Move
from billing.models import AccountKind, Charge, LedgerEntry, LedgerTransaction, TransactionKind
from portal.audit import SYSTEM
from tests.billing.cases import holds_for
from tests.billing.invoicing import issue
from tests.billing.test_ledger import _AMOUNTS, _TABLES, app_role, commit, pay, used

__all__ = ["app_role"]
pytestmark = pytest.mark.django_db
amounts = st.decimals(-(10**9), 10**9, places=15)
keys = count()
_CHAINED = (LedgerTransaction, LedgerEntry, Charge)
_COLUMNS = [
    (model, field)
    for model in _CHAINED
    for field in model._meta.concrete_fields
    if field.name not in {"id", "created_at", "transaction", "account"}
]


@pytest.fixture
def books() -> Iterator[None]:
    """An issued invoice, and a payment that was taken back."""
    issue(used())
    ledger.reverse(by=SYSTEM, what=pay())
    commit()
    assert list(ledger.verify()) == []
    yield
    assert list(ledger.verify()) == []


@holds_for(st.integers(0, 2**48), is_shrunk=False)
def test_any_edit_of_any_column_is_found(books: None, seed: int) -> None:
    """22: by somebody who can switch the triggers off."""
    random = Random(seed)
    model, field = random.choice(_COLUMNS)
    row = random.choice(list(model.objects.values_list("pk", field.attname)))
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            try:
                with transaction.atomic():
                    model.objects.filter(pk=row[0]).update(**{field.attname: edited(field, row[1], random)})
            except IntegrityError:
                transaction.set_rollback(True)
                return  # constraints hold without triggers too: found before it was made
            cursor.execute("SET LOCAL session_replication_role = DEFAULT")
        assert list(ledger.verify()) != [], (model.__name__, field.name)
        transaction.set_rollback(True)


def edited(field: Any, was: Any, random: Random) -> Any:
    match field:
        case models.BooleanField():
            return not was
        case models.DecimalField():
            return (was or 0) + Decimal(random.choice([-1, 1])).scaleb(-field.decimal_places)
        case models.DateTimeField():
            return was + timedelta(microseconds=random.choice([-1, 1]))
        case models.ForeignKey():
            others = field.related_model.objects.exclude(pk=was).values_list("pk", flat=True)
            return random.choice(list(others))
        case models.IntegerField():
            return was + 1000
        case models.UUIDField():
            return None if was is not None and field.null else field.to_python(f"{random.getrandbits(128):032x}")
        case models.CharField() | models.TextField():
            return ("x" if was != "x" else "y") if was is None or len(was) < 2 else was[:-1]
    return [] if was else ["00000000-0000-0000-0000-000000000000"]


@pytest.fixture
def posted(books: None, app_role: str) -> str:
    return app_role


@holds_for(
    st.sampled_from(_TABLES), st.sampled_from(["UPDATE", "DELETE", "TRUNCATE"]), st.booleans(), st.integers(0, 99),
    is_shrunk=False,
)  # fmt: skip
def test_nothing_is_changed_by_anybody(posted: str, model: Any, verb: str, is_app: bool, number: int) -> None:
    """5: by the owner of the tables and by a role that only works with them; any row, any column."""
    table, fields = model._meta.db_table, model._meta.concrete_fields
    column = fields[number % len(fields)].column
    rows = model.objects.count()
    where = f"ctid = (SELECT ctid FROM {table} OFFSET {number % rows} LIMIT 1)"  # noqa: S608
    statement = {
        "UPDATE": f'UPDATE {table} SET "{column}" = "{column}" WHERE {where}',  # noqa: S608
        "DELETE": f"DELETE FROM {table} WHERE {where}",  # noqa: S608
        "TRUNCATE": f"TRUNCATE {table} CASCADE",
    }[verb]
    with connection.cursor() as cursor:
        if is_app:
            cursor.execute(f"SET ROLE {posted}")
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            cursor.execute(statement)
        cursor.execute("RESET ROLE")


moves = st.lists(st.tuples(st.sampled_from(["cash", "wallet", "credit"]), amounts), min_size=1, max_size=3)


def post(key: str, some: list[tuple[str, Decimal]], memo: str = "") -> LedgerTransaction:
    """Against what is owed to the tax office, so that it sums to zero."""
    made = [Move(AccountKind(kind), amount, "CNY") for kind, amount in some]
    rest = Move(AccountKind.TAX, -sum((amount for _, amount in some), Decimal(0)), "CNY")
    return ledger.post(by=SYSTEM, kind=TransactionKind.PAYMENT, key=key, moves=[*made, rest], memo=memo)


@holds_for(moves, moves, st.booleans(), is_shrunk=False)
def test_a_repeat_is_the_same_and_anything_else_is_refused(
    some: list[tuple[str, Decimal]], other: list[tuple[str, Decimal]], is_memo: bool
) -> None:
    """3: one key, one content. 6: with its reversals it is nothing, in every column, and once only."""
    key = f"property {next(keys)}"
    with transaction.atomic():
        first = post(key, some)
        assert post(key, some[::-1]).pk == first.pk
        if by_account(some) != by_account(other) or is_memo:
            with pytest.raises(KeyUsedOtherwise) as refused:
                post(key, other, memo="another" if is_memo else "")
            assert refused.value.status == 409
        undone = ledger.reverse(by=SYSTEM, what=first)
        both = LedgerEntry.objects.filter(transaction__in=[first, undone])
        assert not [n for n in both.order_by().values("account").annotate(sum=Sum("amount")) if n["sum"]]
        with pytest.raises(IntegrityError, match="reversed already"), transaction.atomic():
            ledger.reverse(by=SYSTEM, what=first)
        again = ledger.reverse(by=SYSTEM, what=undone)
        assert entries(again) == entries(first)
        commit()
        transaction.set_rollback(True)


def by_account(some: list[tuple[str, Decimal]]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for kind, amount in some:
        found[kind] = found.get(kind, Decimal(0)) + amount
    return found


def entries(posted: LedgerTransaction) -> dict[Any, Decimal]:
    return dict(LedgerEntry.objects.filter(transaction=posted).values_list("account", "amount"))


def test_amounts_of_charges_are_all_turned_round() -> None:
    assert set(ledger._OPPOSITE) == set(_AMOUNTS)
