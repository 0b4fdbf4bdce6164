"""Where an agent dials in for a call that waits for it: a shell or a port of work, what its site noted, something to
be done there at once.

Binary frames are bytes: ours are input; the agent's begin with a byte, 1 for output and 2 for errors. Text frames are
JSON: `open`, `end`, `events` and `answer` from the agent, `resize`, `eof` and `ping` from us.
"""

import asyncio
import contextlib
import json
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from federation import calls
from federation.actions import agents
from federation.api.pipes import BrokenPipe, Pipe
from federation.models import AgentCall
from portal.errors import BadCredential

MOST_MESSAGE = 1 << 20
_PING_SECONDS = 20.0
_MOST_EVENTS = 1000


class AgentCallSocket(AsyncWebsocketConsumer):
    call: AgentCall | None = None
    found: tuple[Any, ...] = ()
    pipe: Pipe | None = None
    passing: "asyncio.Task[None] | None" = None

    async def connect(self) -> None:
        self.call = await self._take()
        if self.call is None:
            await self.close(code=4404)
            return
        await self.accept()
        if self.call.reply_to:
            self.pipe = await Pipe.open(self.call.reply_to)
            await self.pipe.send("hello", **{"from": self.pipe.name})
            self.passing = asyncio.create_task(self._pass_on(self.pipe))

    @database_sync_to_async
    def _take(self) -> AgentCall | None:
        given = dict(self.scope["headers"]).get(b"authorization", b"").decode("latin-1")
        kind, _, secret = given.partition(" ")
        try:
            pk = str(UUID(self.scope["url_route"]["kwargs"]["pk"]))
            agent = agents.authenticate(secret.strip() if kind.lower() == "bearer" else "")
        except (ValueError, BadCredential):
            return None
        return calls.take(agent=agent, pk=pk)

    async def _pass_on(self, pipe: Pipe) -> None:
        """What the user's end says, to the agent; until one of the two is gone."""
        with contextlib.suppress(BrokenPipe):
            while True:
                try:
                    async with asyncio.timeout(_PING_SECONDS):
                        message = await pipe.receive()
                except TimeoutError:
                    await self._say({"type": "ping"})  # what is between keeps no silent connection open
                    continue
                if message["kind"] == "hang-up":
                    break
                if message["kind"] == "resize":
                    await self._say({"type": "resize", "columns": message["columns"], "rows": message["rows"]})
                elif message["data"]:
                    await self.send(bytes_data=message["data"])
                else:
                    await self._say({"type": "eof"})
        await self.close(code=1000)

    async def _say(self, message: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps(message))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            await self._heard(text_data, bytes_data)
        except BrokenPipe:
            await self.close(code=1011)
        except (ValueError, KeyError, TypeError):
            await self.close(code=1007)

    async def _heard(self, text: str | None, data: bytes | None) -> None:
        """From the agent. Waits while the user takes nothing, so that the agent waits, and the work."""
        if len(text or data or b"") > MOST_MESSAGE:
            raise ValueError
        if data is not None:
            if self.pipe is not None and len(data) > 1:
                await self.pipe.send("data", is_err=data[0] == 2, data=bytes(data[1:]))
            return
        message = json.loads(text or "")
        if message["type"] == "answer" and self.call is not None:
            if self.call.kind == AgentCall.Kind.ASK:
                await database_sync_to_async(calls.answer_asked)(self.call, message)
            await self.close(code=1000)
        elif message["type"] == "events" and self.call is not None:
            self.found = (*self.found, *message["events"])[:_MOST_EVENTS]
            if not message.get("more"):
                words = str(message.get("message") or "")[:1000]
                await database_sync_to_async(calls.answer)(self.call, list(self.found), words)
                await self.close(code=1000)
        elif self.pipe is None:
            return
        elif message["type"] == "open":
            await self.pipe.send("open")
        elif message["type"] == "end":
            code = message.get("exit_code")
            await self.pipe.send(
                "end",
                exit_code=code if isinstance(code, int) else None,
                code=str(message.get("code") or "")[:32],
                message=str(message.get("message") or "")[:1000],
            )

    async def disconnect(self, code: int) -> None:
        if self.pipe is not None:
            with contextlib.suppress(BrokenPipe, TimeoutError):
                async with asyncio.timeout(5):
                    await self.pipe.send("end", exit_code=None, code="unavailable", message="The agent hung up.")
            self.pipe.close()
        if self.passing is not None:
            self.passing.cancel()
