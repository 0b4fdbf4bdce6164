"""Writes a month of the ledger into a folder: `manage.py export_charges --what focus-1.4 --period 2026-10 --to DIR`."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.actions import exporting
from billing.exports.focus.charges import InvalidCharge
from billing.exports.focus.export import SnapshotMoved
from billing.exports.ledger.query import Whole
from billing.exports.ledger.snapshots import newest_seq
from billing.exports.targets.folder import Folder
from billing.exports.xlsx import TooLong
from billing.models import ExportKind
from billing.models.exports import FORMATS, XLSX
from billing.periods import month
from billing.policy import policy
from portal.models import Tenant


class Command(BaseCommand):
    help = (
        "Write a month of the ledger as FOCUS, line items or card-hours. What was begun in the folder is gone on with."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--what", choices=ExportKind.values, default=ExportKind.FOCUS_1_4.value)
        parser.add_argument("--format", choices=[value for value, _ in FORMATS], default="parquet")
        parser.add_argument("--period", required=True, help="a month, as 2026-10")
        parser.add_argument("--tenant", help="slug of one tenant; all of them if left out")
        parser.add_argument("--to", type=Path, required=True, help="a folder: empty, or of an export that was cut off")
        parser.add_argument("--seq", type=int, help="the ledger up to this transaction (as it stands now)")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["format"] == XLSX and options["what"] not in (ExportKind.LINE_ITEMS, ExportKind.CARD_HOURS):
            raise CommandError("Workbooks are for line items and card-hours; FOCUS is for programs.", returncode=2)
        try:
            period = month(options["period"], policy().zone)
        except ValueError:
            raise CommandError("Write the month as 2026-10.", returncode=2) from None
        tenant = None
        if options["tenant"]:
            tenant = Tenant.objects.filter(slug=options["tenant"]).first()
            if tenant is None:
                raise CommandError(f"There is no tenant {options['tenant']}.", returncode=2)
        seq = newest_seq() if options["seq"] is None else options["seq"]
        whole = Whole(period.start, period.end, seq, tenant.pk if tenant else None)
        try:
            files = exporting.written(
                options["what"], options["format"], whole, Folder(options["to"]), policy=policy(), note=self._say
            )
        except SnapshotMoved as error:
            raise CommandError(f"{error} Give --seq to go on with what was begun.") from None
        except (InvalidCharge, TooLong) as error:
            raise CommandError(str(error)) from None
        rows, size = sum(file["rows"] for file in files), sum(file["bytes"] for file in files)
        self.stdout.write(f"{rows:,} rows, {size:,} bytes in {len(files)} files; the ledger up to transaction {seq}.")

    def _say(self, name: str, rows: int) -> None:
        self.stderr.write(f"{name}: {rows:,} rows")
