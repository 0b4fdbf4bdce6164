"""What is not the API: the console's one page, its files, the API's browsable document, health."""

import mimetypes
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import SuspiciousFileOperation
from django.db import connection
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.utils._os import safe_join
from django.utils.cache import patch_vary_headers
from django.utils.html import escape
from django.views.decorators.csrf import ensure_csrf_cookie
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from portal.http import problems
from portal.http.auth import TokenAuthentication
from portal.permissions import scope_of

_YEAR = "public, max-age=31536000, immutable"
_PACKED = (("br", ".br"), ("gzip", ".gz"))
_WAITING = """<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="2">
<title>Aquifer</title><p>The console is being built; this page will show it in a moment.</p>
<p lang="zh-Hans">控制台正在构建，稍后将自动显示。</p></html>"""


def alive(request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return JsonResponse({"status": "alive"})


def ready(request: HttpRequest) -> HttpResponse:
    """The process can serve: it reaches its database. 503 otherwise (by the middleware)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "ready"})


@ensure_csrf_cookie
def console(request: HttpRequest) -> HttpResponse:
    """The console's page, for every address that is not something else; its router takes it from there."""
    index = settings.FRONTEND_DIST / "index.html"
    if request.method not in {"GET", "HEAD"}:
        return problems.plain(request, 405, "method-not-allowed", "This method is not for this address")
    try:
        text = index.read_text(encoding="utf-8")
    except FileNotFoundError:
        return HttpResponse(_WAITING, headers={"Cache-Control": "no-store"})
    nonce: Any = getattr(request, "csp_nonce", "")
    return HttpResponse(text.replace("__CSP_NONCE__", nonce), headers={"Cache-Control": "no-store"})


def forwarder(request: HttpRequest) -> HttpResponse:
    """The script by which people reach a port of their work from their own computers. It holds no secret."""
    if request.method not in {"GET", "HEAD"}:
        return problems.plain(request, 405, "method-not-allowed", "This method is not for this address")
    return HttpResponse(
        (Path(__file__).parent / "forward.py").read_bytes(),
        content_type="text/x-python",
        headers={"Content-Disposition": 'attachment; filename="aquifer-forward"'},
    )


def asset(request: HttpRequest, name: str) -> HttpResponseBase:
    """A built file; packed where the browser takes it. Names carry a hash, so they never change."""
    try:
        path = Path(safe_join(settings.FRONTEND_DIST, name))
        is_there = path.is_file()
    except (SuspiciousFileOperation, OSError):  # outside, or no name a file could have
        is_there = False
    if not is_there:
        return problems.not_found(request)
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    headers = {"Cache-Control": _YEAR if name.startswith("assets/") else "no-cache"}
    accepted = request.headers.get("Accept-Encoding", "")
    for encoding, ending in _PACKED:
        packed = path.with_name(path.name + ending)
        if encoding in accepted and packed.is_file():
            path, headers["Content-Encoding"] = packed, encoding
            break
    response = FileResponse(path.open("rb"), content_type=kind, headers=headers)
    patch_vary_headers(response, ["Accept-Encoding"])
    return response


def docs(request: HttpRequest) -> HttpResponse:
    """The API, to browse: made from the document, with no script and nothing from elsewhere."""
    user: Any = request.user
    try:
        if not user.is_authenticated and (found := TokenAuthentication().authenticate(Request(request))):
            user = found[0]
    except AuthenticationFailed as error:
        return problems.plain(request, 401, "bad-credential", "This token is not valid", str(error.detail))
    if scope_of(user, "session.view").is_empty:
        return problems.plain(request, 401, "not-authenticated", "Sign in first")
    from drf_spectacular.generators import SchemaGenerator

    schema = SchemaGenerator().get_schema(public=True)
    rows = []
    for address, operations in schema["paths"].items():
        for method, operation in operations.items():
            text = escape(operation.get("description", "").split("\n\n")[0])
            rows.append(
                f"<tr><td><code>{method.upper()}</code></td><td><code>{escape(address)}</code></td><td>{text}</td></tr>"
            )
    return HttpResponse(
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Aquifer API</title><h1>Aquifer API</h1>"
        f"<p>{escape(schema['info']['description'])}</p><p><a href='/api/v1/schema'>OpenAPI document</a></p>"
        f"<table><tbody>{''.join(rows)}</tbody></table></html>"
    )
