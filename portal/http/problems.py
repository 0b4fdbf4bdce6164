"""Every error leaves as application/problem+json (RFC 9457), in the user's words and with nothing inside."""

import logging
from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from psycopg_pool import PoolTimeout
from rest_framework import exceptions
from rest_framework.response import Response

from portal.errors import DomainError

logger = logging.getLogger(__name__)
CONTENT_TYPE = "application/problem+json"
_DISK_FULL = "53100"
_MOST_ERRORS = 100
_GONE = (OperationalError, InterfaceError, PoolTimeout)


def body(
    status: int, code: str, title: str, detail: str, instance: str, errors: list[Any] | None = None
) -> dict[str, Any]:
    return {
        "type": f"https://aquifer.dev/problems/{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": instance,
        "code": code,
        "errors": errors or [],
    }


def _fields(detail: Any, pointer: str = "") -> Iterator[dict[str, str]]:
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _fields(inner, pointer if name == "non_field_errors" else f"{pointer}/{name}")
    elif isinstance(detail, list):
        for position, inner in enumerate(detail):
            yield from _fields(inner, f"{pointer}/{position}" if isinstance(inner, dict) else pointer)
    else:
        yield {"pointer": pointer, "detail": str(detail), "code": getattr(detail, "code", "invalid")}


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """REST framework's exception handler. What is not a refusal of ours becomes a plain 500 or 503."""
    request = context["request"]
    status, code, title, detail, errors, headers = _describe(error)
    if headers.get("WWW-Authenticate") is None and status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status >= 500:
        logger.error("%s %s failed: %s", request.method, request.path, title, exc_info=error)
    response = Response(body(status, code, title, detail, request.path, errors), status=status, headers=headers)
    response.content_type = CONTENT_TYPE
    return response


def _describe(error: Exception) -> tuple[int, str, str, str, list[Any], dict[str, str]]:
    none: list[Any] = []
    match error:
        case DomainError():
            headers = {"Retry-After": "300"} if error.status == 429 else {}
            return error.status, error.code, error.title, error.detail, error.errors, headers
        case exceptions.ValidationError():
            errors = list(islice(_fields(error.detail), _MOST_ERRORS))
            summary = "; ".join(f"{e['pointer'].strip('/') or 'request'}: {e['detail']}" for e in errors[:3])
            return 422, "invalid", "Some of what was sent is not valid", summary, errors, {}
        case DjangoValidationError():
            return 422, "invalid", "Some of what was sent is not valid", "; ".join(error.messages), none, {}
        case exceptions.NotAuthenticated():
            return 401, "not-authenticated", "Sign in first", "Send a token, or sign in.", none, {}
        case exceptions.AuthenticationFailed():
            return 401, "bad-credential", "This token is not valid", str(error.detail), none, {}
        case exceptions.PermissionDenied() | PermissionDenied():
            detail = str(getattr(error, "detail", "")) or "Your role does not allow this."
            if "CSRF" in detail:
                return 403, "csrf-failed", "The request did not come from our own page", detail, none, {}
            return (
                403,
                "not-allowed",
                "Your role does not allow this",
                "Your role does not allow this.",
                none,
                {},
            )
        case Http404() | exceptions.NotFound():
            return 404, "not-found", "There is no such thing here", "There is no such thing here.", none, {}
        case exceptions.MethodNotAllowed():
            return (
                405,
                "method-not-allowed",
                "This method is not for this address",
                str(error.detail),
                none,
                {},
            )
        case exceptions.UnsupportedMediaType():
            return 415, "unsupported-media-type", "Send application/json", str(error.detail), none, {}
        case exceptions.NotAcceptable():
            return 406, "not-acceptable", "Only application/json is sent here", str(error.detail), none, {}
        case exceptions.ParseError() | RecursionError():
            return (
                400,
                "malformed",
                "This is not valid JSON",
                str(getattr(error, "detail", "Nested too deeply.")),
                none,
                {},
            )
        case RequestDataTooBig():
            return 413, "too-large", "The request is too large", "It has more bytes than are taken here.", none, {}
        case exceptions.Throttled():
            return (
                429,
                "too-many-requests",
                "Too many requests",
                str(error.detail),
                none,
                {"Retry-After": "60"},
            )
        case exceptions.APIException():
            return (
                error.status_code,
                "bad-request",
                "The request cannot be carried out",
                str(error.detail),
                none,
                {},
            )
        case IntegrityError():
            name = getattr(getattr(error.__cause__, "diag", None), "constraint_name", "") or ""
            return 409, "conflict", "This clashes with what is there", _clash(name), none, {}
        case _ if isinstance(error, _GONE):
            return (503, "database-unavailable", "The database cannot be reached just now",
                    "Nothing was changed, or the change will show; repeat with the same Idempotency-Key.", none,
                    {"Retry-After": "5"})  # fmt: skip
        case DatabaseError() if getattr(error.__cause__, "sqlstate", "") == _DISK_FULL:
            return (
                503,
                "storage-full",
                "The server's storage is full",
                "Nothing was changed.",
                none,
                {"Retry-After": "60"},
            )
    return (
        500,
        "internal",
        "Something went wrong on our side",
        "It has been noted. Nothing was changed.",
        none,
        {},
    )


def _clash(constraint: str) -> str:
    if constraint.endswith(("_once", "_key")) or "slug" in constraint or "unique" in constraint:
        return "There is one with this name already."
    return "A rule of the data forbids this" + (f" ({constraint.replace('_', ' ')})." if constraint else ".")


def plain(request: HttpRequest, status: int, code: str, title: str, detail: str = "") -> HttpResponse:
    """For errors outside of REST framework."""
    return JsonResponse(
        body(status, code, title, detail or f"{title}.", request.path),
        status=status,
        content_type=CONTENT_TYPE,
    )


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return plain(request, 404, "not-found", "There is no such thing here")


def server_error(request: HttpRequest) -> HttpResponse:
    return plain(request, 500, "internal", "Something went wrong on our side")


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return plain(request, 400, "bad-request", "The request cannot be read")


def forbidden(request: HttpRequest, exception: Exception | None = None, reason: str = "") -> HttpResponse:
    return plain(request, 403, "not-allowed", "This is not allowed", reason)
