"""Runs of the openb experiment: how much of the devices a policy gives out, and how fast."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from federation.bench import openb
from federation.bench.figures import BenchError, Clock, memory_mib, percentile
from federation.placement import plan
from federation.placement.answers import Batch
from federation.placement.mix import Mix
from federation.placement.plan import Planner
from federation.placement.types import Fleet, Outcome, Refusal, Request

PASSES = 3


def seeds_of(text: str) -> range:
    first, _, end = text.partition(":")
    try:
        seeds = range(int(first), int(end or int(first) + 1))
    except ValueError:
        raise BenchError(f"{text!r} are not seeds; 42:52 are ten.") from None
    if not seeds:
        raise BenchError(f"{text!r} are no seeds at all.")
    return seeds


def arrivals(fleet: Fleet, pods: Sequence[Request], seed: int, options: dict[str, Any]) -> list[Request]:
    if options["arrivals"]:
        return openb.arrivals(options["arrivals"])
    found = openb.drawn(pods, options["ratio"] * openb.capacity_milli(fleet), seed)
    return found[: int(options["decisions"])] if options["decisions"].isdigit() else found


def allocated_milli(batch: Batch) -> int:
    return int(batch.answers.milli[: batch.answers.first_part[-1]].sum())


def allocation(fleet: Fleet, arrivals: Sequence[Request], mix: Mix, policy: str, seed: int) -> tuple[float, Batch]:
    """Percent of the devices that are given out when all have been tried once, in order."""
    batch = Planner(fleet, policy, seed, mix).place_all(arrivals)
    assert isinstance(batch, Batch)
    return 100 * allocated_milli(batch) / max(openb.capacity_milli(fleet), 1), batch


def speed(fleet: Fleet, pods: Sequence[Request], options: dict[str, Any]) -> dict[str, Any]:
    """In a batch, then the same arrivals one request a call; the compiler's time is not in it.

    Each is done `PASSES` times from an empty fleet and the quickest told, since others may use the machine. Decisions a
    second are by the CPU time of this thread, percentiles by the clock on the wall.
    """
    mix, seed, policy = Mix.of(pods), seeds_of(options["seeds"])[0], options["policy"]
    asked = arrivals(fleet, pods, seed, options)
    with Clock() as first:
        plan.warm()
    with Clock() as building:
        planner = Planner(fleet, policy, seed, mix)
    batch, batch_seconds = _in_a_batch(planner, asked)
    outcomes, took, single_seconds = _one_by_one(Planner(fleet, policy, seed, mix), asked)
    memory = memory_mib("VmHWM")
    for _ in range(PASSES - 1):
        batch_seconds = min(batch_seconds, _in_a_batch(Planner(fleet, policy, seed, mix), asked)[1])
        _, again, seconds = _one_by_one(Planner(fleet, policy, seed, mix), asked)
        single_seconds = min(single_seconds, seconds)
        took = again if again.sum() < took.sum() else took
    assert [line(r, o) for r, o in zip(asked[:2000], batch[:2000], strict=True)] == [
        line(r, o) for r, o in zip(asked[:2000], outcomes[:2000], strict=True)
    ], "a batch and single calls decide alike"
    return {
        "decisions": len(asked),
        "refused": sum(isinstance(outcome, Refusal) for outcome in outcomes),
        "first_call_seconds": round(first.seconds, 2),
        "fleet_seconds": round(building.seconds, 3),
        "decisions_per_s": round(len(asked) / batch_seconds),
        "single_per_s": round(len(asked) / single_seconds),
        "p50_us": round(1e6 * percentile(took.tolist(), 50), 1),
        "p99_us": round(1e6 * percentile(took.tolist(), 99), 1),
        "max_us": round(1e6 * float(took.max()), 1),
        "memory_peak_mib": memory,
    }


def _in_a_batch(planner: Planner, asked: Sequence[Request]) -> tuple[Sequence[Outcome], float]:
    """The outcomes, and CPU seconds."""
    began = time.thread_time()
    found = planner.place_all(asked)
    return found, time.thread_time() - began


def _one_by_one(planner: Planner, asked: Sequence[Request]) -> tuple[list[Outcome], npt.NDArray[np.float64], float]:
    """The outcomes, the seconds that each call took, and CPU seconds of all."""
    took = np.empty(len(asked))
    outcomes: list[Outcome] = []
    all_began = time.thread_time()
    for at, request in enumerate(asked):
        began = time.perf_counter()
        outcomes.append(planner.place(request))
        took[at] = time.perf_counter() - began
    return outcomes, took, time.thread_time() - all_began


def line(request: Request, outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Refusal):
        reason = f"{outcome.message} {outcome.nearest}".strip()
        return {"name": request.id, "node": None, "devices": [], "code": outcome.reason, "reason": reason}
    (member,) = outcome.members
    return {"name": request.id, "node": member.node, "devices": [[d.index, d.milli] for d in member.devices]}
