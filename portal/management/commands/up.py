"""Start the whole product on this machine and keep it running. `./run` calls this."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from portal.supervise.product import Address
from portal.supervise.steps import plain_errors
from portal.supervise.up import Options, up


class Command(BaseCommand):
    help = "Starts database, web server, workers and this machine's agent, until Ctrl-C. Use ./run."
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--reset", action="store_true")
        parser.add_argument("--no-demo", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        with plain_errors():
            up(
                Options(
                    address=Address(options["host"], options["port"]),
                    has_demo=not options["no_demo"],
                    is_reset=options["reset"],
                )
            )
