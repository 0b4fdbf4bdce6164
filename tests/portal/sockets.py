"""A browser's end of the live socket, against the ASGI application itself: no server, no network."""

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore

from portal.models import User

Found = TypeVar("Found")
_process = os.environ.get("AQUIFER_PROCESS")
from portal.asgi import application  # noqa: E402

if _process is None:  # what is meant for the web server alone is not for what these tests start
    del os.environ["AQUIFER_PROCESS"]

PATIENCE = 20  # seconds, on the slowest machine; never waited for


def session_of(user: User) -> str:
    """The key of a session in which this user is signed in."""
    store = SessionStore()
    store[SESSION_KEY] = str(user.pk)
    store[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.save()
    return str(store.session_key)


class Socket:
    def __init__(
        self,
        session: str = "",
        *,
        origin: bytes | None = b"http://localhost",
        path: str = "/ws/events",
        query: str = "",
        token: str = "",
    ):
        headers = [(b"host", b"localhost")]
        if origin is not None:
            headers.append((b"origin", origin))
        if session:
            headers.append((b"cookie", f"{settings.SESSION_COOKIE_NAME}={session}".encode()))
        if token:
            headers.append((b"authorization", f"Bearer {token}".encode()))
        scope = {
            "type": "websocket",
            "path": path,
            "query_string": query.encode(),
            "headers": headers,
            "subprotocols": [],
        }
        self._end = ApplicationCommunicator(application, scope)

    async def open(self) -> int:
        """0 when it is open, else the code with which it was refused."""
        await self._end.send_input({"type": "websocket.connect"})
        answer = await self._end.receive_output(PATIENCE)
        return 0 if answer["type"] == "websocket.accept" else int(answer.get("code") or 1000)

    async def say(self, text: str) -> None:
        await self._end.send_input({"type": "websocket.receive", "text": text})

    async def send(self, data: bytes) -> None:
        await self._end.send_input({"type": "websocket.receive", "bytes": data})

    async def bytes_and_end(self) -> tuple[bytes, dict[str, Any]]:
        """All bytes until the last word, and that; the socket is closed after it."""
        found = b""
        while True:
            message = await self._end.receive_output(PATIENCE)
            assert message["type"] == "websocket.send", message
            if message.get("bytes") is not None:
                found += message["bytes"]
            elif (said := json.loads(message["text"]))["type"] == "end":
                return found, said

    async def hear_bytes(self) -> bytes:
        message = await self._end.receive_output(PATIENCE)
        assert message["type"] == "websocket.send" and message.get("bytes") is not None, message
        return bytes(message["bytes"])

    async def hear(self) -> Any:
        message = await self._end.receive_output(PATIENCE)
        assert message["type"] == "websocket.send", message
        return json.loads(message["text"])

    async def closed(self) -> int:
        """The code with which the hub closes it, whatever it still says before."""
        while True:
            message = await self._end.receive_output(PATIENCE)
            if message["type"] == "websocket.close":
                return int(message.get("code") or 1000)

    async def is_silent(self, seconds: float = 0.1) -> bool:
        found: bool = await self._end.receive_nothing(timeout=seconds)
        return found

    async def leave(self) -> None:
        await self._end.send_input({"type": "websocket.disconnect", "code": 1000})
        await self._end.wait(PATIENCE)


@asynccontextmanager
async def opened(session: str) -> AsyncIterator[tuple[Socket, dict[str, Any]]]:
    """An open socket and its first message."""
    made = Socket(session)
    assert await made.open() == 0
    hello = await made.hear()
    try:
        yield made, hello
    finally:
        await made.leave()


def run(story: Callable[[], Awaitable[Found]]) -> Found:
    async def told() -> Found:
        return await story()

    return async_to_sync(told)()
