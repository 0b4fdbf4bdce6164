from typing import Any

from django.core.management.base import BaseCommand, CommandError

from federation.actions import connections


class Command(BaseCommand):
    help = "Seal the credentials of sites under the first of AQUIFER_CREDENTIAL_KEYS, after a key was put before it."

    def handle(self, *args: Any, **options: Any) -> None:
        done, lost = connections.seal_anew()
        self.stdout.write(f"{done} sealed anew.")
        if lost:
            raise CommandError(f"No key here opens the credentials of: {', '.join(lost)}. Connect these clusters anew.")
