"""Who is at the other end of a socket: by the console's cookie from the console's own pages, or by a token.

A page of another site can make a browser open a socket here, with the cookie. So a cookie counts only with an Origin of
ours. A token cannot be sent by a page, so that it needs none; who sends one is never taken for the cookie's owner.
"""

from types import SimpleNamespace
from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.security.websocket import AllowedHostsOriginValidator
from django.contrib.auth import get_user
from django.contrib.sessions.backends.db import SessionStore

from portal.http.auth import user_of, valid_token
from portal.models.tokens import digest

CALLER = "aquifer.caller"  # the place in a socket's scope of the digest of the token that it came with


class Callers:
    """Sends each new socket to the application by the way it says who it is."""

    def __init__(self, application: Any) -> None:
        self._by_token = application
        self._by_cookie = AllowedHostsOriginValidator(AuthMiddlewareStack(application))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        given = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        kind, _, secret = given.partition(" ")
        if kind.lower() == "bearer":
            await self._by_token({**scope, CALLER: digest(secret.strip())}, receive, send)
        else:
            await self._by_cookie(scope, receive, send)


def user_now(scope: Any) -> Any:
    """The user of a socket as of now, or None: signed out, disabled, the token revoked. Asks the database."""
    if CALLER in scope:
        token = valid_token(scope[CALLER])
        return None if token is None else user_of(token)
    key = scope["session"].session_key if "session" in scope else None
    if not key:
        return None
    user = get_user(SimpleNamespace(session=SessionStore(key)))  # type: ignore[arg-type]  # it reads the session only
    return user if user.is_authenticated and user.is_active else None


class Places:
    """How many sockets of a kind each user has open in this process."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken: dict[str, int] = {}

    def take(self, user: str) -> bool:
        if self.taken.get(user, 0) >= self.most:
            return False
        self.taken[user] = self.taken.get(user, 0) + 1
        return True

    def give_back(self, user: str) -> None:
        self.taken[user] -= 1
        if not self.taken[user]:
            del self.taken[user]
