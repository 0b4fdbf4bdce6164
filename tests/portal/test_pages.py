"""What is not the API: the console's page and files, health, and the headers on everything that leaves."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client, override_settings

from portal.permissions import Role
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def dist(tmp_path: Path) -> Any:
    """A built console, and a secret beside it."""
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text('<html><style nonce="__CSP_NONCE__"></style><p>Aquifer</p></html>')
    (folder / "assets" / "app-1a2b.js").write_text("plain")
    (folder / "assets" / "app-1a2b.js.br").write_bytes(b"brotli")
    (folder / "assets" / "app-1a2b.js.gz").write_bytes(b"gzip")
    (folder / "icon.svg").write_text("<svg/>")
    (tmp_path / "secret.txt").write_text("TOP SECRET")
    with override_settings(FRONTEND_DIST=folder):
        yield folder


def test_the_page_has_a_new_nonce_each_time_that_its_policy_names(dist: Path) -> None:
    seen = set()
    for path in ("/", "/workloads", "/login/once", "/sites/7"):
        answer = Client().get(path)
        nonce = re.search(r'nonce="([^"]+)"', answer.content.decode())
        assert nonce, path
        policy = answer.headers["Content-Security-Policy"]
        assert f"style-src 'self' 'nonce-{nonce[1]}'" in policy
        assert "__CSP_NONCE__" not in answer.content.decode()
        assert answer.headers["Cache-Control"] == "no-store"
        seen.add(nonce[1])
    assert len(seen) == 4


@pytest.mark.parametrize(
    "path",
    ["/", "/healthz", "/readyz", "/api/v1/session", "/api/v1/docs", "/api/v1/none", "/assets/none.js", "/ws/events",
     "/icon.svg", "/assets/app-1a2b.js"],
)  # fmt: skip
def test_everything_that_leaves_is_armoured(dist: Path, path: str) -> None:
    answer = Client().get(path)
    answer.close()
    headers = answer.headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";"))
    assert (policy["default-src"], policy["script-src"], policy["object-src"]) == ("'self'", "'self'", "'none'")
    assert (policy["frame-ancestors"], policy["base-uri"], policy["form-action"]) == ("'none'", "'none'", "'self'")
    assert "unsafe" not in policy["style-src"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    if path.startswith("/api/"):
        assert headers["Cache-Control"] == "no-store"


def test_refusals_before_anything_is_read_are_armoured_too() -> None:
    answer = Client().post("/api/v1/session", "x" * 1_000_001, content_type="application/json")
    assert answer.status_code == 413
    for name in ("Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy"):
        assert name in answer.headers, name
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_file_is_sent_packed_to_who_takes_it(dist: Path) -> None:
    path = "/assets/app-1a2b.js"
    for accepted, encoding, body in (
        ("", None, b"plain"),
        ("gzip", "gzip", b"gzip"),
        ("gzip, deflate, br", "br", b"brotli"),
    ):
        answer: Any = Client().get(path, headers={"Accept-Encoding": accepted})
        assert (answer.headers.get("Content-Encoding"), b"".join(answer.streaming_content)) == (encoding, body)
        assert answer.headers["Content-Type"] == "text/javascript", "else no browser would run it"
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["Vary"] == "Accept-Encoding"
    icon: Any = Client().get("/icon.svg")
    assert (icon.headers["Content-Type"], icon.headers["Cache-Control"]) == ("image/svg+xml", "no-cache")
    b"".join(icon.streaming_content)


@pytest.mark.parametrize(
    "path",
    ["/assets/../../secret.txt", "/assets/..%2f..%2fsecret.txt", "/assets/%2e%2e/%2e%2e/secret.txt",
     "/assets//etc/passwd", "/assets/%2fetc%2fpasswd", "/assets/....//....//secret.txt", "/assets/..\\..\\secret.txt",
     "/assets/%00", "/assets/", "/assets/none.js", "/..%2fsecret.txt", "/secret.txt", "/assets/a%00.js",
     "/assets/" + "a" * 5000],
)  # fmt: skip
def test_nothing_beside_the_console_can_be_had(dist: Path, path: str) -> None:
    answer = Client(raise_request_exception=False).get(path)
    is_page = answer.status_code == 200 and b"<p>Aquifer</p>" in answer.content  # no name of a file: the console's
    assert answer.status_code == 404 or is_page, answer.status_code
    assert b"SECRET" not in answer.content
    assert b"root:" not in answer.content


def test_the_page_takes_no_orders(dist: Path) -> None:
    for method in ("post", "put", "delete", "patch"):
        answer = getattr(Client(), method)("/workloads")
        assert (answer.status_code, answer.headers["Content-Type"]) == (405, "application/problem+json")
    assert Client(enforce_csrf_checks=True).post("/workloads").status_code == 403


def test_before_the_console_is_built_it_says_so(tmp_path: Path) -> None:
    with override_settings(FRONTEND_DIST=tmp_path):
        answer = Client().get("/")
    assert answer.status_code == 200
    assert "控制台正在构建" in answer.content.decode()


def test_health_needs_no_name_and_tells_nothing() -> None:
    client = Client()
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}
    assert not client.cookies


def test_the_document_is_readable_without_a_script() -> None:
    client = Client()
    assert client.get("/api/v1/docs").status_code == 401
    client.force_login(factories.user(Role.TENANT_VIEWER, factories.tenant()))
    text = client.get("/api/v1/docs").content.decode()
    assert "/api/v1/workloads/{id}/cancel" in text
    assert "<script" not in text
    schema = client.get("/api/v1/schema")
    assert schema.json()["openapi"].startswith("3.")


@override_settings(
    SECURE_HSTS_SECONDS=31_536_000,
    SECURE_HSTS_INCLUDE_SUBDOMAINS=True,
    SESSION_COOKIE_NAME="__Host-aquifer",
    SESSION_COOKIE_SECURE=True,
)
def test_over_https_the_browser_is_bound_to_it() -> None:
    user = factories.user()
    answer = Client().post(
        "/api/v1/session",
        {"username": user.username, "password": factories.PASSWORD},
        content_type="application/json",
        secure=True,
    )
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    cookie = answer.cookies["__Host-aquifer"]
    assert (cookie["secure"], cookie["httponly"], cookie["path"], cookie["domain"]) == (True, True, "/", "")


def test_a_host_that_is_not_ours_is_refused() -> None:
    answer = Client(raise_request_exception=False).get("/api/v1/session", headers={"Host": "evil.example"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert "evil" not in answer.content.decode()
