from typing import Any

from django.core.management.base import BaseCommand

from portal.actions import sessions
from portal.management.users import user_or_first_admin


class Command(BaseCommand):
    help = "Print the path of a login that works once. Makes the platform's admin if there is none."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--user", default="admin")

    def handle(self, *args: Any, **options: Any) -> None:
        user = user_or_first_admin(options["user"])
        # Behind a # so that the secret stays in the browser and out of logs.
        self.stdout.write(f"/login/once#{sessions.make_one_time(user=user)}")
