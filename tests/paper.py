"""PDFs, read again by a library that has not written them."""

import io
import re
from decimal import Decimal
from typing import Any
from zipfile import ZipFile

import pypdfium2
from pypdfium2 import raw


def text_of(answer: Any) -> str:
    """What an answer of the API says, also when it is a PDF or a workbook."""
    content: bytes = answer.getvalue()
    kind = answer.headers.get("Content-Type", "")
    if kind == "application/pdf":
        return Read(content).text.replace("\n", "")
    if "spreadsheetml" in kind:
        with ZipFile(io.BytesIO(content)) as parts:
            return "\n".join(parts.read(name).decode() for name in parts.namelist())
    return content.decode()


class Read:
    """Its text, and whether all of its fonts are in it."""

    def __init__(self, content: bytes) -> None:
        document = pypdfium2.PdfDocument(io.BytesIO(content))
        self.pages = len(document)
        self.text = "\n".join(page.get_textpage().get_text_range().replace("\r\n", "\n") for page in document)
        fonts = [
            raw.FPDFTextObj_GetFont(found) for page in document for found in page.get_objects([raw.FPDF_PAGEOBJ_TEXT])
        ]
        self.is_embedded = bool(fonts) and all(raw.FPDFFont_GetIsEmbedded(font) == 1 for font in fonts)
        document.close()

    def amount(self, label: str) -> Decimal:
        found = re.search(rf"{re.escape(label)}\s+(-?[\d,]+\.\d+)", self.text)
        assert found, self.text
        return Decimal(found[1].replace(",", ""))
