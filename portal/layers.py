"""The channel layer of an installation without Redis: channels_postgres, with what it lacks for sockets that stay.

- A channel of one process needs no lock in the database. Theirs is never given back, and Postgres has room for some
  thousands: after so many sockets nothing would open any more.
- There is one listener. Theirs are as many as sockets that open at once, and each brings every message.
- A listener that starts takes nothing that waits for other processes, and one whose connection broke starts again.
"""

import asyncio
import logging
from typing import Any

from channels_postgres.core import PostgresChannelLayer

logger = logging.getLogger(__name__)
_AGAIN_SECONDS = 1.0


class PostgresLayer(PostgresChannelLayer):  # type: ignore[misc]  # that package has no types
    """Messages are hints: what is sent while nobody listens is lost."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._listened: asyncio.AbstractEventLoop | None = None
        self.django_db.retrieve_non_expired_queued_messages = _nothing

    async def new_channel(self, prefix: str = "specific") -> str:
        name: str = await super().new_channel(prefix)
        self._channel_advisory_locks[name] = True
        return name

    async def _get_or_create_channel_advisory_lock(self, channel: str) -> bool:
        if "!" in channel:  # it names this very process
            self._channel_advisory_locks[channel] = True
            return True
        found: bool = await super()._get_or_create_channel_advisory_lock(channel)
        return found

    def _get_or_create_listener_task(self) -> tuple[asyncio.Event, bool]:
        loop = asyncio.get_running_loop()
        is_new = self._listened is not loop
        if is_new:
            self._listened = self.event_loop = loop
            self.listener_task_is_running = asyncio.Event()
        assert self.listener_task_is_running is not None  # set just above, the first time
        return self.listener_task_is_running, is_new

    async def listen_to_all_channels(self) -> None:
        while True:
            try:
                await super().listen_to_all_channels()
            except Exception as error:  # Postgres is away, or was
                logger.warning("The live messages are cut off; trying again. %s", error)
            await asyncio.sleep(_AGAIN_SECONDS)


async def _nothing() -> list[Any]:
    return []
