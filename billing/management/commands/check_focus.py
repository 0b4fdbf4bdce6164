"""Looks for what is wrong in files of FOCUS: `manage.py check_focus manifest.json`."""

from decimal import Decimal, InvalidOperation
from itertools import islice
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.exports.focus.check import check_files


class Command(BaseCommand):
    help = "Check FOCUS files, alone and against each other. Ends with 1 if anything is wrong."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "files", nargs="+", type=Path, metavar="FILE", help=".csv, .jsonl, .parquet or manifest.json"
        )
        parser.add_argument(
            "--whole",
            action="store_true",
            help="the files have all charges of their invoices (a manifest always has): look at sums too",
        )
        parser.add_argument(
            "--payable",
            action="append",
            default=[],
            type=_payable,
            metavar="INVOICE=AMOUNT",
            help="what an invoice asks for; its charges have to add up to it",
        )
        parser.add_argument("--most", type=int, default=100, help="say no more than so many things (100)")

    def handle(self, *args: Any, **options: Any) -> None:
        missing = [str(file) for file in options["files"] if not file.is_file()]
        if missing:
            raise CommandError(f"There is no file {', '.join(missing)}.", returncode=2)
        found = check_files(options["files"], is_whole=options["whole"], payable=dict(options["payable"]))
        wrong = 0
        for name, violation in islice(found, options["most"]):
            self.stdout.write(f"{name}: {violation}")
            wrong += 1
        if wrong:
            more = " or more" if wrong == options["most"] else ""
            raise CommandError(f"{wrong}{more} things are wrong." if wrong > 1 else "1 thing is wrong.")
        self.stdout.write("Nothing is wrong.")


def _payable(text: str) -> tuple[str, Decimal]:
    invoice, _, amount = text.rpartition("=")
    try:
        return invoice, Decimal(amount)
    except InvalidOperation:
        raise CommandError(f"{text} is not as INV-2026-10-0001=103.51.", returncode=2) from None
