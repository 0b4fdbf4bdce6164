"""What a socket into work is joined to: a channel of a driver here, or one that the site's agent opens there."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from channels.db import database_sync_to_async
from django.db import connections

from federation import calls
from federation.api.pipes import BrokenPipe, Pipe
from federation.drivers.abilities import Channel, Stream
from federation.drivers.base import Rejected, Unavailable
from federation.models import AgentCall, Cluster

T = TypeVar("T")
ANSWER_SECONDS = 20.0  # for an agent to take a call: it asks once in one to four seconds


class End(Protocol):
    """As a driver's Channel, without its threads."""

    async def receive(self) -> tuple[Stream, bytes] | None:
        """The next piece; None when none came for a while. Raises EOFError, Unavailable, Rejected."""

    async def send(self, data: bytes) -> None: ...
    async def resize(self, columns: int, rows: int) -> None: ...
    async def close(self) -> None: ...

    @property
    def exit_code(self) -> int | None: ...


async def in_thread(threads: ThreadPoolExecutor, call: Callable[..., T], *arguments: Any) -> T:
    """What may wait for a site. Drivers that keep their state in our database leave no connection open."""

    def run() -> T:
        try:
            return call(*arguments)
        finally:
            connections.close_all()

    return await asyncio.get_running_loop().run_in_executor(threads, run)


class Near:
    """A channel of a driver in this process. One thread receives, another sends, a third may close."""

    def __init__(self, threads: ThreadPoolExecutor, channel: Channel) -> None:
        self._threads, self._channel = threads, channel

    @classmethod
    async def open(cls, threads: ThreadPoolExecutor, make: Callable[[], Channel]) -> "Near":
        opening = asyncio.ensure_future(in_thread(threads, make))
        try:
            return cls(threads, await asyncio.shield(opening))
        except asyncio.CancelledError:  # who asked has left meanwhile
            opening.add_done_callback(_close_what_came)
            raise

    async def receive(self) -> tuple[Stream, bytes] | None:
        return await in_thread(self._threads, self._channel.receive, 1.0)

    async def send(self, data: bytes) -> None:
        await in_thread(self._threads, self._channel.send, data)

    async def resize(self, columns: int, rows: int) -> None:
        await in_thread(self._threads, self._channel.resize, columns, rows)

    async def close(self) -> None:
        with contextlib.suppress(Unavailable):
            await asyncio.to_thread(self._channel.close)

    @property
    def exit_code(self) -> int | None:
        return self._channel.exit_code


def _close_what_came(opening: "asyncio.Future[Channel]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        asyncio.get_running_loop().run_in_executor(None, opening.result().close)


class Far:
    """A channel that the agent of a cluster opens at its site. It dials in for it, at whichever of our processes."""

    def __init__(self, call: AgentCall, pipe: Pipe) -> None:
        self._call, self._pipe = call, pipe
        self.exit_code: int | None = None

    @classmethod
    async def open(cls, cluster: Cluster, ref: str, kind: AgentCall.Kind, detail: dict[str, Any]) -> "Far":
        """Raises Unavailable, Rejected."""
        pipe = await Pipe.open()
        ask: Callable[..., Awaitable[AgentCall]] = database_sync_to_async(calls.ask)
        call = await ask(cluster=cluster, ref=ref, kind=kind, detail=detail, reply_to=pipe.name)
        made = cls(call, pipe)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                first = await pipe.receive()
                pipe.far = str(first.get("from") or "")
                made._check(await pipe.receive())
        except TimeoutError:
            await made.close()
            raise Unavailable("The site's agent did not take the call.") from None
        except BrokenPipe as error:
            await made.close()
            raise Unavailable(f"The connection to the site's agent broke: {error}") from None
        except (EOFError, Rejected, Unavailable, asyncio.CancelledError):
            await made.close()
            raise
        return made

    async def receive(self) -> tuple[Stream, bytes] | None:
        try:
            message = await self._pipe.receive()
        except BrokenPipe as error:
            raise Unavailable(f"The connection to the site's agent broke: {error}") from None
        self._check(message)
        if message["kind"] != "data":
            return None
        return (Stream.ERR if message["is_err"] else Stream.OUT), message["data"]

    def _check(self, message: dict[str, Any]) -> None:
        """How it ended, if this is that."""
        if message["kind"] != "end":
            return
        self.exit_code = message["exit_code"]
        code, text = message["code"], message["message"]
        if code == "unavailable":
            raise Unavailable(text)
        if code:
            raise Rejected("NotRunning" if code == "not-running" else "NotPossible", text)
        raise EOFError(text)

    async def send(self, data: bytes) -> None:
        await self._give("data", data=data)

    async def resize(self, columns: int, rows: int) -> None:
        await self._give("resize", columns=columns, rows=rows)

    async def _give(self, kind: str, **values: Any) -> None:
        try:
            await self._pipe.send(kind, **values)
        except BrokenPipe as error:
            raise Unavailable(f"The connection to the site's agent broke: {error}") from None

    async def close(self) -> None:
        with contextlib.suppress(Exception):  # it may be gone already; then it notices by itself
            async with asyncio.timeout(2):
                await self._pipe.send("hang-up")
        self._pipe.close()
        await database_sync_to_async(calls.forget)(self._call)
