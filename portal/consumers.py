"""The live socket: tells a browser which things changed, and streams compact figures of devices.

It never says what changed: the browser reads the API, where permissions are. `seq` rises by one per
stream; a gap, or a new connection, means "read again".
"""

import asyncio
import logging
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer

from portal.http.sockets import Places, user_now
from portal.models import StreamPosition
from portal.permissions import scope_of

logger = logging.getLogger(__name__)
_RECHECK_SECONDS = 5.0
_LONGEST_MESSAGE = 1000
_places = Places(20)


class EventsConsumer(AsyncJsonWebsocketConsumer):
    streams: list[str]
    user_id: str = ""
    recheck: "asyncio.Task[None] | None" = None

    async def connect(self) -> None:
        user, self.streams = await self._caller()
        if not self.streams:
            await self.close(code=4401)
            return
        self.user_id = str(user.pk)
        if not _places.take(self.user_id):
            self.user_id = ""
            await self.close(code=4429)
            return
        await self.accept()
        for stream in self.streams:
            await self.channel_layer.group_add(f"stream.{stream}", self.channel_name)
        await self.send_json({"type": "hello", "streams": await self._positions(self.streams)})
        self.recheck = asyncio.create_task(self._keep_checking())

    async def disconnect(self, code: int) -> None:
        if self.recheck:
            self.recheck.cancel()
        if self.user_id:
            _places.give_back(self.user_id)
        for stream in getattr(self, "streams", []):
            await self.channel_layer.group_discard(f"stream.{stream}", self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any) -> None:
        if len(text_data or b"") > _LONGEST_MESSAGE:
            await self.close(code=1009)
            return
        try:
            await super().receive(text_data=text_data, bytes_data=bytes_data, **kwargs)
        except ValueError:  # not JSON, or not text
            await self.close(code=1007)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Browsers have nothing to say here but "ping"."""
        if content == {"type": "ping"}:
            await self.send_json({"type": "pong"})

    async def events(self, message: dict[str, Any]) -> None:
        for position, (topic, object_id) in enumerate(message["events"]):
            await self.send_json(
                {
                    "type": "changed",
                    "stream": message["stream"],
                    "seq": message["first"] + position,
                    "topic": topic,
                    "id": object_id,
                }
            )

    async def figures(self, message: dict[str, Any]) -> None:
        await self.send_json(message["frame"])

    async def _keep_checking(self) -> None:
        """Whoever loses access (logged out, disabled, suspended) loses the socket within seconds."""
        while True:
            await asyncio.sleep(_RECHECK_SECONDS)
            try:
                if (await self._caller())[1] == self.streams:
                    continue
                code = 4401
            except Exception:  # whatever the reason: who cannot be checked does not listen on
                logger.warning("A live socket is closed: its user cannot be looked up.", exc_info=True)
                code = 1011
            await self.close(code=code)
            return

    @database_sync_to_async
    def _caller(self) -> tuple[Any, list[str]]:
        user = user_now(self.scope)
        return user, _streams(user)

    @database_sync_to_async
    def _positions(self, streams: list[str]) -> dict[str, int]:
        known = dict(StreamPosition.objects.filter(stream__in=streams).values_list("stream", "seq"))
        return {stream: known.get(stream, 0) for stream in streams}


class NoSuchSocket(AsyncWebsocketConsumer):
    """Every other address."""

    async def connect(self) -> None:
        await self.close(code=4404)


def _streams(user: Any) -> list[str]:
    """Platform people get the stream of everything; others that of each tenant they belong to."""
    if user is None:
        return []
    scope = scope_of(user, "session.view")
    if scope.is_everything:
        return ["platform"]
    tenants = set(scope.tenants)
    if scope.projects:
        tenants |= set(user.memberships.exclude(tenant__state="suspended").values_list("tenant_id", flat=True))
    return sorted(str(tenant) for tenant in tenants)
