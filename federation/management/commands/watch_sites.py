"""Follows the sites that tell of changes by themselves, until it is stopped."""

import signal
import threading
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand
from django.db import InterfaceError, OperationalError

from federation.reconcile.watches import Watchers


class Command(BaseCommand):
    help = "Follow sites live. Run one or several; each cluster is followed by one of them."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--heartbeat", type=Path, help="a file to touch with every round, for a health check")

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        watchers = Watchers()
        while not stop.is_set():
            try:
                watchers.step()
            except (OperationalError, InterfaceError) as error:
                self.stderr.write(f"The database cannot serve now: {str(error).splitlines()[0]}")
            if options["heartbeat"]:
                options["heartbeat"].touch()
            stop.wait(1.0)
        watchers.end()
