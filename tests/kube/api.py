"""The least that tests need to speak to an API server: JSON in and out over verified TLS, connections kept.

Tests of what is seen and made at a site go by this and not by the code that they test.
"""

import http.client
import json
import select
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit

Object = dict[str, Any]

_PATCH = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


class ApiError(Exception):
    """The server refused; `status` is HTTP's, `reason` the word of the API (NotFound, Conflict, Expired ...)."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason


class Api:
    """May be used by many threads; each has a connection of its own until `close`."""

    def __init__(self, url: str, ca_pem: str, token: str) -> None:
        where = urlsplit(url)
        self._host, self._port = where.hostname or "", where.port or 443
        self._tls = ssl.create_default_context(cadata=ca_pem)
        self._token = token
        self._mine = threading.local()
        self._all: list[http.client.HTTPSConnection] = []

    def get(self, path: str, **query: Any) -> Object:
        return self.call("GET", path, **query)

    def post(self, path: str, body: Object) -> Object:
        return self.call("POST", path, body)

    def put(self, path: str, body: Object) -> Object:
        return self.call("PUT", path, body)

    def patch(self, path: str, body: Object, kind: str = "merge", **query: Any) -> Object:
        return self.call("PATCH", path, body, kind=_PATCH[kind], **query)

    def delete(self, path: str, **query: Any) -> Object | None:
        """None if there was nothing."""
        try:
            return self.call("DELETE", path, **query)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def items(self, path: str, limit: int = 500, **query: Any) -> Iterator[Object]:
        """All objects of a list, page by page."""
        more = ""
        while True:
            page = self.get(path, limit=limit, **({"continue": more} if more else {}), **query)
            yield from page.get("items") or []
            more = page["metadata"].get("continue", "")
            if not more:
                return

    def text(self, path: str, **query: Any) -> str:
        """What is not JSON: logs, /readyz."""
        return self._send("GET", path, None, "", query, accept="*/*").decode()

    def call(self, method: str, path: str, body: Object | None = None, kind: str = "", **query: Any) -> Object:
        answer: Object = json.loads(self._send(method, path, body, kind, query))
        return answer

    def for_each(
        self, calls: Iterable[tuple[str, str, Object | None]], connections: int = 32, is_gone_fine: bool = False
    ) -> int:
        """Many calls (method, path, body) at once, in no order. Returns how many; the first error is raised.

        A PATCH is a merge patch. `is_gone_fine` forgives 404.
        """

        def one(call: tuple[str, str, Object | None]) -> None:
            method, path, body = call
            try:
                self._send(method, path, body, _PATCH["merge"] if method == "PATCH" else "", {})
            except ApiError as error:
                if not (is_gone_fine and error.status == 404):
                    raise

        try:
            with ThreadPoolExecutor(connections, thread_name_prefix="api") as pool:
                try:
                    return sum(1 for _ in pool.map(one, calls))
                finally:
                    pool.shutdown(cancel_futures=True)
        finally:
            self._close_others()

    def close(self) -> None:
        self._mine.__dict__.clear()
        self._close_others()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _close_others(self) -> None:
        """Those of threads that have ended; they are not ours to use."""
        mine = getattr(self._mine, "connection", None)
        for connection in self._all:
            if connection is not mine:
                connection.close()
        self._all = [mine] if mine else []

    def _send(
        self,
        method: str,
        path: str,
        body: Object | None,
        kind: str,
        query: dict[str, Any],
        accept: str = "application/json",
    ) -> bytes:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": accept}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = kind or "application/json"
        target = quote(path) + (f"?{urlencode(query)}" if query else "")
        connection = self._connection()
        # A server hangs up after a minute and a half without a call; a POST is not sent twice, so look before.
        if connection.sock and _has_news(connection.sock):
            connection.close()
        was_open = connection.sock is not None
        is_sent = False
        try:
            connection.request(method, target, data, headers)
            is_sent = True
            answer = connection.getresponse()
            content = answer.read()
        except (http.client.HTTPException, OSError) as error:
            connection.close()  # opened again by the next call
            # The server was restarted, or closed what was idle for long: what it cannot have seen is sent again.
            is_unseen = not is_sent or isinstance(error, http.client.RemoteDisconnected)
            if was_open and (method == "GET" or is_unseen):
                return self._send(method, path, body, kind, query, accept)
            raise
        if answer.status >= 400:
            raise _error(answer.status, content)
        return content

    def _connection(self) -> http.client.HTTPSConnection:
        found: http.client.HTTPSConnection | None = getattr(self._mine, "connection", None)
        if found is None:
            found = http.client.HTTPSConnection(self._host, self._port, context=self._tls, timeout=60)
            self._mine.connection = found
            self._all.append(found)
        return found


def _error(status: int, content: bytes) -> ApiError:
    try:
        said = json.loads(content)
        return ApiError(status, said.get("reason", ""), said.get("message", ""))
    except ValueError:
        return ApiError(status, "", content[:500].decode(errors="replace"))


def _has_news(link: socket.socket) -> bool:
    """Something to read, or the end. (select() knows no file beyond the 1024th.)"""
    found = select.poll()
    found.register(link, select.POLLIN)
    return bool(found.poll(0))
