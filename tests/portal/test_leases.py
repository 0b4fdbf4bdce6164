"""Leases: one worker per row at a time, and nothing written by one who has lost it."""

import uuid
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from federation.models import Pool
from portal.leases import STUCK_AFTER, backoff_seconds, forgettable, seconds_from_now
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def pool() -> Pool:
    return factories.pool()


def expire(pool: Pool) -> None:
    Pool.objects.filter(pk=pool.pk).update(lease_expires_at=seconds_from_now(-1))


def settle(pool: Pool, token: uuid.UUID | None, **more: object) -> bool:
    assert token is not None
    return Pool.objects.settle(pool.pk, token, **{"check_in": 5.0, **more})


def test_a_row_is_taken_by_one_and_given_back(pool: Pool) -> None:
    token = Pool.objects.claim(pool.pk)
    assert token is not None
    assert Pool.objects.claim(pool.pk) is None, "busy is no error"
    held = Pool.objects.annotate(left=F("lease_expires_at") - Now()).get()
    assert (held.lease_token, held.attempts) == (token, 1)
    assert timedelta(seconds=settings.LEASE_SECONDS - 5) < held.left <= timedelta(seconds=settings.LEASE_SECONDS)
    assert settle(pool, token, name="Settled")
    pool.refresh_from_db()
    assert (pool.name, pool.lease_token, pool.lease_expires_at, pool.attempts) == ("Settled", None, None, 0)
    assert Pool.objects.claim(pool.pk) is not None


def test_who_lost_the_lease_writes_nothing(pool: Pool) -> None:
    first = Pool.objects.claim(pool.pk)
    expire(pool)
    second = Pool.objects.claim(pool.pk)
    assert second not in (None, first)
    assert not settle(pool, first, name="Late")
    pool.refresh_from_db()
    assert (pool.name != "Late", pool.lease_token) == (True, second)
    assert settle(pool, second, name="In time")
    assert not settle(pool, second, name="Twice"), "a token is used up"
    assert Pool.objects.get().name == "In time"


def test_a_late_answer_still_counts_while_nobody_else_came(pool: Pool) -> None:
    token = Pool.objects.claim(pool.pk)
    expire(pool)
    assert settle(pool, token, name="Late, and alone")


def test_bad_outcomes_are_counted_until_a_good_one(pool: Pool) -> None:
    for count in range(1, STUCK_AFTER + 2):
        token = Pool.objects.claim(pool.pk)
        assert settle(pool, token, is_good=False)
        pool.refresh_from_db()
        assert (pool.attempts, pool.is_stuck) == (count, count > STUCK_AFTER)
    assert settle(pool, Pool.objects.claim(pool.pk))
    pool.refresh_from_db()
    assert (pool.attempts, pool.is_stuck) == (0, False)
    Pool.objects.update(attempts=99)
    Pool.objects.claim(pool.pk)
    assert Pool.objects.get().attempts == 99


def test_the_time_between_tries_doubles_to_ten_minutes_with_jitter() -> None:
    for attempts, least in ((1, 2), (2, 4), (5, 32), (9, 512), (10, 600), (99, 600)):
        found = {backoff_seconds(attempts) for _ in range(50)}
        assert least <= min(found) <= max(found) <= least * 1.2
        assert len(found) > 1


def test_due_is_what_is_to_be_looked_at_and_nobody_looks_at(pool: Pool) -> None:
    assert [p.pk for p in Pool.objects.due()] == [pool.pk]
    token = Pool.objects.claim(pool.pk)
    assert not Pool.objects.due().exists()
    expire(pool)
    assert Pool.objects.due().exists(), "its worker died"
    settle(pool, token, check_in=60.0)
    assert not Pool.objects.due().exists()
    settle(pool, Pool.objects.claim(pool.pk), check_in=None)
    assert Pool.objects.get().next_check_at is None
    assert not Pool.objects.due().exists()


def test_due_rows_are_handed_out_once_oldest_first() -> None:
    pools = [factories.pool() for _ in range(4)]
    for age, pool in enumerate(pools):
        Pool.objects.filter(pk=pool.pk).update(next_check_at=seconds_from_now(-10 - age))
    assert Pool.objects.take_due(3) == [pools[3].pk, pools[2].pk, pools[1].pk]
    assert Pool.objects.take_due(3) == [pools[0].pk]
    assert Pool.objects.take_due(3) == []
    Pool.objects.filter(pk=pools[2].pk).update(next_check_at=Now())
    assert Pool.objects.take_due(3, again_in=0) == [pools[2].pk]
    assert Pool.objects.take_due(3) == [pools[2].pk], "its message was lost: it comes again"


def test_a_wish_to_look_brings_a_look_forward_and_never_back(pool: Pool) -> None:
    for seconds, woken in ((60, 1), (3, 0), (-5, 0)):
        Pool.objects.update(next_check_at=seconds_from_now(seconds))
        before = Pool.objects.get().next_check_at
        assert Pool.objects.wake([pool.pk]) == woken
        after = Pool.objects.get().next_check_at
        assert after < before if woken else after == before
    Pool.objects.update(next_check_at=None)
    assert Pool.objects.wake([pool.pk]) == 0, "what is at its end stays there"


def test_half_a_lease_cannot_be_written(pool: Pool) -> None:
    for half in ({"lease_token": uuid.uuid4()}, {"lease_expires_at": Now()}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Pool.objects.update(**half)


# -- against another connection ---------------------------------------------------------------------------------


@pytest.fixture
def other(transactional_db: None, database_dsn: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """Another worker's connection."""
    with psycopg.connect(database_dsn) as made:
        yield made


def test_a_row_that_another_hands_out_is_passed_over(other: psycopg.Connection[tuple[object, ...]]) -> None:
    first, second = factories.pool(), factories.pool()
    Pool.objects.update(next_check_at=seconds_from_now(-1))
    other.execute("SELECT 1 FROM federation_pool WHERE id = %s FOR UPDATE", [first.pk])
    assert Pool.objects.take_due(5) == [second.pk]
    other.rollback()
    assert Pool.objects.take_due(5) == [first.pk]


def test_a_claim_waits_for_another_and_then_finds_it_taken(other: psycopg.Connection[tuple[object, ...]]) -> None:
    pool, token = factories.pool(), uuid.uuid4()
    other.execute(
        "UPDATE federation_pool SET lease_token = %s, lease_expires_at = now() + interval '90 s' WHERE id = %s",
        [token, pool.pk],
    )
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '50ms'")
    with pytest.raises(Exception, match="lock timeout"):
        Pool.objects.claim(pool.pk)
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '5s'")
    other.commit()
    assert Pool.objects.claim(pool.pk) is None
    assert Pool.objects.get().lease_token == token


@pytest.mark.django_db(transaction=True)
def test_only_what_can_be_lost_is_committed_without_the_disk() -> None:
    def mode() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SHOW synchronous_commit")
            (found,) = cursor.fetchone()
        return str(found)

    usual = mode()
    with forgettable():
        assert mode() == "off"
    assert mode() == usual
    with transaction.atomic():
        with forgettable():
            assert mode() == usual, "inside another transaction that one decides"
        assert mode() == usual
