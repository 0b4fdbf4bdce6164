"""A command that goes round until it is stopped."""

import signal
import threading
from pathlib import Path
from typing import Any

import psycopg
from django.core.management.base import BaseCommand
from django.db import InterfaceError, OperationalError, connection

_AGAIN_SECONDS = 1.0


class Forever(BaseCommand):
    """`round` is called again and again; a database that cannot serve is told of, and tried again a second later."""

    pause_seconds = 0.0  # between two rounds

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--heartbeat", type=Path, help="a file to touch with every round, for a health check")

    def begin(self) -> None:
        """Before the first round."""

    def round(self) -> None:
        raise NotImplementedError

    def end(self) -> None:
        """After the last."""

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        self.begin()
        while not stop.is_set():
            try:
                self.round()
            except (OperationalError, InterfaceError, psycopg.OperationalError) as error:
                self.stderr.write(f"The database cannot serve now: {str(error).splitlines()[0]}")
                connection.close()
                stop.wait(_AGAIN_SECONDS)
            if options["heartbeat"]:
                options["heartbeat"].touch()
            stop.wait(self.pause_seconds)
        self.end()
