"""Sockets into work: its output as it comes, a shell in it, one of its ports.

Binary frames are bytes, text frames are JSON: `open` once the work is reached, `end` as the last word; `resize`, `eof`
and `ping` from the other side. What a shell says begins with a byte that tells output (1) from errors (2).
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar, cast
from urllib.parse import parse_qs
from uuid import UUID

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from federation import outputs
from federation.api import ends
from federation.api.outputs import look
from federation.drivers.abilities import LogFollower
from federation.drivers.base import Rejected, SiteDriver, Unavailable
from federation.models import Allocation, Workload
from federation.registry import driver_for
from federation.states import AllocationState as A
from portal.http.sockets import Places, user_now
from portal.permissions import scope_of

logger = logging.getLogger(__name__)
RECHECK_SECONDS = 5.0
LOOK_SECONDS = 1.0  # between looks at a log that cannot be followed
SEND_SECONDS = 30.0  # for what is sent to be taken
IDLE_SECONDS, LONGEST_SECONDS = 3600.0, 12 * 3600.0
MOST_MESSAGE = 64 << 10
_MOST_HERE = 200  # sockets of this kind in one process: each has two threads, and pages need room beside them
places = Places(20)


class End(Exception):  # not an error: how it comes to an end
    """The last word: a code that programs know, and words for people."""

    def __init__(self, code: str = "", message: str = "", exit_code: int | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.exit_code = code, message, exit_code


@dataclass(frozen=True, slots=True)
class Target:
    """One member of a workload, as one user may reach it. `grant` is None while no site has been given it."""

    user: Any
    workload: Workload
    grant: Allocation | None
    driver: SiteDriver | None

    @property
    def ref(self) -> str:
        return str(self.grant.pk) if self.grant else ""


class WorkSocket(AsyncWebsocketConsumer):
    """What all three share: who may, how many, for how long, and the last word. `_talk` is each one's own."""

    permission: ClassVar[str]
    main: "asyncio.Task[None] | None" = None
    user_id = ""

    async def connect(self) -> None:
        query = parse_qs(self.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        target = await self._find() if self._read(query) else None
        if target is None:
            await self.close(code=4404)
            return
        if not self._take_place(str(target.user.pk)):
            await self.close(code=4429)
            return
        self.began = self.moved_at = time.monotonic()
        self.threads = ThreadPoolExecutor(2, thread_name_prefix="work-socket")
        await self.accept()
        self.main = asyncio.create_task(self._serve(target))

    def _read(self, query: dict[str, list[str]]) -> bool:
        """Take what the address says; False when it makes no sense."""
        self.replica = number(query, "replica", 0)
        return self.replica >= 0

    def _take_place(self, user: str) -> bool:
        if sum(places.taken.values()) >= _MOST_HERE or not places.take(user):
            return False
        self.user_id = user
        return True

    @database_sync_to_async
    def _find(self) -> Target | None:
        return self._target()

    def _target(self) -> Target | None:
        """Who asks, for what, as of now; None when there is no such work for this user."""
        user = user_now(self.scope)
        try:
            pk = UUID(self.scope["url_route"]["kwargs"]["pk"])
        except ValueError:
            return None
        if user is None:
            return None
        workload = Workload.objects.in_scope(scope_of(user, self.permission)).filter(pk=pk).first()
        if workload is None:
            return None
        grant = workload.latest(self.replica)
        return Target(user, workload, grant, driver_for(grant.cluster) if grant else None)

    async def _serve(self, target: Target) -> None:
        end = End("unavailable", "Something went wrong here.")
        checks = asyncio.create_task(self._keep_checking(target))
        talk = asyncio.create_task(self._talk(target))
        try:
            await asyncio.wait({checks, talk}, return_when=asyncio.FIRST_COMPLETED)
            await (checks if checks.done() else talk)
        except asyncio.CancelledError:
            end = End("left")
            raise
        except End as last:
            end = last
        except Rejected as refusal:
            code = {"NotRunning": "not-running"}.get(refusal.reason, "not-possible")
            end = End(code, refusal.message or refusal.reason)
        except Unavailable as error:
            end = End("unavailable", str(error) or "The site did not answer.")
        except Exception:
            logger.exception("A socket into work fell over.")
        finally:
            for task in (checks, talk):
                task.cancel()
            # Not awaited by whoever cancels us: what is open at the site is closed in any case.
            await asyncio.shield(self._leave(target, end))
        with contextlib.suppress(Exception):  # the other side may be gone already
            await self._say("end", exit_code=end.exit_code, code=end.code, message=end.message)
            await self.close(code=1000)

    async def _talk(self, target: Target) -> None:
        raise NotImplementedError

    async def _leave(self, target: Target, end: End) -> None:
        """Let go of whatever is open at the site."""

    async def _keep_checking(self, target: Target) -> None:
        """Whoever loses access (signed out, disabled, role taken, token revoked) loses the socket within seconds."""
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            now = time.monotonic()
            if now - self.moved_at > IDLE_SECONDS:
                raise End("idle", "Nothing was said for an hour.")
            if now - self.began > LONGEST_SECONDS:
                raise End("too-long", "It was open for 12 hours. Open it again to go on.")
            again = await self._find()
            if again is None or again.user.pk != target.user.pk:
                raise End("access-lost", "You may not look into this work any more.")
            self._still(target, again)

    def _still(self, target: Target, now: Target) -> None:
        """Raises End when what was opened is no longer what the address means."""

    async def disconnect(self, code: int) -> None:
        if self.main is not None:
            self.main.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.main
        if self.user_id:
            places.give_back(self.user_id)
            self.threads.shutdown(wait=False)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if len(text_data or bytes_data or b"") > MOST_MESSAGE:
            await self.close(code=1009)
            return
        if bytes_data is not None:
            self.moved_at = time.monotonic()
            await self._heard(bytes_data)
            return
        try:
            message = json.loads(text_data or "")
            kind = message["type"]
        except (ValueError, KeyError, TypeError):
            await self.close(code=1007)
            return
        if kind == "ping":
            await self._say("pong")
        else:
            await self._told(kind, message)

    async def _heard(self, data: bytes) -> None:
        """Bytes from the other side."""

    async def _told(self, kind: str, message: dict[str, Any]) -> None:
        """A message from the other side, other than ping."""

    async def _say(self, kind: str, **values: Any) -> None:
        await self.send(text_data=json.dumps({"type": kind, **values}))

    async def _pass_on(self, data: bytes) -> None:
        self.moved_at = time.monotonic()
        await self.send(bytes_data=data)


class LogSocket(WorkSocket):
    """The output of one member of the latest attempt, from a byte offset, as it comes."""

    permission = "workload.view"
    pieces: Iterator[bytes] | None = None

    def _read(self, query: dict[str, list[str]]) -> bool:
        self.offset = number(query, "offset", 0)
        return super()._read(query) and self.offset >= 0

    async def _talk(self, target: Target) -> None:
        while target.grant is None or target.grant.state == A.RESERVED:
            if target.workload.has_ended:
                raise End
            await asyncio.sleep(LOOK_SECONDS)
            target = await self._find() or target
        await self._say("open")
        driver = target.driver
        can_follow = _is_live(target.grant) and isinstance(driver, LogFollower)
        pieces = self._followed(cast(LogFollower, driver), target.ref) if can_follow else self._looks()
        async for piece in pieces:
            if piece:
                self.offset += len(piece)
                await self._pass_on(piece)
        await self._rest(target)
        self._still(target, await self._find() or target)
        raise End

    async def _followed(self, driver: LogFollower, ref: str) -> AsyncIterator[bytes]:
        self.pieces = driver.follow(ref, self.offset)
        while (piece := await ends.in_thread(self.threads, next, self.pieces, None)) is not None:
            yield piece

    async def _looks(self) -> AsyncIterator[bytes]:
        """Where it cannot be followed it is looked at, once a second."""
        while True:
            now = await self._find()
            if now is None or now.grant is None or now.driver is None:
                return
            chunk = await ends.in_thread(self.threads, look, now.driver, now.grant, self.offset)
            if chunk is None:
                raise End("not-offered", "This kind of site shows no logs.")
            if chunk.text:
                yield chunk.text.encode()
                self.offset = chunk.next_offset  # letters that could not be read are longer here than they were there
            elif chunk.is_complete or now.grant.state == A.RELEASED:
                return
            else:
                await asyncio.sleep(LOOK_SECONDS)

    async def _rest(self, target: Target) -> None:
        """What was followed may have been cut short by its removal; then the rest was kept."""
        while (chunk := await database_sync_to_async(outputs.read)(target.ref, self.offset)).text:
            await self._pass_on(chunk.text.encode())
            self.offset = chunk.next_offset

    def _still(self, target: Target, now: Target) -> None:
        if target.grant is not None and now.ref != target.ref:
            raise End("moved", "It has been started anew.")

    async def _leave(self, target: Target, end: End) -> None:
        if self.pieces is not None:
            close = getattr(self.pieces, "close", None)
            with contextlib.suppress(
                Exception
            ):  # a generator at work in its thread cannot be closed: it ends by itself
                if close is not None:
                    close()


def _is_live(grant: Allocation) -> bool:
    return grant.state not in (A.STOPPING, A.RELEASED)


def number(query: dict[str, list[str]], name: str, default: int) -> int:
    """-1 for what is no number."""
    text = query.get(name, [str(default)])[-1]
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else -1
