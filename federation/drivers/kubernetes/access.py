"""Looking into running and ended work: its output, what the site noted, a shell, a port."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from urllib3.exceptions import HTTPError

from federation.drivers.abilities import EventSeen, LogChunk
from federation.drivers.base import Rejected, Unavailable
from federation.drivers.kubernetes.channels import CommandChannel, PortChannel, open_socket
from federation.drivers.kubernetes.names import CONTAINER, object_name
from federation.drivers.kubernetes.records import Record
from federation.drivers.kubernetes.states import latest, moment
from federation.drivers.kubernetes.transport import Api, ApiError, Deadline, Endpoint, Json, path_of
from federation.drivers.kubernetes.ways import Ways

_SILENCE_SECONDS = 20.0  # of a followed log, before we look whether its pod is still there
_REVIEW_SECONDS = 300.0
_MOST_EVENTS = 200
_reviews: dict[tuple[Endpoint, str], tuple[float, list[str]]] = {}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a piece of work is: its record and its pods, as they were a moment ago."""

    ref: str
    record: Record | None
    pods: tuple[Json, ...]

    def running(self) -> str:
        """Path of the pod whose container runs. Raises Rejected."""
        pod = latest(self.pods)
        if pod is None or _state(pod) != "running":
            raise Rejected("NotRunning", "It is not running now.")
        return _path(pod)


def missing(api: Api, deadline: Deadline, ways: Ways) -> list[str]:
    """What the credential may not do and should, in words. Asked once in five minutes."""
    key = (api.endpoint, ways.system_namespace)
    at, found = _reviews.get(key, (0.0, []))
    if time.monotonic() - at < _REVIEW_SECONDS and at:
        return found
    needs = (
        ("list", "", "nodes", ""),
        ("list", "", "pods", ""),
        ("create", "", "namespaces", ""),
        ("create", "", "configmaps", ways.system_namespace),
    )
    found = []
    for verb, group, resource, namespace in needs:
        attributes = {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        answer = api.call(deadline, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=body)
        if not (answer.get("status") or {}).get("allowed"):
            found.append(f"{verb} {resource}" + (f" in {namespace}" if namespace else ""))
    _reviews[key] = (time.monotonic(), found)
    return found


def logs(api: Api, deadline: Deadline, place: Place, offset: int, limit: int) -> LogChunk:
    """`limit` bytes from `offset`. The site counts only from the beginning, so what is before comes along."""
    pod = latest(place.pods)
    if pod is None or not _has_begun(pod):
        return LogChunk("", offset, is_complete=place.record is None)
    query = {"container": CONTAINER, "limitBytes": offset + limit + 1}
    try:
        data = api.raw(deadline, "GET", f"{_path(pod)}/log", query=query)
    except ApiError as error:
        if error.status in (400, 404):  # not begun, or gone meanwhile
            return LogChunk("", offset, is_complete=False)
        raise
    piece = data[offset : offset + limit]
    has_ended = _state(pod) == "terminated"
    piece, is_whole = _whole_letters(piece, is_last=has_ended and len(data) <= offset + limit)
    end = offset + len(piece)
    return LogChunk(piece.decode(errors="replace"), end, is_complete=has_ended and is_whole and end >= len(data))


def _whole_letters(data: bytes, *, is_last: bool) -> tuple[bytes, bool]:
    """Without the first bytes of a letter whose rest is still to come."""
    if is_last:
        return data, True
    for cut in range(min(3, len(data)) + 1):
        part = data[: len(data) - cut]
        try:
            part[-4:].decode()
        except UnicodeDecodeError as error:
            if error.end == len(part[-4:]) and error.reason == "unexpected end of data":
                continue
        return (part or data), True
    return data, True


def follow(api: Api, place: Place, offset: int, again: Callable[[], Place | None]) -> Iterator[bytes]:
    """The output from `offset` as it comes; an empty piece now and then while nothing does. Ends with the work.

    `again`: where it is now, as long as it has no pod; None when it will have none any more.
    """
    while (pod := latest(place.pods)) is None:
        yield b""
        time.sleep(0.5)  # a follower is a thread of its own: it may wait
        now = again()
        if now is None:
            return
        place = now
    path, read, is_over = _path(pod), offset, False
    while True:
        skip, is_silent, has_said = read, False, False
        try:
            response = api.stream(
                f"{path}/log", {"container": CONTAINER, "follow": "true"}, read_seconds=_SILENCE_SECONDS
            )
        except ApiError as error:
            if error.status not in (400, 404) or is_over:
                return
            yield b""  # its container has not begun, or its node does not know of it yet
            is_over = _has_ended(api, path)  # begun and ended meanwhile: it may have said something
            if not is_over:
                time.sleep(0.5)
            continue
        try:
            for piece in response.stream(16384, decode_content=True):
                has_said = True
                fresh = piece[skip:] if skip else piece
                skip = max(skip - len(piece), 0)
                if fresh:
                    read += len(fresh)
                    yield fresh
        except (HTTPError, OSError):
            is_silent = True
        finally:
            response.close()
        if has_said and not is_silent:
            return
        if _has_ended(api, path):
            with suppress(ApiError):  # gone meanwhile
                if rest := api.raw(api.begin(), "GET", f"{path}/log", query={"container": CONTAINER})[read:]:
                    yield rest
            return
        yield b""
        if not is_silent:  # a container that is made but does not run yet has a log that ends at once
            time.sleep(0.5)


def _has_ended(api: Api, path: str) -> bool:
    try:
        return _state(api.get(api.begin(), path)) == "terminated"
    except ApiError as error:
        return error.status == 404
    except Unavailable:
        return False


def events(api: Api, deadline: Deadline, place: Place) -> list[EventSeen]:
    """What the site noted about the work's objects and pods, oldest first."""
    if place.record is None or not place.record.namespace:
        return []
    name = object_name(place.ref)
    path = f"/api/v1/namespaces/{place.record.namespace}/events"
    found = []
    for item in api.items(deadline, path):
        about = str((item.get("involvedObject") or {}).get("name") or "")
        if about != name and not about.startswith(f"{name}-"):
            continue
        at = next(
            (t for k in ("lastTimestamp", "eventTime", "firstTimestamp") if (t := moment(item.get(k))) is not None),
            moment((item.get("metadata") or {}).get("creationTimestamp")) or 0.0,
        )
        found.append(
            EventSeen(
                at=datetime.fromtimestamp(at, UTC),
                reason=str(item.get("reason") or "")[:100],
                message=str(item.get("message") or "")[:2000],
                is_warning=item.get("type") == "Warning",
                count=int(item.get("count") or (item.get("series") or {}).get("count") or 1),
            )
        )
    return sorted(found, key=lambda event: event.at)[-_MOST_EVENTS:]


def shell(api: Api, place: Place, command: Sequence[str], is_tty: bool) -> CommandChannel:
    query = [
        *(("command", word) for word in command),
        ("container", CONTAINER),
        ("stdin", "true"),
        ("stdout", "true"),
        ("stderr", "false" if is_tty else "true"),
        ("tty", "true" if is_tty else "false"),
    ]
    protocols = ["v5.channel.k8s.io", "v4.channel.k8s.io"]
    return CommandChannel(open_socket(api, f"{place.running()}/exec", query, protocols))


def reach(api: Api, place: Place, port: int) -> PortChannel:
    if not 0 < port < 65536:
        raise Rejected("NoSuchPort", "A port is a number from 1 to 65535.")
    path = f"{place.running()}/portforward"
    return PortChannel(open_socket(api, path, [("ports", str(port))], ["v4.channel.k8s.io"]))


def _path(pod: Json) -> str:
    meta = pod["metadata"]
    return f"/api/v1/namespaces/{meta['namespace']}/pods{path_of(meta['name'])}"


def _state(pod: Json) -> str:
    """running, waiting or terminated: of the container that is the work."""
    for one in (pod.get("status") or {}).get("containerStatuses") or []:
        if one.get("name") == CONTAINER:
            return str(next(iter(one.get("state") or {"waiting": None})))
    return "waiting"


def _has_begun(pod: Json) -> bool:
    return _state(pod) != "waiting"
