"""How CSV and files leave: piece by piece, under WSGI and ASGI alike."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.http import HttpResponse, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from portal.errors import Invalid

if TYPE_CHECKING:
    from billing.exports.paper import Language

CSV_SCHEMA: Any = {(200, "text/csv"): OpenApiTypes.STR}


class CsvRenderer(JSONRenderer):
    """Lets clients ask for `Accept: text/csv`. Only refusals are rendered by it, and those are JSON."""

    media_type = "text/csv"
    format = "csv"


CSV_RENDERERS: Any = [JSONRenderer, CsvRenderer]


PDF_SCHEMA: Any = {(200, "application/pdf"): OpenApiTypes.BINARY}


class PdfRenderer(JSONRenderer):
    """As that of CSV."""

    media_type = "application/pdf"
    format = "pdf"


PDF_RENDERERS: Any = [JSONRenderer, PdfRenderer]
LANGUAGE = OpenApiParameter("language", str, enum=["en", "zh"], default="en")


def language_of(request: Request) -> "Language":
    """In which language a paper is asked for. Raises Invalid."""
    from billing.exports.paper import Language  # fonts and their tools: only who asks for paper waits for them

    try:
        return Language(request.query_params.get("language", Language.ENGLISH))
    except ValueError as error:
        raise Invalid.field("language", "There is en, and zh.", "unknown-language") from error


XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
XLSX_SCHEMA: Any = {(200, XLSX): OpenApiTypes.BINARY}


class XlsxRenderer(JSONRenderer):
    """As that of CSV."""

    media_type = XLSX
    format = "xlsx"


XLSX_RENDERERS: Any = [JSONRenderer, XlsxRenderer]


class FileResponse(HttpResponse):
    def __init__(self, content: bytes, name: str, content_type: str) -> None:
        super().__init__(
            content, content_type=content_type, headers={"Content-Disposition": f'attachment; filename="{name}"'}
        )


class PiecesResponse(StreamingHttpResponse):
    """Django would read a plain iterator to its end before an ASGI server sends a byte; this one does not."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        following: Any = sync_to_async(next)
        pieces: Any = iter(self.streaming_content)  # type: ignore[arg-type]  # made from a plain iterator
        while (piece := await following(pieces, None)) is not None:
            yield piece


class JsonPieces(PiecesResponse):
    """A JSON document that is too large to be held, with its hash."""

    def __init__(self, pieces: Iterator[bytes], name: str, sha256: str) -> None:
        super().__init__(
            pieces,
            content_type="application/json",
            headers={"Content-Disposition": f'attachment; filename="{name}"', "X-Content-SHA256": sha256},
        )


class CsvResponse(PiecesResponse):
    def __init__(self, pieces: Iterator[str], name: str) -> None:
        super().__init__(
            pieces,
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
        )


class FileOut(PiecesResponse):
    """A file as it is, in pieces of 256 KiB. Its name is one of ours: letters, digits, dots and dashes."""

    def __init__(self, path: Path, name: str, content_type: str) -> None:
        super().__init__(
            _pieces(path),
            content_type=content_type,
            headers={
                "Content-Disposition": f'attachment; filename="{name}"',
                "Content-Length": str(path.stat().st_size),
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "no-store",
            },
        )


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(256 * 1024):
            yield piece
