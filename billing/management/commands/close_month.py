"""Closes a month, or goes on closing it; of a closed one it writes the archive, and proves that it is what it was."""

import sys
from argparse import ArgumentParser
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError

from billing.actions import closing, months
from billing.exports import archive
from billing.models import Month
from billing.periods import month
from billing.policy import policy
from billing.states import MonthState
from portal.audit import SYSTEM
from portal.errors import DomainError


class Command(BaseCommand):
    help = "Close a month of the billing time zone: charge, issue all drafts, settle, and write its archive."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("label", help="as 2026-10")
        parser.add_argument(
            "--accept", action="append", default=[], choices=months.ACCEPTABLE, help="close although this is in the way"
        )
        parser.add_argument("--archive", metavar="FILE", help="write the archive there; - is standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            period = month(options["label"], policy().zone)
            asked = months.close(by=SYSTEM, period=period, policy=policy(), accept=options["accept"])
        except (DomainError, ValueError) as error:
            raise CommandError(str(error)) from error
        while closing.step(month_id=asked.pk, policy=policy()):
            pass
        done = Month.objects.get(pk=asked.pk)
        if done.state != MonthState.CLOSED:
            raise CommandError(f"{done.label} is not closed: {done.message}.")
        found = self._written(done, options["archive"])
        if found != done.archive_sha256:
            raise CommandError(f"The archive of {done.label} is {found}, and was {done.archive_sha256}.")
        self.stderr.write(f"{done.label} is closed. SHA-256 of its archive: {found}")

    def _written(self, done: Month, path: str | None) -> str:
        if path is None:
            return self._copied(done, None)
        if path == "-":
            return self._copied(done, sys.stdout.buffer)
        with Path(path).open("wb") as out:
            return self._copied(done, out)

    def _copied(self, done: Month, out: BinaryIO | None) -> str:
        found = sha256()
        for piece in archive.pieces(done):
            found.update(piece)
            if out is not None:
                out.write(piece)
        return found.hexdigest()
