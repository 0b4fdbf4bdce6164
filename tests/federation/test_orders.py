"""In which order a queue is looked at. Pure: no database."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.placement import orders
from federation.placement.orders import CPU, DEVICES, Item, Part, Run

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
WHOLE = {DEVICES: 100_000, CPU: 1_000_000}
RED, BLUE, GREEN = UUID(int=101), UUID(int=102), UUID(int=103)


def item(number: int, tenant: UUID = RED, devices: int = 1, cpu: int = 1, **more: Any) -> Item:
    """Queued `number` minutes after noon."""
    demand = {DEVICES: 1000 * devices, CPU: 1000 * cpu}
    return Item(UUID(int=number), tenant, NOON + timedelta(minutes=number), demand=demand, **more)


def numbers(items: list[Item]) -> list[int]:
    return [one.id.int for one in items]


def test_orders_by_what_they_say() -> None:
    items = [
        item(1, priority=0, deadline_at=None, predicted_seconds=50.0),
        item(2, priority=5, deadline_at=NOON + timedelta(days=2), predicted_seconds=None),
        item(3, priority=5, deadline_at=NOON + timedelta(days=1), predicted_seconds=5.0),
        item(4, priority=-1, deadline_at=None, predicted_seconds=0.0),
    ]
    assert numbers(orders.in_order("fifo", items)) == [1, 2, 3, 4]
    assert numbers(orders.in_order("priority", items)) == [2, 3, 1, 4]
    assert numbers(orders.in_order("earliest-deadline", items)) == [3, 2, 1, 4]
    assert numbers(orders.in_order("shortest-predicted", items)) == [4, 3, 1, 2]
    with pytest.raises(KeyError):
        orders.in_order("alphabet", items)


def test_fair_share_takes_turns_whoever_sent_more() -> None:
    items = [*(item(n) for n in range(1, 6)), item(6, BLUE), item(7, BLUE)]
    assert numbers(orders.fair_share(items, {}, WHOLE)) == [1, 6, 2, 7, 3, 4, 5]


def test_fair_share_counts_what_is_held_and_what_each_place_asks_for() -> None:
    items = [item(1), item(2), item(3, BLUE, devices=3), item(4, BLUE), item(5, GREEN)]
    held = {RED: Part({DEVICES: 2500}), GREEN: Part({DEVICES: 50_000})}
    assert numbers(orders.fair_share(items, held, WHOLE)) == [3, 1, 4, 2, 5]


def test_the_share_that_counts_is_the_dominant_one() -> None:
    """Red asks for little of the devices and much of the cores."""
    items = [item(1, cpu=400, devices=0), item(2, cpu=400, devices=0), item(3, BLUE, 30), item(4, BLUE, 30)]
    assert numbers(orders.fair_share(items, {}, WHOLE)) == [1, 3, 4, 2]


def test_a_tenant_of_twice_the_weight_gets_twice_as_much() -> None:
    items = [item(n, tenant) for n in range(1, 31) for tenant in (RED, BLUE)]
    first = orders.fair_share(items, {RED: Part(weight=8), BLUE: Part(weight=4)}, WHOLE, most=30)
    assert Counter(one.tenant for one in first) == {RED: 20, BLUE: 10}


def test_a_tenants_own_work_is_in_the_order_of_its_priority() -> None:
    items = [item(1), item(2, priority=1), item(3, BLUE)]
    assert numbers(orders.fair_share(items, {}, WHOLE)) == [2, 3, 1]


def test_nothing_is_told_that_rests_on_what_was_not_read() -> None:
    items = [item(1), item(2), item(3, BLUE), item(4, BLUE), item(5, BLUE)]
    assert numbers(orders.fair_share(items, {}, WHOLE, has_more={RED}.__contains__)) == [1, 3, 2]


items = st.lists(
    st.builds(
        item, st.integers(1, 500), st.sampled_from([RED, BLUE, GREEN]), st.integers(0, 8), st.integers(1, 64),
        priority=st.integers(-2, 2),
    ),
    max_size=40,
    unique_by=lambda one: one.id,
)  # fmt: skip
parts = st.dictionaries(
    st.sampled_from([RED, BLUE]),
    st.builds(Part, st.fixed_dictionaries({DEVICES: st.integers(0, 90_000)}), st.floats(0.5, 64)),
)


@given(items, parts)
def test_each_place_goes_to_whoever_has_least_then(given_items: list[Item], given_parts: Mapping[UUID, Part]) -> None:
    found = orders.fair_share(given_items, given_parts, WHOLE)
    assert sorted(numbers(found)) == sorted(numbers(given_items))
    taken = {t: dict(given_parts.get(t, Part()).held) for t in (RED, BLUE, GREEN)}
    for at, one in enumerate(found):
        shares = {
            other.tenant: orders.dominant_share(taken[other.tenant], WHOLE)
            / given_parts.get(other.tenant, Part()).weight
            for other in found[at:]
        }
        assert shares[one.tenant] == min(shares.values())
        for resource, amount in one.demand.items():
            taken[one.tenant][resource] = taken[one.tenant].get(resource, 0) + amount


@given(items, parts, st.integers(1, 10))
def test_the_heads_of_tenants_give_the_same_order_as_the_whole(
    given_items: list[Item], given_parts: Mapping[UUID, Part], depth: int
) -> None:
    whole = orders.fair_share(given_items, given_parts, WHOLE)
    heads = [one for t in (RED, BLUE, GREEN) for one in [one for one in whole if one.tenant == t][:depth]]
    deep = {t for t in (RED, BLUE, GREEN) if sum(one.tenant == t for one in heads) == depth}
    found = orders.fair_share(heads, given_parts, WHOLE, has_more=deep.__contains__)
    assert found == whole[: len(found)]
    assert len(found) >= min(depth, len(whole))


# -- how long it will run ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train-llama-017", "train-llama"),
        ("train-llama-2026-11-29", "train-llama"),
        ("nightly 20261129T100000Z", "nightly"),
        ("fit_3fa2b1c", "fit"),
        ("resnet50-7", "resnet50"),
        ("resnet50", "resnet50"),
        ("decade-facade", "decade-facade"),
        ("2026-11-29", "2026"),
        ("17", "17"),
        ("-17", "-17"),
        ("", ""),
        ("1" * 200 + "x", "1" * 200 + "x"),
    ],
)
def test_a_stem_is_what_repeats_from_run_to_run(name: str, expected: str) -> None:
    assert orders.stem(name) == expected


RUNS = [Run("train", "training", 40), Run("train", "training", 60), Run("train", "training", 50),
        Run("train", "batch", 1), Run("eval", "batch", 3)]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "kind", "limits", "expected"),
    [
        ("train-4", "training", (None, None), 50.0),
        ("train-4", "training", (None, 45), 45.0),
        ("other", "training", (None, 3600), 3600.0),
        ("other", "training", (20.0, 3600), 20.0),
        ("other", "training", (None, None), 40.0),
        ("train-4", "batch", (None, None), 1.0),
    ],
)
def test_a_prediction_is_of_runs_alike_then_of_limits_then_of_the_project(
    name: str, kind: str, limits: tuple[float | None, ...], expected: float
) -> None:
    assert orders.predicted_seconds(name, kind, RUNS, limits) == expected


def test_only_the_last_runs_count_and_of_nothing_comes_nothing() -> None:
    runs = [Run("t", "batch", 10)] * orders.RUNS + [Run("t", "batch", 99)] * 90
    assert orders.predicted_seconds("t-1", "batch", runs, ()) == 10.0
    assert orders.predicted_seconds("t-1", "batch", [], (None,)) is None
