"""A pipe between two processes of the hub, over the channel layer: whole messages, in order, and no more than fit.

A channel layer may lose a message without a word, bring it twice, and drop what nobody takes in time. So messages are
numbered, only so many are on the way at a time, and each end says now and then that it is there: what breaks shows.
"""

import asyncio
import contextlib
import logging
import time
from typing import Any

from channels.layers import get_channel_layer

logger = logging.getLogger(__name__)
WINDOW = 16  # messages on the way; the layers hold 100 of a channel
ALIVE_SECONDS, SILENT_SECONDS, TAKE_SECONDS = 10.0, 35.0, 60.0


class BrokenPipe(Exception):  # the word for it
    """The other end is gone, or a message was lost."""


class Pipe:
    """One end. `name` is where the other end sends to; `far` is the other's name, once it is known."""

    def __init__(self, name: str, far: str = "") -> None:
        self.name, self.far = name, far
        self._layer: Any = get_channel_layer()
        self._sent = self._taken = self._got = 0
        self._heard_at = time.monotonic()
        self._changed = asyncio.Condition()
        self._hears = asyncio.Event()
        self._waiting: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._broken = ""
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._watch())]

    @classmethod
    async def open(cls, far: str = "") -> "Pipe":
        """An end that hears: a layer may drop what comes before it listens. Raises BrokenPipe."""
        layer: Any = get_channel_layer()
        made = cls(await layer.new_channel("pipe"), far)
        for _ in range(50):
            await layer.send(made.name, {"type": "pipe", "kind": "alive"})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await made._hears.wait()
                    return made
        made.close()
        raise BrokenPipe("The channel layer does not answer.")

    async def send(self, kind: str, **values: Any) -> None:
        """Waits while the other end takes nothing. Raises BrokenPipe."""
        async with self._changed:
            try:
                async with asyncio.timeout(TAKE_SECONDS):
                    await self._changed.wait_for(lambda: self._broken or self._sent - self._taken < WINDOW)
            except TimeoutError:
                raise BrokenPipe("What is sent is not taken.") from None
            if self._broken:
                raise BrokenPipe(self._broken)
            self._sent += 1
            await self._tell(kind, n=self._sent, **values)

    async def receive(self) -> dict[str, Any]:
        """The next message. Raises BrokenPipe."""
        message = await self._waiting.get()
        if message is None:
            raise BrokenPipe(self._broken)
        await self._tell("taken", n=message["n"])
        return message

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _tell(self, kind: str, **values: Any) -> None:
        if self.far:
            await self._layer.send(self.far, {"type": "pipe", "kind": kind, **values})

    async def _listen(self) -> None:
        while True:
            try:
                message = await self._layer.receive(self.name)
            except Exception:  # a layer that is away, or has lost a message: the next number will tell
                logger.warning("The channel layer gave no message.", exc_info=True)
                await asyncio.sleep(0.1)
                continue
            self._heard_at = time.monotonic()
            self._hears.set()
            kind = message["kind"]
            if kind == "taken":
                async with self._changed:
                    self._taken = message["n"]
                    self._changed.notify_all()
            elif kind == "alive":
                continue
            elif message["n"] == self._got + 1:
                self._got += 1
                self._waiting.put_nowait(message)
            elif message["n"] > self._got:  # what comes twice came
                await self._break("A message was lost on the way.")

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(ALIVE_SECONDS)
            with contextlib.suppress(Exception):  # a layer that is away for a moment: silence will tell
                await self._tell("alive")
            if self.far and time.monotonic() - self._heard_at > SILENT_SECONDS:
                await self._break("The other end is gone.")

    async def _break(self, why: str) -> None:
        async with self._changed:
            self._broken = self._broken or why
            self._changed.notify_all()
        self._waiting.put_nowait(None)
