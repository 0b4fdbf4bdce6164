from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portal.actions import members, tokens
from portal.audit import SYSTEM
from portal.models import User
from portal.permissions import Role


class Command(BaseCommand):
    help = "Print an access token for programs. Makes the platform's admin if there is none."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--user", default="admin")
        parser.add_argument("--days", type=int, default=1)
        parser.add_argument("--scope", action="append", help="a pattern over permission names (default: everything)")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            if options["user"] != "admin":
                raise CommandError(f"There is no user {options['user']}.")
            user = members.create_user(by=SYSTEM, username="admin", name="Administrator")
            members.add(by=SYSTEM, user=user, role=Role.PLATFORM_ADMIN)
        _, secret = tokens.create(
            by=SYSTEM, user=user, name="made on the server", scopes=options["scope"] or ["*"], days=options["days"]
        )
        self.stdout.write(secret)
