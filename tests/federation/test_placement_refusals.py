"""What the planner refuses, for now or for ever, and what it says is missing. Pure: no database."""

from collections.abc import Mapping

import pytest

from federation.placement.types import NodeFree, Request
from tests.federation.placing import GIB, cards, device, node, one, refused, want

BUSY = node("gpu-17", *cards(4, busy=1))
NOW: dict[str, tuple[Request, list[NodeFree], str, Mapping[str, int], str, str]] = {
    "not enough free devices": (
        want(4, models=frozenset({"A100"})), [BUSY, node("gpu-18", *cards(4, busy=2)), node("t", *cards(8, "T4"))],
        "NotEnoughFreeAccelerators", {"model": 1, "accelerators": 2},
        "4 A100 free on one node wanted.", "Best is gpu-17 with 3.",
    ),
    "not enough of one device": (
        want(1, 500), [node("a", device(0, free=200), device(1, free=450))],
        "NotEnoughFreeAccelerators", {"accelerators": 1},
        "500/1000 of one accelerator free on one node wanted.", "Best is a with 450/1000 of a device.",
    ),
    "unhealthy devices do not count": (
        want(2), [node("a", device(0), device(1, is_healthy=False))],
        "NotEnoughFreeAccelerators", {"accelerators": 1}, "2 accelerators free on one node wanted.",
        "Best is a with 1.",
    ),
    "device memory taken by other shares": (
        want(1, 500, device_memory_mib=30 * GIB), [node("a", device(0, free=600))],
        "NotEnoughFreeAccelerators", {"device-memory": 1},
        "500/1000 of one accelerator with 30720 MiB free on one node wanted.", "Best is a with 24576 MiB.",
    ),
    "cpu": (
        want(1, cpu=16), [node("a", *cards(4), cpu=12), node("b", *cards(4, busy=4), cpu=64)],
        "NotEnoughCpu", {"accelerators": 1, "cpu": 1},
        "16 cores beside 1 accelerator free on one node wanted.", "Best is a with 12 cores.",
    ),
    "memory": (
        want(0, memory=64), [node("a", memory=32), node("b", memory=48)],
        "NotEnoughMemory", {"memory": 2}, "65536 MiB of memory free on one node wanted.", "Best is b with 49152 MiB.",
    ),
    "quota of another flavor": (
        want(2, flavors={"nvidia-t4": 9000, "nvidia-a100": 1500, "cpu": 4000}), [node("a", *cards(4))],
        "QuotaExhausted", {"quota": 1}, "The quota left does not cover 2 accelerators.",
        "Left: 1.5 nvidia-a100.",
    ),
    "no quota at all": (
        want(1, flavors={}), [node("a", *cards(4))],
        "QuotaExhausted", {"quota": 1}, "The quota left does not cover 1 accelerator.",
        "There is no quota for any accelerator.",
    ),
    "quota of cores": (
        want(0, cpu=8, flavors={"cpu": 7500}), [node("a")],
        "QuotaExhausted", {"quota": 1}, "The quota left does not cover 8 cores.", "Left: 7.5 cores.",
    ),
    "all closed": (
        want(1), [node("a", *cards(4), is_open=False, closed_reason="node draining"),
                  node("b", *cards(4), is_open=False, closed_reason="cluster stale")],
        "NoOpenNodes", {"closed": 2}, "No node takes new work.", "1 cluster stale, 1 node draining.",
    ),
    "the wanted site is closed": (
        want(1, sites=frozenset({"east"})),
        [node("a", *cards(4), site="east", is_open=False), node("b", *cards(4), site="west")],
        "NoOpenNodes", {"closed": 1, "site": 1}, "No open node at east.", "There are nodes at west.",
    ),
    "no node at all": (want(1), [], "NoOpenNodes", {}, "There is no node yet.", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", NOW)
def test_what_has_to_wait_is_told_what_is_missing(case: str) -> None:
    request, nodes, reason, filters, message, nearest = NOW[case]
    refusal = refused(one(request, *nodes))
    assert (refusal.reason, refusal.message, refusal.nearest) == (reason, message, nearest)
    assert refusal.filters == filters
    assert list(refusal.filters) == list(filters), "in the order they are asked"
    assert not refusal.is_final


NEVER: dict[str, tuple[Request, list[NodeFree], str, str, str]] = {
    "a model that nobody has": (
        want(1, models=frozenset({"H200"})), [node("a", *cards(4)), node("t", *cards(4, "T4"))],
        "NoMatchingModel", "1 H200 wanted; no open node has such a model.", "There are A100 or T4.",
    ),
    "a vendor that nobody has": (
        want(1, vendors=frozenset({"amd"})), [node("a", *cards(4))],
        "NoMatchingModel", "1 amd wanted; no open node has such a model.", "There are A100.",
    ),
    "a share where only whole devices are given": (
        want(1, 500), [node("a", *cards(4, can_share=False))],
        "NoMatchingModel", "500/1000 of one accelerator wanted; no open node has such a model to share.",
        "Those there are handed out whole only.",
    ),
    "accelerators where there are none": (
        want(1), [node("a")],
        "NoMatchingModel", "1 accelerator wanted; no open node has such a model.",
        "The open nodes have no accelerators.",
    ),
    "more devices than a node has": (
        want(16), [node("a", *cards(8, busy=8)), node("b", *cards(4))],
        "NeverFits", "16 accelerators on one node: no node has that, even when empty.", "Best is a with 8.",
    ),
    "more device memory than a device has": (
        want(1, device_memory_mib=64 * GIB), [node("a", *cards(8, busy=8))],
        "NeverFits", "1 accelerator with 65536 MiB on one node: no node has that, even when empty.",
        "Best is a with 40960 MiB.",
    ),
    "more cores than a node has": (
        want(1, cpu=65), [node("a", *cards(8), cpu=1)],
        "NeverFits", "65 cores beside 1 accelerator on one node: no node has that, even when empty.",
        "Best is a with 64 cores.",
    ),
    "a site that has no nodes": (
        want(0, sites=frozenset({"east"})), [node("a")],
        "NeverFits", "No open node at east.", "There are nodes at s.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NEVER)
def test_what_can_never_fit_is_told_so(case: str) -> None:
    request, nodes, reason, message, nearest = NEVER[case]
    refusal = refused(one(request, *nodes))
    assert (refusal.reason, refusal.message, refusal.nearest) == (reason, message, nearest)
    assert refusal.is_final


def test_nothing_is_final_for_want_of_a_node_that_is_only_closed_or_unwell() -> None:
    closed = node("a", *cards(8, is_healthy=False), is_open=False)
    assert not refused(one(want(8), closed)).is_final


def test_nothing_is_final_for_cpu_where_the_whole_of_a_node_is_unknown() -> None:
    assert not refused(one(want(0, cpu=999), node("a", total_cpu_milli=0))).is_final


def test_quota_makes_nothing_final() -> None:
    assert not refused(one(want(8, flavors={}), node("a", *cards(8)))).is_final


@pytest.mark.parametrize(
    "senseless",
    [
        want(2, 500),
        want(1, 0),
        want(1, 1001),
        want(-1),
        want(1, cpu=-1),
        want(1, memory=-1),
        want(1, replicas=0),
    ],
)
def test_a_request_that_makes_no_sense_is_the_callers_mistake(senseless: Request) -> None:
    with pytest.raises(ValueError, match="r asks for"):
        one(senseless, node("a", *cards(8)))
