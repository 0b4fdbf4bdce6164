"""A federation whose views are old, at the size of a toy: nothing is given out twice, and what is lost is counted."""

from dataclasses import replace
from typing import Any

import pytest
from django.core.management import CommandError

from federation.bench.experiment import allocation
from federation.bench.federated import Book, Counts, Run, Setting, compared, split
from federation.placement.mix import Mix
from federation.placement.types import DeviceFree, DeviceShare, Fleet, MemberPlacement, NodeFree, Request
from tests.federation.test_bench import bench, trace

__all__ = ["trace"]
pytestmark = pytest.mark.django_db


def node(name: str) -> NodeFree:
    devices = tuple(DeviceFree(i, "f", "m", "", 1000, 1000, 1000, can_share=True) for i in range(4))
    return NodeFree(name, name, "", "", 16_000, 16_000, devices, total_cpu_milli=16_000, total_memory_mib=16_000)


FLEET = Fleet(tuple(node(f"n{i}") for i in range(12)))
SIZES = ((2, 1000), (1, 300), (1, 500), (1, 300), (1, 500))
ARRIVALS = [Request(f"r{i}", 500 + 250 * (i % 3), 100, *SIZES[i % 5]) for i in range(140)]
MIX = Mix.of(ARRIVALS)


def run(setting: Setting, seed: int = 1) -> Counts:
    return Run(split(FLEET, setting.clusters), setting, MIX, "packing", seed).take_all(ARRIVALS)


def test_nodes_are_dealt_out_to_clusters() -> None:
    assert [n.cluster for n in split(FLEET, 5).nodes][:6] == [
        "cluster-000", "cluster-001", "cluster-002", "cluster-003", "cluster-004", "cluster-000",
    ]  # fmt: skip


def test_without_foreign_work_and_other_planners_a_federation_is_one_fleet() -> None:
    found = run(Setting(clusters=4, staleness=5, rate=10, foreign=0))
    percent, _ = allocation(FLEET, ARRIVALS, MIX, "packing", 1)
    assert found.allocated_milli == pytest.approx(percent / 100 * 48_000)
    assert (found.decisions, found.retried, found.over_committed) == (140, 0, 0)


@pytest.mark.parametrize("seed", range(1, 6))
def test_what_is_known_at_once_is_never_planned_again(seed: int) -> None:
    found = run(Setting(clusters=4, staleness=0, rate=10, foreign=0.4), seed)
    assert (found.retried, found.refused_by_sites, found.lost_races, found.over_committed) == (0, 0, 0, 0)


@pytest.mark.parametrize("planners", [1, 3])
@pytest.mark.parametrize("seed", range(1, 6))
def test_old_views_cost_plans_and_never_a_device_twice(planners: int, seed: int) -> None:
    found = run(Setting(clusters=4, staleness=5, rate=50, foreign=0.4, planners=planners), seed)
    assert found.over_committed == 0
    assert found.refused_by_sites > 0
    assert (found.lost_races > 0) == (planners > 1)
    assert 0 < found.retried <= found.refused_by_sites + found.lost_races


def test_what_is_over_committed_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were nothing checked, the same run would give out more than there is."""
    monkeypatch.setattr(Book, "fits", lambda *_: True)
    assert run(Setting(clusters=4, staleness=1000, rate=50, foreign=0.4)).over_committed > 0


def test_a_book_counts_nodes_and_devices_that_hold_too_much() -> None:
    book = Book(FLEET)
    member = MemberPlacement("n0", "f", (DeviceShare(0, 600, 600),))
    request = Request("r", 9000, 10, 1, 600)
    assert book.fits(request, member)
    book.take(request, member)
    assert not book.fits(request, member)
    assert book.fits(replace(request, cpu_milli=0, milli=400), replace(member, devices=(DeviceShare(0, 400, 400),)))
    book.take(request, member)
    assert book.over() == 2, "its CPU and its device"


def test_both_runs_have_the_same_arrivals() -> None:
    known, late, counts = compared(FLEET, ARRIVALS, Setting(4, 5, 50, 0.3), MIX, "packing", 3)
    assert counts.decisions == run(Setting(4, 0, 50, 0.3), 3).decisions
    assert 80 < late <= 100
    assert 80 < known <= 100


def test_the_command_compares_with_one_view(trace: Any) -> None:
    figures = bench("placement", "--trace", str(trace), "--clusters", "2", "--staleness", "5", "--seeds", "1:3")
    assert (figures["clusters"], figures["staleness_s"], figures["over_committed"]) == (2, 5.0, 0)
    assert len(figures["lost_by_seed"]) == 2
    assert {"lost_points", "retried_percent", "unsplit_percent", "allocation_percent"} <= figures.keys()


@pytest.mark.parametrize(
    "wrong", [("--clusters", "0"), ("--staleness", "-1"), ("--rate", "0"), ("--foreign", "101"), ("--rate", "nan")]
)
def test_a_federation_that_makes_no_sense_is_told(trace: Any, wrong: tuple[str, str]) -> None:
    with pytest.raises(CommandError, match="above 0"):
        bench("placement", "--trace", str(trace), "--clusters", "2", *wrong)
