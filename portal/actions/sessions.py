"""Signing in: by password, or by a link that works once."""

from datetime import timedelta

from django.contrib.auth import authenticate
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from portal import audit
from portal.audit import SYSTEM
from portal.errors import BadCredential, LoginFailed, TooManyAttempts
from portal.models import LoginFailures, OneTimeLogin, User
from portal.models.tokens import digest, new_secret

_MOST_FAILURES = 10
_WINDOW = timedelta(minutes=10)


def login(*, username: str, password: str, address: str) -> User:
    """The user these credentials belong to. Failures are counted per name and per address, atomically."""
    keys = [f"name:{username.lower()[:70]}", f"address:{address[:60]}"]
    if LoginFailures.objects.filter(key__in=keys, window_ends_at__gt=Now(), failures__gte=_MOST_FAILURES).exists():
        raise TooManyAttempts()
    user = authenticate(username=username, password=password)  # hashes also for unknown names: same time
    if user is None:
        for key in keys:
            _count_failure(key)
        raise LoginFailed()
    assert isinstance(user, User)
    with transaction.atomic():
        LoginFailures.objects.filter(key=keys[0]).delete()
        audit.record(by=user, what="session.create", target=user)
    return user


def _count_failure(key: str) -> None:
    """One statement, so that many processes count exactly."""
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO portal_loginfailures AS f (key, window_ends_at, failures, changed_at)
               VALUES (%s, %s, 1, now())
               ON CONFLICT (key) DO UPDATE SET changed_at = now(),
                 failures = CASE WHEN f.window_ends_at < now() THEN 1 ELSE f.failures + 1 END,
                 window_ends_at = CASE WHEN f.window_ends_at < now()
                   THEN excluded.window_ends_at ELSE f.window_ends_at END""",
            [key, timezone.now() + _WINDOW],
        )


@transaction.atomic
def make_one_time(*, user: User, valid_for: timedelta = timedelta(hours=1)) -> str:
    """A secret that signs `user` in once."""
    secret = new_secret("once")
    OneTimeLogin.objects.create(user=user, digest=digest(secret), expires_at=timezone.now() + valid_for)
    audit.record(by=SYSTEM, what="session.invite", target=user)
    return secret


@transaction.atomic
def login_once(*, secret: str) -> User:
    """Use up a one-time login. Used, expired and unknown ones look the same."""
    used = OneTimeLogin.objects.filter(
        digest=digest(secret), used_at=None, expires_at__gt=Now(), user__is_active=True
    ).update(used_at=Now())
    if not used:
        raise BadCredential("This link was used already or is too old. Start again to get a new one.")
    user = OneTimeLogin.objects.select_related("user").get(digest=digest(secret)).user
    audit.record(by=user, what="session.create", target=user, detail={"by": "one-time link"})
    return user
