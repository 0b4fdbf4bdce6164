from typing import Any

from django.core.management.base import BaseCommand

from portal.actions import tokens
from portal.audit import SYSTEM
from portal.management.users import user_or_first_admin


class Command(BaseCommand):
    help = "Print an access token for programs. Makes the platform's admin if there is none."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--user", default="admin")
        parser.add_argument("--days", type=int, default=1)
        parser.add_argument("--scope", action="append", help="a pattern over permission names (default: everything)")

    def handle(self, *args: Any, **options: Any) -> None:
        user = user_or_first_admin(options["user"])
        _, secret = tokens.create(
            by=SYSTEM, user=user, name="made on the server", scopes=options["scope"] or ["*"], days=options["days"]
        )
        self.stdout.write(secret)
