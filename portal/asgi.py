"""HTTP to Django, WebSocket to Channels."""

import os
from io import BytesIO
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
os.environ.setdefault("AQUIFER_PROCESS", "web")

from django.core.asgi import get_asgi_application

_http = get_asgi_application()  # before anything that needs models

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.core.handlers.asgi import ASGIRequest  # noqa: E402
from django.urls import path, re_path  # noqa: E402

import federation.api  # noqa: E402
from portal.consumers import EventsConsumer, NoSuchSocket  # noqa: E402
from portal.http.middleware import SecurityHeaders, refusal  # noqa: E402
from portal.http.sockets import Callers  # noqa: E402


async def _limited(scope: Any, receive: Any, send: Any) -> None:
    """Django's handler stores a whole body before it looks at anything; what is too large is refused before that."""
    request = ASGIRequest(scope, BytesIO())
    if (refused := refusal(request)) is None:
        await _http(scope, receive, send)
    else:
        await _http.send_response(SecurityHeaders(lambda _: refused)(request), send)


sockets: list[Any] = [
    path("ws/events", EventsConsumer.as_asgi()),
    *federation.api.live_paths,
    re_path(r"", NoSuchSocket.as_asgi()),
]
application = ProtocolTypeRouter({"http": _limited, "websocket": Callers(URLRouter(sockets))})
