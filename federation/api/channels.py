"""A shell in work and one of its ports, as sockets: bytes both ways until one side ends."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, cast

from channels.db import database_sync_to_async

from federation import calls
from federation.api import ends
from federation.api.sockets import SEND_SECONDS, End, Target, WorkSocket
from federation.drivers.abilities import DEFAULT_SHELL, Channel, PortAccess, ShellAccess, Stream
from federation.drivers.base import SiteDriver, Unavailable
from federation.models import AgentCall, Allocation
from federation.states import AllocationState as A
from portal.audit import record

_BYTES = {Stream.OUT: b"\x01", Stream.ERR: b"\x02"}


class ChannelSocket(WorkSocket):
    """A channel of a driver, opened for one user and noted in the audit."""

    permission = "workload.shell"
    what: ClassVar[str]
    kind: ClassVar[AgentCall.Kind]
    end: ends.End | None = None
    is_noted = False

    async def connect(self) -> None:
        self.opened = asyncio.Event()
        self.bytes_in = self.bytes_out = 0
        await super().connect()

    def _channel(self, driver: SiteDriver, ref: str) -> Callable[[], Channel] | None:
        """What opens it, at a site that we can ask ourselves."""
        raise NotImplementedError

    def _wish(self) -> dict[str, Any]:
        """What an agent is to open."""
        raise NotImplementedError

    def _detail(self) -> dict[str, Any]:
        """What is noted of it."""
        raise NotImplementedError

    def _framed(self, stream: Stream, data: bytes) -> bytes:
        return data

    async def _talk(self, target: Target) -> None:
        if target.grant is None or target.driver is None or target.grant.state != A.ACTIVE:
            raise End("not-running", "It is not running now.")
        await self._note(target, f"{self.what}.open", {})  # before anything happens: what cannot be noted is not done
        self.is_noted = True
        self.end = end = await self._reached(target.grant, target.driver)
        await self._say("open")
        self.opened.set()
        while True:
            try:
                piece = await end.receive()
            except EOFError as over:
                raise End(exit_code=end.exit_code, message=str(over)) from None
            if piece is not None:
                self.bytes_out += len(piece[1])
                await self._pass_on(self._framed(*piece))

    async def _reached(self, grant: Allocation, driver: SiteDriver) -> ends.End:
        """Raises Rejected, Unavailable, End."""
        ref = str(grant.pk)
        make = self._channel(driver, ref)
        if make is not None:
            return await ends.Near.open(self.threads, make)
        if await database_sync_to_async(calls.can)(grant.cluster, self.kind.value):
            return await ends.Far.open(grant.cluster, ref, self.kind, self._wish())
        raise End("not-offered", "This kind of site does not offer that.")

    def _still(self, target: Target, now: Target) -> None:
        if now.ref != target.ref or now.grant is None or now.grant.state != A.ACTIVE:
            raise End("not-running", "It is not running any more.")

    async def _heard(self, data: bytes) -> None:
        self.bytes_in += len(data)
        await self._give(lambda end: end.send(data))

    async def _told(self, kind: str, message: dict[str, Any]) -> None:
        if kind == "eof":
            await self._give(lambda end: end.send(b""))
        elif kind == "resize":
            columns, rows = message.get("columns"), message.get("rows")
            if all(isinstance(n, int) and 0 < n < 10_000 for n in (columns, rows)):
                await self._give(lambda end: end.resize(cast(int, columns), cast(int, rows)))

    async def _give(self, act: Callable[[ends.End], Awaitable[None]]) -> None:
        """To the other end, in the order it came; who types faster than it is taken has to wait."""
        if self.main is None:
            return
        try:
            await asyncio.wait_for(self.opened.wait(), SEND_SECONDS)
            if self.end is not None and not self.main.done():
                await asyncio.wait_for(act(self.end), SEND_SECONDS)
        except (TimeoutError, Unavailable):
            self.main.cancel()
            await self.close(code=1011)

    async def _leave(self, target: Target, end: End) -> None:
        self.opened.set()  # whoever waits to send is to see that there is nobody
        if self.end is not None:
            await self.end.close()
        if self.is_noted:
            await self._note(
                target, f"{self.what}.close",
                {
                    "seconds": round(time.monotonic() - self.began, 1), "bytes_in": self.bytes_in,
                    "bytes_out": self.bytes_out, "exit_code": end.exit_code, "code": end.code,
                },
            )  # fmt: skip

    @database_sync_to_async
    def _note(self, target: Target, what: str, more: dict[str, Any]) -> None:
        detail = {"replica": self.replica, "allocation": target.ref, **self._detail(), **more}
        record(by=target.user, what=what, target=target.workload, detail=detail)


class ShellSocket(ChannelSocket):
    what, kind = "shell", AgentCall.Kind.SHELL

    def _read(self, query: dict[str, list[str]]) -> bool:
        self.command = query.get("command") or list(DEFAULT_SHELL)
        self.is_tty = query.get("tty", ["1"])[-1] != "0"
        return super()._read(query) and len(self.command) <= 100

    def _channel(self, driver: SiteDriver, ref: str) -> Callable[[], Channel] | None:
        if not isinstance(driver, ShellAccess):
            return None
        return lambda: driver.shell(ref, self.command, is_tty=self.is_tty)

    def _wish(self) -> dict[str, Any]:
        return {"command": self.command, "is_tty": self.is_tty}

    def _framed(self, stream: Stream, data: bytes) -> bytes:
        return _BYTES[stream] + data

    def _detail(self) -> dict[str, Any]:
        is_usual = self.command == list(DEFAULT_SHELL)
        return {"command": "" if is_usual else " ".join(self.command)[:500]}


class PortSocket(ChannelSocket):
    what, kind = "port", AgentCall.Kind.PORT

    def _read(self, query: dict[str, list[str]]) -> bool:
        self.port = int(self.scope["url_route"]["kwargs"]["port"])
        return super()._read(query) and 0 < self.port < 65536

    def _channel(self, driver: SiteDriver, ref: str) -> Callable[[], Channel] | None:
        if not isinstance(driver, PortAccess):
            return None
        return lambda: driver.reach(ref, self.port)

    def _wish(self) -> dict[str, Any]:
        return {"port": self.port}

    def _detail(self) -> dict[str, Any]:
        return {"port": self.port}
