"""The draws of the published openb experiment, and the arrivals that follow from them."""

import os
from collections import defaultdict
from pathlib import Path
from statistics import fmean

import pytest

from federation.bench import openb
from federation.bench.draws import Draws
from federation.placement.types import Request

_BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data" / "openb-2023"
FOLDER = Path(os.environ.get("AQUIFER_OPENB", _BESIDE))


@pytest.mark.parametrize(
    ("seed", "numbers", "below", "shuffled", "later"),
    [
        (42, (3440579354231278675, 608747136543856411), (6368, 1), [1, 4, 9, 5, 8, 7, 2, 6, 3, 0], 151381726411112522),
        (0, (8717895732742165505, 2259404117704393152), (7393, 4), [6, 9, 8, 7, 0, 5, 4, 1, 2, 3], 277534452730929848),
        (-7, (747107023976529931, 7084732931963018726), (5290, 2), [0, 9, 6, 2, 1, 8, 4, 5, 7, 3], 6328850640140241875),
    ],
)
def test_numbers_are_those_that_go_draws(
    seed: int, numbers: tuple[int, ...], below: tuple[int, ...], shuffled: list[int], later: int
) -> None:
    """Written down from a program in Go."""
    draws, items = Draws(seed), list(range(10))
    assert (draws.number(), draws.number()) == numbers
    assert (draws.below(9420), draws.below(7)) == below
    draws.shuffle(items)
    assert items == shuffled
    assert [draws.number() for _ in range(5000)][-1] == later


def pod(name: str, devices: int = 1, milli: int = 1000) -> Request:
    return Request(name, 1000, 100, devices, milli)


def test_arrivals_end_before_the_pod_that_goes_beyond() -> None:
    pods = [pod(f"p{n}", 1, 300) for n in range(5)]
    found = openb.drawn(pods, 4000, 7)
    assert sum(map(openb.asked_milli, found)) == 3900
    assert len({one.id for one in found}) == 13, "each has a name of its own"
    assert {one.id for one in openb.drawn(pods, 900, 7)} < {one.id for one in pods}, "a long list loses some"


def test_a_list_without_devices_cannot_reach_any_ratio() -> None:
    with pytest.raises(openb.BenchError, match="no ratio"):
        openb.drawn([pod("a", 0)], 1000, 1)


@pytest.mark.skipif(not FOLDER.is_dir(), reason="the openb-2023 trace is not here (AQUIFER_OPENB)")
@pytest.mark.parametrize(
    ("seed", "published"),
    [
        (42, [0.26, 1.01, 2.01, 2.98, 4.01, 5.04, 6.04, 7.1, 8.03, 9.0]),
        (43, [0.26, 1.0, 2.01, 2.99, 3.99, 4.97, 5.99, 6.98, 7.98, 9.09]),
        (48, [0.26, 1.03, 1.98, 2.98, 4.06, 4.97, 6.02, 6.98, 7.99, 9.03]),
    ],
)
def test_arrivals_are_the_published_ones(seed: int, published: list[float]) -> None:
    """Of list cpu250, published: the mean of what is given out while arrivals round to 0, 1, 2, ... percent. All of the
    first are placed, so it is the mean of what was asked."""
    asked, by_percent = 0, defaultdict(list)
    for one in openb.drawn(openb.pods(openb.pods_path(FOLDER, "cpu250")), 1.3 * 6_212_000, seed):
        asked += openb.asked_milli(one)
        by_percent[round(asked / 62_120)].append(asked / 62_120)
    assert [fmean(by_percent[percent]) for percent in range(10)] == pytest.approx(published, abs=0.011)
