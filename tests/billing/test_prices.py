"""Prices against the database: which one holds, and that two never do."""

import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from billing.actions import prices
from billing.models import PriceVersion
from portal.audit import SYSTEM
from portal.errors import Conflict, Invalid
from portal.models import AuditEntry
from portal.permissions import Scope
from tests.billing.rows import Estate, at

pytestmark = pytest.mark.django_db


def listed(estate: Estate) -> dict[str, Any]:
    return {"book": prices.default_book("CNY"), "flavor": estate.flavor, "currency": "CNY"}


def windows(estate: Estate) -> list[tuple[Any, Any, Decimal]]:
    rows = PriceVersion.objects.filter(flavor=estate.flavor).order_by("valid_from")
    return [(p.valid_from, p.valid_to, p.unit_price) for p in rows]


def test_a_new_price_ends_the_one_that_holds() -> None:
    estate = Estate()
    first = estate.price("10", valid_from=at(0))
    second = estate.price("12.5", valid_from=None)
    first.refresh_from_db()
    assert first.valid_to == second.valid_from
    assert second.valid_to is None
    assert abs(second.valid_from - timezone.now()) < timedelta(seconds=60)
    assert (first.version, second.version) == (2, 1)
    assert AuditEntry.objects.filter(what="price.set").count() == 2


def test_a_price_planned_for_later_limits_one_set_before_it() -> None:
    estate = Estate()
    soon, later = (timezone.now().replace(microsecond=0) + timedelta(days=n) for n in (1, 9))
    estate.price("20", valid_from=later)
    estate.price("10", valid_from=soon)
    assert windows(estate) == [(soon, later, Decimal(10)), (later, None, Decimal(20))]


def test_the_past_may_be_filled_but_not_changed() -> None:
    estate = Estate()
    estate.price("10", valid_from=at(60))
    estate.price("9", valid_from=at(0))
    assert windows(estate) == [(at(0), at(60), Decimal(9)), (at(60), None, Decimal(10))]
    with pytest.raises(Conflict, match="now or later"):
        estate.price("11", valid_from=at(90))
    with pytest.raises(Conflict, match="very moment"):
        estate.price("11", valid_from=at(60))


def test_odd_windows_are_refused() -> None:
    estate = Estate()
    with pytest.raises(Invalid, match="whole seconds"):
        estate.price("10", valid_from=at(0, milliseconds=1))
    with pytest.raises(Invalid, match="after it begins"):
        estate.price("10", valid_from=at(1), valid_to=at(1))


def test_the_list_a_tenant_and_a_currency_have_prices_of_their_own() -> None:
    estate, other = Estate(), Estate()
    estate.price("10")
    estate.price("8", tenant=estate.tenant)
    estate.price("7", tenant=other.tenant)
    prices.set_price(by=SYSTEM, flavor=estate.flavor, unit_price=Decimal(2), currency="USD", valid_from=at(0))
    for_estate = PriceVersion.objects.for_tenant(estate.tenant.pk, "CNY")
    assert sorted(p.unit_price for p in for_estate) == [8, 10]


def test_list_prices_are_for_everybody_and_agreed_ones_for_their_tenant() -> None:
    estate, other = Estate(), Estate()
    listed, mine = estate.price("10"), estate.price("8", tenant=estate.tenant)
    estate.price("7", tenant=other.tenant)

    def seen(scope: Scope) -> set[Any]:
        return set(PriceVersion.objects.in_scope(scope).values_list("pk", flat=True))

    none: frozenset[Any] = frozenset()
    assert seen(Scope(False, frozenset({estate.tenant.pk}), none)) == {listed.pk, mine.pk}
    assert seen(Scope(False, none, frozenset({estate.project.pk}))) == {listed.pk, mine.pk}
    assert seen(Scope(False, none, none)) == set()
    assert len(seen(Scope(True, none, none))) == 3


@pytest.mark.parametrize(("start", "end"), [(-10, 1), (59, 70), (10, 20), (-10, 70), (0, 60), (-10, None), (30, None)])
def test_the_database_refuses_two_prices_at_once(start: int, end: int | None) -> None:
    estate = Estate()
    estate.price("10", valid_from=at(0), valid_to=at(60))
    with pytest.raises(IntegrityError, match="two prices would hold"), transaction.atomic():
        PriceVersion.objects.create(**listed(estate), unit_price=1, valid_from=at(start), valid_to=end and at(end))


@pytest.mark.parametrize(("start", "end"), [(-10, 0), (60, None)])
def test_prices_may_touch(start: int, end: int | None) -> None:
    estate = Estate()
    estate.price("10", valid_from=at(0), valid_to=at(60))
    stop = None if end is None else at(end)
    PriceVersion.objects.create(**listed(estate), unit_price=1, valid_from=at(start), valid_to=stop)


@pytest.mark.parametrize(
    "wrong",
    [
        {"unit_price": -1},
        {"currency": "rmb"},
        {"valid_to": at(-1)},
        {"valid_from": at(0, milliseconds=5)},
        {"valid_to": at(1, milliseconds=5)},
    ],
)
def test_the_database_refuses_prices_that_make_no_sense(wrong: dict[str, Any]) -> None:
    estate = Estate()
    estate.price("10", valid_from=at(-100), valid_to=at(-90))  # one to be compared with
    values = {**listed(estate), "unit_price": 1, "valid_from": at(0), **wrong}
    with pytest.raises(IntegrityError), transaction.atomic():
        PriceVersion.objects.create(**values)


def test_the_database_refuses_to_change_or_delete_a_price() -> None:
    estate = Estate()
    price = estate.price("10", valid_from=at(0))
    for change in ({"unit_price": 9}, {"valid_from": at(1)}, {"currency": "USD"}, {"tenant": estate.tenant}):
        with pytest.raises(IntegrityError, match="does not change"), transaction.atomic():
            PriceVersion.objects.filter(pk=price.pk).update(**change)
    with pytest.raises(IntegrityError, match="does not change"), transaction.atomic():
        price.delete()


@pytest.mark.django_db(transaction=True)
def test_of_many_who_set_overlapping_prices_at_once_one_gets_through() -> None:
    """Past the action's own lock: straight into the table, all after the same starting gun."""
    estate = Estate()
    there = listed(estate)
    gun, outcomes = threading.Barrier(6), []

    def insert(n: int) -> None:
        gun.wait(10)
        try:
            PriceVersion.objects.create(**there, unit_price=n, valid_from=at(n))
            outcomes.append("in")
        except IntegrityError as error:
            outcomes.append("refused" if "two prices" in str(error) else str(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=insert, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["in", *["refused"] * 5]
