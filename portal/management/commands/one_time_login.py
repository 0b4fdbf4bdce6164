from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portal.actions import members, sessions
from portal.audit import SYSTEM
from portal.models import User
from portal.permissions import Role


class Command(BaseCommand):
    help = "Print the path of a login that works once. Makes the platform's admin if there is none."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--user", default="admin")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            if options["user"] != "admin":
                raise CommandError(f"There is no user {options['user']}.")
            user = members.create_user(by=SYSTEM, username="admin", name="Administrator")
            members.add(by=SYSTEM, user=user, role=Role.PLATFORM_ADMIN)
        # Behind a # so that the secret stays in the browser and out of logs.
        self.stdout.write(f"/login/once#{sessions.make_one_time(user=user)}")
