"""Limits before anything is read, and headers on everything that leaves."""

import secrets
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from psycopg_pool import PoolTimeout

from portal.http import problems

Next = Callable[[HttpRequest], HttpResponse]


def refusal(request: HttpRequest) -> HttpResponse | None:
    """The answer to a body that is too large, of unknown length or packed; None when it may be read."""
    limit = settings.REQUEST_MAX_BYTES
    if request.path.startswith("/api/v1/agent/"):
        limit = settings.AGENT_REPORT_MAX_BYTES
    try:
        length = int(request.headers.get("Content-Length") or 0)
    except ValueError:
        return problems.plain(request, 400, "bad-request", "Content-Length is not a number")
    if length > limit:
        return problems.plain(request, 413, "too-large", "The request is too large", f"At most {limit} bytes.")
    if request.headers.get("Transfer-Encoding") and not request.headers.get("Content-Length"):
        return problems.plain(request, 411, "length-required", "Send a Content-Length")
    if request.headers.get("Content-Encoding"):
        return problems.plain(request, 415, "unsupported-media-type", "Packed requests are not taken")
    return None


class RequestLimits:
    """Refuses bodies before a byte is parsed (portal.asgi: before one is read); a lost database is a 503."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return refusal(request) or self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, OperationalError | InterfaceError | PoolTimeout):
            response = problems.plain(request, 503, "database-unavailable", "The database cannot be reached just now")
            response["Retry-After"] = "5"
            return response
        return None


class SecurityHeaders:
    """A content security policy with a nonce per answer, and no caching of what the API says."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        nonce = secrets.token_urlsafe(16)
        stamped: Any = request
        stamped.csp_nonce = nonce
        response = self.get_response(request)
        response.setdefault(
            "Content-Security-Policy",
            f"default-src 'self'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; style-src-attr 'unsafe-inline'; "
            "img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
            "frame-ancestors 'none'",
        )
        response.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
        if request.path.startswith("/api/"):
            response.setdefault("Cache-Control", "no-store")
        return response
