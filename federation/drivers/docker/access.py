"""Looking into running and ended work: its output, what the engine noted, a shell, a port."""

import json
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from federation.drivers.abilities import EventSeen, LogChunk
from federation.drivers.base import Rejected, Unavailable
from federation.drivers.docker.channels import CommandChannel, Frames, PortChannel
from federation.drivers.docker.names import LABEL_CLUSTER, LABEL_REF
from federation.drivers.docker.pipes import Answer
from federation.drivers.docker.transport import Api, Deadline, EngineError, Json, path_of

_OUTPUT = {"stdout": "true", "stderr": "true"}
_MOST_EVENTS = 200
_PORT_SECONDS = 3.0
# What an engine notes of a container, in words for people; what is not here is left out (exec_create, attach, top).
EVENTS = {
    "create": "Made.",
    "start": "Started.",
    "die": "Ended.",
    "oom": "It ran out of memory.",
    "kill": "A signal was sent.",
    "pause": "Paused.",
    "unpause": "Goes on.",
    "restart": "Started anew.",
    "stop": "Stopped.",
    "update": "Its limits were changed.",
    "destroy": "Removed.",
}
_WARNINGS = frozenset({"oom", "update"})


def is_over(container: Json) -> bool:
    state = container.get("State") or {}
    return str(state.get("Status") or "") in ("exited", "stopped", "dead")


def logs(api: Api, deadline: Deadline, container: Json | None, offset: int, limit: int) -> LogChunk:
    """`limit` bytes from `offset`. The engine counts only from the beginning, so what is before is read and left."""
    if container is None:
        return LogChunk("", offset, is_complete=True)
    has_ended = is_over(container)
    try:
        answer = api.stream(deadline, _path(container) + "/logs", _OUTPUT)
    except EngineError as error:
        if error.status == 404:
            return LogChunk("", offset, is_complete=False)
        return LogChunk("", offset, is_complete=True)  # this engine keeps its output where we cannot read it
    wanted, seen, found = offset + limit + 4, 0, bytearray()
    is_whole = False
    try:
        for piece in _pieces(answer, lambda: deadline.left(), is_tty=_has_tty(container)):
            before = seen
            seen += len(piece)
            if seen > offset:
                found += piece[max(0, offset - before) :]
            if seen >= wanted:
                break
        else:
            is_whole = True
    finally:
        answer.close()
    data = bytes(found[:limit])
    is_last = has_ended and is_whole and len(found) <= limit
    if not is_last:
        data = whole_letters(data)
    end = offset + len(data)
    return LogChunk(data.decode(errors="replace"), end, is_complete=has_ended and is_whole and end >= seen)


def whole_letters(data: bytes) -> bytes:
    """Without the first bytes of a letter whose rest is still to come."""
    for cut in range(min(3, len(data)) + 1):
        part = data[: len(data) - cut]
        try:
            part[-4:].decode()
        except UnicodeDecodeError as error:
            if error.reason == "unexpected end of data":
                continue
        return part or data
    return data


def _pieces(answer: Answer, left: Callable[[], float], *, is_tty: bool) -> Iterator[bytes]:
    frames = Frames()
    while True:
        data = answer.read(left())
        if data is None:
            continue  # left() says when it has been too long
        if not data:
            return
        yield from [data] if is_tty else (piece for _, piece in frames.feed(data))


def follow(api: Api, ref: str, offset: int, look: Callable[[], tuple[Json | None, bool]]) -> Iterator[bytes]:
    """The output from `offset` as it comes; an empty piece when nothing came for a second. Ends with the work.

    `look`: its container, and whether there may be one later.
    """
    container, may_come = look()
    while container is None or not _has_begun(container):
        if not may_come or (container is not None and is_over(container)):
            return
        yield b""
        time.sleep(0.3)  # a follower is a thread of its own: it may wait
        container, may_come = look()
    try:
        with api.begin() as deadline:
            answer = api.stream(deadline, _path(container) + "/logs", {**_OUTPUT, "follow": "true"})
    except EngineError:
        return
    frames, skip, is_tty = Frames(), offset, _has_tty(container)
    try:
        while True:
            data = answer.read(1.0)
            if data is None:
                yield b""
                continue
            if not data:
                return
            for piece in [data] if is_tty else [piece for _, piece in frames.feed(data)]:
                fresh = piece[skip:] if skip else piece
                skip = max(0, skip - len(piece))
                if fresh:
                    yield fresh
    finally:
        answer.close()


def events(api: Api, deadline: Deadline, ref: str, cluster: str, now: float) -> list[EventSeen]:
    """What the engine still remembers (its last few hundred events of all containers), oldest first."""
    labels = [f"{LABEL_REF}={ref}", f"{LABEL_CLUSTER}={cluster}"]
    query = {"since": "0", "until": f"{int(now) + 1}", "filters": {"type": ["container"], "label": labels}}
    answer = api.stream(deadline, "/events", query)
    found, rest = [], b""
    try:
        while True:
            data = answer.read(min(1.5, deadline.left()))
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            found += [event for line in lines if (event := event_of(line)) is not None]
    finally:
        answer.close()
    return sorted(found, key=lambda event: event.at)[-_MOST_EVENTS:]


def event_of(line: bytes) -> EventSeen | None:
    try:
        said = json.loads(line)
        action, nano = str(said["Action"]), int(said.get("timeNano") or int(said["time"]) * 10**9)
        facts = (said.get("Actor") or {}).get("Attributes") or {}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    words = EVENTS.get(action.partition(":")[0])
    if words is None:
        return None
    if action == "die":
        words = f"Ended with exit code {facts.get('exitCode', '?')}."
    if action == "kill":
        words = f"Signal {facts.get('signal', '?')} was sent."
    at = datetime.fromtimestamp(nano / 1e9, UTC)
    return EventSeen(at, action[:100], words, is_warning=action in _WARNINGS or facts.get("exitCode", "0") != "0")


def shell(api: Api, deadline: Deadline, container: Json | None, command: Sequence[str], is_tty: bool) -> CommandChannel:
    target = running(container)
    body = {
        "AttachStdin": True, "AttachStdout": True, "AttachStderr": True, "Tty": is_tty, "Cmd": list(command),
    }  # fmt: skip
    try:
        exec_id = str(api.call(deadline, "POST", _path(target) + "/exec", body=body)["Id"])
        answer = api.stream(
            deadline, "/exec" + path_of(exec_id) + "/start", method="POST", body={"Detach": False, "Tty": is_tty},
            headers={"Connection": "Upgrade", "Upgrade": "tcp"},
        )  # fmt: skip
    except EngineError as error:
        if error.status in (400, 404, 409):
            raise Rejected("NotPossible", error.message) from None
        raise
    pipe, rest = answer.taken_over()
    return CommandChannel(api, exec_id, pipe, rest, is_tty=is_tty)


def reach(container: Json | None, port: int, asked: Sequence[int]) -> PortChannel:
    """By the port that the engine published at the host's loopback, or by the container's own address."""
    target = running(container)
    if not 0 < port < 65536:
        raise Rejected("NoSuchPort", "A port is a number from 1 to 65535.")
    if port not in asked:
        raise Rejected("NoSuchPort", f"The work did not ask for port {port} to be reached.")
    place = _place_of(target, port)
    try:
        return PortChannel(socket.create_connection(place, _PORT_SECONDS))
    except ConnectionRefusedError:
        raise Rejected("NobodyListens", f"Nobody listens on port {port} of the work.") from None
    except OSError as error:
        raise Unavailable(f"Port {port} of the work cannot be reached: {error.strerror or 'no answer'}.") from None


def _place_of(container: Json, port: int) -> tuple[str, int]:
    network = container.get("NetworkSettings") or {}
    for binding in (network.get("Ports") or {}).get(f"{port}/tcp") or ():
        if binding.get("HostPort"):
            return "127.0.0.1", int(binding["HostPort"])
    if (container.get("HostConfig") or {}).get("NetworkMode") == "host":
        return "127.0.0.1", port
    for one in (network.get("Networks") or {}).values():
        if one.get("IPAddress"):
            return str(one["IPAddress"]), port
    raise Rejected("NotPossible", "The work has no network on this host.")


def running(container: Json | None) -> Json:
    if container is None or not (container.get("State") or {}).get("Running"):
        raise Rejected("NotRunning", "It is not running now.")
    return container


def _has_begun(container: Json) -> bool:
    return str((container.get("State") or {}).get("Status") or "") not in ("created", "configured", "initialized")


def _has_tty(container: Json) -> bool:
    return bool((container.get("Config") or {}).get("Tty"))


def _path(container: Json) -> str:
    return "/containers" + path_of(str(container["Id"]))
