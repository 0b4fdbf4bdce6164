"""How well and how fast the engine places: the openb experiment for any policy, list and seeds."""

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from federation.bench import experiment, federated, openb, placement_table
from federation.bench.figures import BenchError, Clock
from federation.placement import policies
from federation.placement.answers import Batch
from federation.placement.mix import Mix
from federation.placement.types import Fleet, Request

HELP = "Allocation, decisions a second and memory of the placement engine, on the openb trace or on files like it."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--trace", type=Path, help="folder with openb_node_list_*.csv and openb_pod_list_*.csv")
    parser.add_argument("--nodes-file", type=Path, help="nodes in the trace's columns (the trace's GPU nodes)")
    parser.add_argument("--pods", default="default", help="name of a list of the trace (default)")
    parser.add_argument("--pods-file", type=Path, help="a list of pods at any path, instead of --pods")
    parser.add_argument("--policy", default=policies.DEFAULT, help=f"its name ({policies.DEFAULT})")
    parser.add_argument("--seeds", help="first:end, or one (42:52; 42 with --arrivals or a file of --decisions)")
    parser.add_argument("--ratio", type=float, default=1.3, help="GPU asked for to GPU there is (1.3)")
    parser.add_argument("--arrivals", type=Path, help="JSON lines of pods, taken in that order instead of drawn ones")
    parser.add_argument(
        "--decisions", default="", help="a number: so many arrivals; a file: a JSON line for each arrival of one run"
    )
    parser.add_argument("--replicate", type=int, default=1, help="so many copies of the nodes (1)")
    parser.add_argument("--table", type=Path, help="measure all policies on all lists and put the tables into a file")
    parser.add_argument("--clusters", type=int, help="deal the nodes out to so many clusters, which are known late")
    parser.add_argument("--staleness", type=float, default=5.0, help="with --clusters: seconds late at most (5)")
    parser.add_argument("--rate", type=float, default=300.0, help="with --clusters: arrivals a second (300)")
    parser.add_argument("--foreign", type=float, default=2.0, help="percent of arrivals that pass the hub by (2)")
    parser.add_argument("--planners", type=int, default=1, help="with --clusters: planners that take turns (1)")
    parser.add_argument("--engine-only", action="store_true", help="measure speed: in a batch, and one request a call")


def run(options: dict[str, Any]) -> dict[str, Any]:
    to_file = bool(options["decisions"]) and not options["decisions"].isdigit()
    options = {**options, "seeds": options["seeds"] or ("42" if to_file or options["arrivals"] else "42:52")}
    if to_file and len(experiment.seeds_of(options["seeds"])) > 1:
        raise BenchError("--decisions FILE is of one run: name one seed, as --seeds 42.")
    if options["table"]:
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
    try:
        if options["engine_only"]:
            return figures | experiment.speed(fleet, pods, options)
        if options["clusters"] is not None:
            return figures | federated.measure(fleet, pods, federated.setting_of(options), options)
        return figures | _quality(fleet, pods, options)
    except ValueError as error:  # a pod that asks for what cannot be
        raise BenchError(str(error)) from error


def _folder(options: dict[str, Any]) -> Path:
    if options["trace"] is None:
        raise BenchError("Say where the trace is with --trace, or name --nodes-file and --pods-file.")
    folder: Path = options["trace"]
    return folder


def _quality(fleet: Fleet, pods: Sequence[Request], options: dict[str, Any]) -> dict[str, Any]:
    mix, seeds = Mix.of(pods), experiment.seeds_of(options["seeds"])
    percents, refused, decided, seconds = [], 0, 0, 0.0
    for seed in seeds:
        arrivals = experiment.arrivals(fleet, pods, seed, options)
        with Clock() as clock:
            percent, batch = experiment.allocation(fleet, arrivals, mix, options["policy"], seed)
        percents.append(percent)
        refused += int((batch.answers.node < 0).sum())
        decided += len(arrivals)
        seconds += clock.seconds
        if options["decisions"] and not options["decisions"].isdigit():
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
            file.write(json.dumps(experiment.line(request, outcome)) + "\n")
