"""Measures one part of Aquifer at full size: `manage.py bench sync --clusters 100 --nodes 5000`.

A bench is a module with HELP, `add_arguments(parser)` and `run(options) -> dict` (figures by name); its rows are kept
in a database of its own that is dropped at the end.
"""

import json
from argparse import ArgumentParser
from types import ModuleType
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.bench import close, export, forecast, rating
from federation.bench import agents, defrag, placement, submit, sync
from federation.bench.figures import BenchError

BENCHES: dict[str, ModuleType] = {
    "agents": agents,
    "close": close,
    "defrag": defrag,
    "export": export,
    "forecast": forecast,
    "placement": placement,
    "rating": rating,
    "submit": submit,
    "sync": sync,
}


class Command(BaseCommand):
    help = "Measure one part of Aquifer at full size, in a database made for it."

    def add_arguments(self, parser: CommandParser) -> None:
        # The parsers of the parts are plain ones: Django's own wants arguments of its own.
        parts = parser.add_subparsers(dest="bench", required=True, parser_class=ArgumentParser)
        for name, bench in BENCHES.items():
            part = parts.add_parser(name, help=bench.HELP, description=bench.HELP)
            part.add_argument("--json", action="store_true", help="the figures as one JSON line")
            bench.add_arguments(part)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            figures = BENCHES[options["bench"]].run(options)
        except BenchError as error:
            raise CommandError(str(error)) from error
        figures = {"bench": options["bench"], **figures}
        self.stdout.write(json.dumps(figures) if options["json"] else _as_table(figures))


def _as_table(figures: dict[str, Any]) -> str:
    width = max(len(name) for name in figures)
    return "\n".join(f"{name:<{width}}  {_as_text(value)}" for name, value in figures.items())


def _as_text(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
