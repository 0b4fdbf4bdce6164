"""HTTP by the ASGI application itself: what is too large is refused before any of it is read."""

import json
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

from tests.portal.sockets import PATIENCE, application, run

pytestmark = pytest.mark.django_db(transaction=True)


async def answer(path: str, headers: dict[str, str], *body: bytes) -> tuple[int, dict[str, str], Any]:
    """Of a POST of which only these pieces ever arrive."""
    packed = [(b"host", b"localhost"), *((k.lower().encode(), v.encode()) for k, v in headers.items())]
    scope = {"type": "http", "http_version": "1.1", "method": "POST", "path": path, "raw_path": path.encode(),
             "query_string": b"", "headers": packed}  # fmt: skip
    end = ApplicationCommunicator(application, scope)
    for position, piece in enumerate(body):
        await end.send_input({"type": "http.request", "body": piece, "more_body": position + 1 < len(body)})
    start = await end.receive_output(PATIENCE)
    rest = await end.receive_output(PATIENCE)
    await end.wait(PATIENCE)
    found = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return start["status"], found, json.loads(rest["body"])


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/api/v1/session", {"Content-Length": "1000001"}, 413),
        ("/api/v1/agent/sync", {"Content-Length": "5000001"}, 413),
        ("/api/v1/session", {"Content-Length": "9" * 30}, 413),
        ("/", {"Content-Length": "1000001"}, 413),
        ("/api/v1/session", {"Transfer-Encoding": "chunked"}, 411),
        ("/api/v1/session", {"Content-Length": "10", "Content-Encoding": "gzip"}, 415),
        ("/api/v1/session", {"Content-Length": "ten"}, 400),
    ],
)
def test_a_body_is_refused_while_none_of_it_has_come(path: str, headers: dict[str, str], status: int) -> None:
    async def story() -> None:
        found, said, problem = await answer(path, {**JSON, **headers})
        assert (found, problem["status"]) == (status, status)
        assert said["content-type"] == "application/problem+json"
        assert "content-security-policy" in said

    run(story)


def test_what_is_small_enough_is_read() -> None:
    body = json.dumps({"username": "nobody", "password": "wrong"}).encode()

    async def story() -> None:
        length = {"Content-Length": str(len(body))}
        found, _, problem = await answer("/api/v1/session", {**JSON, **length}, body[:10], body[10:])
        assert (found, problem["code"]) == (401, "login-failed")

    run(story)
