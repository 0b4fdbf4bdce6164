"""How well and how fast the engine places: the openb experiment for any policy, list and seeds."""

import json
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from federation.bench import openb
from federation.bench.figures import BenchError, Clock, memory_mib, percentile
from federation.placement import policies
from federation.placement.answers import Batch
from federation.placement.mix import Mix
from federation.placement.plan import Planner
from federation.placement.types import Fleet, Placement, Refusal, Request

HELP = "Allocation, decisions a second and memory of the placement engine, on the openb trace or on files like it."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--trace", type=Path, help="folder with openb_node_list_*.csv and openb_pod_list_*.csv")
    parser.add_argument("--nodes-file", type=Path, help="nodes in the trace's columns (the trace's GPU nodes)")
    parser.add_argument("--pods", default="default", help="name of a list of the trace (default)")
    parser.add_argument("--pods-file", type=Path, help="a list of pods at any path, instead of --pods")
    parser.add_argument("--policy", default=policies.DEFAULT, help=f"its name ({policies.DEFAULT})")
    parser.add_argument("--seeds", default="42:52", help="first:end, or one (42:52)")
    parser.add_argument("--ratio", type=float, default=1.3, help="GPU asked for to GPU there is (1.3)")
    parser.add_argument("--arrivals", type=Path, help="JSON lines of pods, taken in that order instead of drawn ones")
    parser.add_argument(
        "--decisions", default="", help="a number: so many arrivals; a file: a JSON line for each arrival of one run"
    )
    parser.add_argument("--replicate", type=int, default=1, help="so many copies of the nodes (1)")
    parser.add_argument("--table", type=Path, help="measure all policies on all lists and put the tables into a file")
    parser.add_argument("--engine-only", action="store_true", help="measure speed: in a batch, and one request a call")


def run(options: dict[str, Any]) -> dict[str, Any]:
    if options["table"]:
        from federation.bench import placement_table

        return placement_table.run(options, _folder(options), options["table"])
    try:
        policies.named(options["policy"])
    except ValueError as error:
        raise BenchError(str(error)) from error
    nodes_file = options["nodes_file"] or _folder(options) / "openb_node_list_gpu_node.csv"
    pods_file = options["pods_file"] or openb.pods_path(_folder(options), options["pods"])
    fleet, pods = openb.fleet(nodes_file, options["replicate"]), openb.pods(pods_file)
    figures: dict[str, Any] = {
        "policy": options["policy"],
        "pods": str(options["pods_file"] or options["pods"]),
        "nodes": len(fleet.nodes),
        "devices": openb.capacity_milli(fleet) // 1000,
    }
    if options["engine_only"]:
        return figures | speed(fleet, pods, options)
    return figures | _quality(fleet, pods, options)


def _folder(options: dict[str, Any]) -> Path:
    if options["trace"] is None:
        raise BenchError("Say where the trace is with --trace, or name --nodes-file and --pods-file.")
    folder: Path = options["trace"]
    return folder


def seeds_of(text: str) -> range:
    first, _, end = text.partition(":")
    try:
        seeds = range(int(first), int(end or int(first) + 1))
    except ValueError:
        raise BenchError(f"{text!r} are not seeds; 42:52 are ten.") from None
    if not seeds:
        raise BenchError(f"{text!r} are no seeds at all.")
    return seeds


def _arrivals(fleet: Fleet, pods: Sequence[Request], seed: int, options: dict[str, Any]) -> list[Request]:
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


def _quality(fleet: Fleet, pods: Sequence[Request], options: dict[str, Any]) -> dict[str, Any]:
    mix, seeds = Mix.of(pods), seeds_of(options["seeds"])
    percents, refused, decided, seconds = [], 0, 0, 0.0
    for seed in seeds:
        arrivals = _arrivals(fleet, pods, seed, options)
        with Clock() as clock:
            percent, batch = allocation(fleet, arrivals, mix, options["policy"], seed)
        percents.append(percent)
        refused += int((batch.answers.node < 0).sum())
        decided += len(arrivals)
        seconds += clock.seconds
        if options["decisions"] and not options["decisions"].isdigit():
            if len(seeds) > 1:
                raise BenchError("--decisions FILE is of one run: name one seed, as --seeds 42.")
            _write(Path(options["decisions"]), arrivals, batch)
    return {
        "seeds": list(seeds),
        "allocation_percent": round(fmean(percents), 3),
        "allocation_by_seed": [round(p, 3) for p in percents],
        "arrivals": decided,
        "refused": refused,
        "decisions_per_s": round(decided / seconds),
    }


def _write(path: Path, arrivals: Sequence[Request], batch: Batch) -> None:
    with path.open("w", encoding="utf-8") as file:
        for request, outcome in zip(arrivals, batch, strict=True):
            file.write(json.dumps(_line(request, outcome)) + "\n")


def _line(request: Request, outcome: Placement | Refusal) -> dict[str, Any]:
    if isinstance(outcome, Refusal):
        reason = f"{outcome.message} {outcome.nearest}".strip()
        return {"name": request.id, "node": None, "devices": [], "code": outcome.reason, "reason": reason}
    (member,) = outcome.members
    return {"name": request.id, "node": member.node, "devices": [[d.index, d.milli] for d in member.devices]}


def speed(fleet: Fleet, pods: Sequence[Request], options: dict[str, Any]) -> dict[str, Any]:
    """In a batch, then the same arrivals one request a call; the compiler's time is not in it."""
    mix, seed, policy = Mix.of(pods), seeds_of(options["seeds"])[0], options["policy"]
    arrivals = _arrivals(fleet, pods, seed, options)
    with Clock() as first:
        Planner(fleet, policy, seed, mix).place_all(arrivals[:1])
    with Clock() as building:
        planner = Planner(fleet, policy, seed, mix)
    with Clock() as clock:
        batch = planner.place_all(arrivals)
    planner = Planner(fleet, policy, seed, mix)
    took = np.empty(len(arrivals))
    outcomes = []
    for at, request in enumerate(arrivals):
        began = time.perf_counter()
        outcomes.append(planner.place(request))
        took[at] = time.perf_counter() - began
    assert [_line(r, o) for r, o in zip(arrivals[:2000], batch[:2000], strict=True)] == [
        _line(r, o) for r, o in zip(arrivals[:2000], outcomes[:2000], strict=True)
    ], "a batch and single calls decide alike"
    return {
        "decisions": len(arrivals),
        "refused": sum(isinstance(outcome, Refusal) for outcome in outcomes),
        "first_call_seconds": round(first.seconds, 2),
        "fleet_seconds": round(building.seconds, 3),
        "decisions_per_s": round(len(arrivals) / clock.seconds),
        "single_per_s": round(len(arrivals) / float(took.sum())),
        "p50_us": round(1e6 * percentile(took.tolist(), 50), 1),
        "p99_us": round(1e6 * percentile(took.tolist(), 99), 1),
        "max_us": round(1e6 * float(took.max()), 1),
        "memory_peak_mib": memory_mib("VmHWM"),
    }
