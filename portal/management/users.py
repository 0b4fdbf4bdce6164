"""Whom a command of the server acts for."""

from django.core.management.base import CommandError

from portal.actions import members
from portal.audit import SYSTEM
from portal.models import User
from portal.permissions import Role


def user_or_first_admin(username: str) -> User:
    """The user of this name. The platform's admin is made if it is the one wanted and there is none."""
    user: User | None = User.objects.filter(username=username).first()
    if user is None:
        if username != "admin":
            raise CommandError(f"There is no user {username}.")
        user = members.create_user(by=SYSTEM, username="admin", name="Administrator")
        members.add(by=SYSTEM, user=user, role=Role.PLATFORM_ADMIN)
    return user
