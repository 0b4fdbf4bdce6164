"""Places what waits, until it is stopped."""

import signal
import threading
from pathlib import Path
from typing import Any

import psycopg
from django.core.management.base import BaseCommand
from django.db import InterfaceError, OperationalError, connection

from federation.placement import plan
from federation.reconcile.queues import Queues

_AGAIN_SECONDS = 1.0


class Command(BaseCommand):
    help = "Place what waits in queues. Run one or several; each queue is looked at by one at a time."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--heartbeat", type=Path, help="a file to touch with every round, for a health check")

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        plan.warm()  # on a machine that never planned the compiler takes half a minute; what it makes is kept on disk
        queues = Queues()
        while not stop.is_set():
            try:
                queues.step()
            except (OperationalError, InterfaceError, psycopg.OperationalError) as error:
                self.stderr.write(f"The database cannot serve now: {str(error).splitlines()[0]}")
                connection.close()
                stop.wait(_AGAIN_SECONDS)
            if options["heartbeat"]:
                options["heartbeat"].touch()
        queues.end()
