"""Reads the whole ledger and says whether anybody has changed what was posted."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.actions import ledger
from billing.models import LedgerTransaction


class Command(BaseCommand):
    help = "Check the hash chain of the ledger; names each transaction that is not what was posted."

    def handle(self, *args: Any, **options: Any) -> None:
        broken = list(ledger.verify())
        for found in broken:
            self.stdout.write(f"Transaction {found.seq}: {found.why}.")
        if broken:
            raise CommandError(f"{len(broken)} things are wrong with the ledger.")
        last = LedgerTransaction.objects.order_by("-seq").first()
        if last is None:
            self.stdout.write("The ledger is empty.")
            return
        # Kept elsewhere, this proves later on that nothing was cut off the end.
        self.stdout.write(f"{last.seq} transactions are as they were posted. The last hash is {last.chain}")
