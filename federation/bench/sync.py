"""How fast what sites show gets into the rows: of a real API server, or of many simulated clusters."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from federation.bench import sync_live, sync_many
from federation.bench.figures import database

HELP = "List, first and repeated apply, and change-to-row latency of an API server or of simulated clusters."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--nodes", type=int, default=5000, help="nodes of each cluster (5000)")
    many = parser.add_argument_group("simulated clusters")
    many.add_argument("--clusters", type=int, default=1, help="how many (1)")
    many.add_argument("--devices", type=int, default=8, help="of each node (8)")
    many.add_argument("--mode", choices=("full", "noop", "delta", "all"), default="all")
    many.add_argument("--rate", type=int, default=5000, help="changes a second in delta (5000)")
    many.add_argument("--seconds", type=float, default=10.0, help="how long delta lasts (10)")
    live = parser.add_argument_group("a real API server")
    live.add_argument("--server", help="its address, https://...")
    live.add_argument("--token-file", type=Path)
    live.add_argument("--ca-file", type=Path)
    live.add_argument("--plane", action="store_true", help="start a control plane of the tests for it, and --fill")
    live.add_argument("--fill", action="store_true", help="make the nodes and pods first; remove them afterwards")
    live.add_argument("--pods", type=int, default=20_000, help="pods to make (20000)")
    live.add_argument("--changes", type=int, default=300, help="changes, one at a time and at a rate (300)")
    live.add_argument("--change-rate", type=int, default=100, help="changes a second at the API server (100)")


def run(options: dict[str, Any]) -> dict[str, Any]:
    with database():
        is_live = options["server"] or options["plane"]
        return sync_live.run(options) if is_live else sync_many.run(options)
