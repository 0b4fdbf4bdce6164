"""A web server of images on loopback, which can stop half way, forget, redirect, and serve something else."""

import http.server
import ssl
import threading
from types import TracebackType
from typing import Any, Self


class ImageServer:
    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.scheme = "https" if context else "http"
        self.files: dict[str, bytes] = {}
        self.redirections: dict[str, str] = {}
        self.statuses: list[int] = []  # answered first
        self.cut_at = 0  # a connection ends after so many bytes of an answer
        self.has_ranges = True
        self.has_length = True
        self.asked: list[tuple[str, str]] = []
        server = self

        class Answering(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Silent."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self._server.daemon_threads = True
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def url(self, path: str) -> str:
        return f"{self.scheme}://127.0.0.1:{self._server.server_address[1]}{path}"

    def answer(self, asked: http.server.BaseHTTPRequestHandler) -> None:
        span = asked.headers.get("Range", "")
        self.asked.append((asked.path, span))
        if self.statuses:
            self._plain(asked, self.statuses.pop(0))
        elif asked.path in self.redirections:
            asked.send_response(302)
            asked.send_header("Location", self.redirections[asked.path])
            asked.send_header("Content-Length", "0")
            asked.end_headers()
        elif asked.path not in self.files:
            self._plain(asked, 404)
        else:
            self._file(asked, self.files[asked.path], span)

    def _plain(self, asked: http.server.BaseHTTPRequestHandler, status: int) -> None:
        asked.send_response(status)
        asked.send_header("Content-Length", "0")
        asked.end_headers()

    def _file(self, asked: http.server.BaseHTTPRequestHandler, data: bytes, span: str) -> None:
        start = int(span.removeprefix("bytes=").partition("-")[0]) if span and self.has_ranges else 0
        asked.send_response(206 if start else 200)
        if start:
            asked.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if self.has_length:
            asked.send_header("Content-Length", str(len(data) - start))
        asked.send_header("ETag", f'"{hash(data)}"')
        asked.send_header("Connection", "close")
        asked.end_headers()
        asked.close_connection = True
        end = min(len(data), start + self.cut_at) if self.cut_at else len(data)
        asked.wfile.write(data[start:end])
