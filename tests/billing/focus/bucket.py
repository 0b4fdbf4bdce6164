"""A storage on loopback that speaks as much of S3 as exports need: objects, multipart uploads, and faults."""

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from billing.exports.targets.s3 import S3, Place


class Bucket(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.asked: list[str] = []
        self.refuse_part = 0
        """The part of this number is answered with an error, however often it is sent."""

    def place(self, prefix: str = "exports/") -> Place:
        endpoint = f"http://127.0.0.1:{self.server_address[1]}"
        return Place("finance", prefix, endpoint, access_key="key", secret_key="hidden")


class Handler(BaseHTTPRequestHandler):
    server: Bucket
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _handle(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        key = url.path.removeprefix("/finance/")
        self.server.asked.append(f"{self.command} {key}")
        if not self.headers.get("Authorization", "").startswith("AWS4-HMAC-SHA256 Credential=key/"):
            return self._answer(403, self._error("AccessDenied"))
        match self.command:
            case "PUT" if "partNumber" in query:
                return self._part(query, body)
            case "PUT":
                self.server.objects[key] = body
                return self._answer(200)
            case "POST" if "uploads" in query:
                upload = f"upload-{len(self.server.asked)}"
                self.server.uploads[upload] = {}
                return self._answer(
                    200, f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
                )
            case "POST":
                return self._complete(key, query["uploadId"], body.decode())
            case "DELETE":
                self.server.uploads.pop(query.get("uploadId", ""), None)
                if "uploadId" not in query:
                    self.server.objects.pop(key, None)
                return self._answer(204)
        found = self.server.objects.get(key)
        if found is None:
            return self._answer(404, self._error("NoSuchKey"))
        self._answer(200, found)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle

    def _part(self, query: dict[str, str], body: bytes) -> None:
        number = int(query["partNumber"])
        if number == self.server.refuse_part:
            return self._answer(403, self._error("AccessDenied"))
        self.server.uploads[query["uploadId"]][number] = body
        self._answer(200, etag=hashlib.sha256(body).hexdigest())

    def _complete(self, key: str, upload: str, body: str) -> None:
        parts = self.server.uploads.pop(upload)
        numbers = [int(number) for number in re.findall(r"<PartNumber>(\d+)</PartNumber>", body)]
        assert numbers == sorted(parts)
        assert all(len(parts[number]) >= 5 * 1024 * 1024 for number in numbers[:-1])
        self.server.objects[key] = b"".join(parts[number] for number in numbers)
        self._answer(200, "<CompleteMultipartUploadResult><Key>k</Key></CompleteMultipartUploadResult>")

    def _error(self, code: str) -> str:
        return f"<Error><Code>{code}</Code><Message>no</Message></Error>"

    def _answer(self, status: int, body: str | bytes = b"", etag: str = "x") -> None:
        data = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{etag}"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


@contextmanager
def bucket() -> Iterator[tuple[Bucket, S3]]:
    server = Bucket()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    target = S3(server.place())
    try:
        yield server, target
    finally:
        target.close()
        server.shutdown()
        server.server_close()
        thread.join()
