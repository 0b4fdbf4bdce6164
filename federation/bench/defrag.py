"""What a plan of moves brings on the openb trace: filled to a ratio, a tenth of the pods may move."""

from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

from federation.bench import openb
from federation.bench.experiment import seeds_of
from federation.bench.figures import BenchError, Clock, memory_mib
from federation.placement import policies
from federation.placement.defrag import Aim, MovePlan, Piece, Question, carried_out, plan, with_placements
from federation.placement.mix import Mix
from federation.placement.plan import Planner, warm
from federation.placement.types import Fleet, Placement, Request

HELP = "Moves under a limit on the openb trace: whole devices freed, fragmentation, and refused pods that then fit."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--trace", type=Path, required=True, help="folder with openb_node_list_*.csv and pod lists")
    parser.add_argument("--pods", default="default", help="name of a list of the trace (default)")
    parser.add_argument("--policy", default="random", help="who placed what runs (random)")
    parser.add_argument("--ratio", type=float, default=0.9, help="GPU asked for to GPU there is (0.9)")
    parser.add_argument("--seeds", default="42:43", help="first:end, or one (42:43)")
    parser.add_argument("--movable", type=float, default=1.0, help="part of the pods that may move (1)")
    parser.add_argument("--most-share", type=float, default=0.1, help="part of the pods that move at most (0.1)")
    parser.add_argument("--seconds", type=float, default=5.0, help="for the solver (5)")
    parser.add_argument("--for", dest="aim", choices=[aim.value for aim in Aim], default=Aim.MIX.value)


def run(options: dict[str, Any]) -> dict[str, Any]:
    """Means over the seeds. `of_greedy` is what plans bring to what the greedy way alone does, in the same run; None
    where that brings nothing."""
    try:
        policies.named(options["policy"])
    except ValueError as error:
        raise BenchError(str(error)) from error
    if not 0 < options["most_share"] <= 1 or not 0 < options["movable"] <= 1 or options["seconds"] <= 0:
        raise BenchError("--most-share and --movable are from 0 to 1 and --seconds above 0.")
    empty = openb.fleet(options["trace"] / "openb_node_list_gpu_node.csv")
    pods = openb.pods(openb.pods_path(options["trace"], options["pods"]))
    warm()
    rows = [_one(empty, pods, seed, options) for seed in seeds_of(options["seeds"])]
    means = {name: round(fmean(float(row[name]) for row in rows), 3) for name in rows[0]}
    return {
        "pods": options["pods"],
        "policy": options["policy"],
        "for": options["aim"],
        "seeds": len(rows),
        "nodes": len(empty.nodes),
        **means,
        "of_greedy": round(means["brought"] / means["greedy_brought"], 3) if means["greedy_brought"] else None,
        "memory_peak_mib": memory_mib("VmHWM"),
    }


def _one(empty: Fleet, pods: list[Request], seed: int, options: dict[str, Any]) -> dict[str, float]:
    question = _filled(empty, pods, seed, options)
    with Clock() as greedy_clock:
        greedy = plan(replace(question, seconds=0.0))
    with Clock() as clock:
        found = plan(question)
    # Carried out once more, apart from the plan's own check.
    after = carried_out(question.fleet, question.pieces, found.moves)
    whole = sum(device.free_milli == 1000 for node in after.nodes for device in node.devices)
    assert whole == found.after.free_devices, "what the plan claims is there"
    return {
        "running": len(question.pieces),
        "refused": len(question.waiting),
        "most_moves": question.most_moves,
        "seconds": clock.seconds,
        "greedy_seconds": greedy_clock.seconds,
        "moves": len(found.moves),
        "whole_devices_before": found.before.free_devices,
        "whole_devices_after": found.after.free_devices,
        "fragmentation_before": found.before.lost_milli / found.before.free_milli,
        "fragmentation_after": found.after.lost_milli / found.after.free_milli,
        "refused_that_then_fit": len(found.after.placed),
        "greedy_moves": len(greedy.moves),
        "greedy_whole_devices_after": greedy.after.free_devices,
        "greedy_refused_that_then_fit": len(greedy.after.placed),
        "brought": _brought(found, options["aim"]),
        "greedy_brought": _brought(greedy, options["aim"]),
    }


def _filled(empty: Fleet, pods: list[Request], seed: int, options: dict[str, Any]) -> Question:
    """The trace's pods placed once each in their order; those that found no place are what waits."""
    arrivals = openb.drawn(pods, options["ratio"] * openb.capacity_milli(empty), seed)
    mix, by_id, random = Mix.of(pods), {pod.id: pod for pod in arrivals}, Random(f"movable {seed}")
    outcomes = list(Planner(empty, options["policy"], seed, mix).place_all(arrivals))
    placed = [outcome for outcome in outcomes if isinstance(outcome, Placement)]
    gone = {outcome.request for outcome in placed}
    pieces = [
        Piece(p.request, member.node, member.devices, by_id[p.request], member.flavor,
              random.random() < options["movable"])
        for p in placed for member in p.members
    ]  # fmt: skip
    return Question(
        with_placements(empty, placed, arrivals), pieces, int(options["most_share"] * len(pieces)),
        [pod for pod in arrivals if pod.id not in gone], mix, Aim(options["aim"]), options["seconds"],
    )  # fmt: skip


def _brought(found: MovePlan, aim: str) -> float:
    """Refused pods that fit then, or 1/1000 of devices that are lost no more."""
    if aim == Aim.WAITING:
        return len(found.after.placed) - len(found.before.placed)
    return found.before.lost_milli - found.after.lost_milli
