"""What papers share: A4, both languages, one embedded font, tables; and the same bytes each time one is made.

Nothing on paper may come from a clock or a setting: what it says was fixed when what it is about was.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache
from importlib.resources import files
from pathlib import Path

from fpdf import FPDF
from fpdf.fonts import FontFace

_FONT = "noto"
_GREY = (238, 242, 247)
Words = Mapping[str, tuple[str, str]]  # a name, and how it is called in each language
_WORDS: Words = {"page": ("page {} of {}", "第 {} 页，共 {} 页")}


class Language(StrEnum):
    ENGLISH = "en"
    CHINESE = "zh"


def amount(value: Decimal) -> str:
    """Every digit, thousands apart, with two decimals at the least."""
    whole, _, fraction = f"{value:,f}".partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"


@cache
def _font() -> Path:
    return Path(str(files("pylopdf_fonts_zh_cn") / "NotoSansSC-Regular.otf"))


class Paper(FPDF):
    words: Words = {}
    foot = ""  # what stands at the foot of each page

    def __init__(self, language: Language, *, made_at: datetime, author: str) -> None:
        super().__init__(format="A4")
        self.column = list(Language).index(language)
        self.set_creation_date(made_at)
        self.set_lang("zh-CN" if language is Language.CHINESE else "en")
        self.set_author(author)
        self.add_font(_FONT, fname=_font())
        self.set_margins(15, 15)
        self.set_auto_page_break(True, 18)
        self.alias_nb_pages("{pages}")

    def word(self, name: str) -> str:
        found = self.words.get(name) or _WORDS.get(name)
        return found[self.column] if found else name

    def footer(self) -> None:
        self.set_y(-14)
        self.set_font(_FONT, size=7)
        self.cell(0, 4, self.foot, align="L")
        self.set_x(self.l_margin)
        self.cell(0, 4, self.word("page").format(self.page_no(), "{pages}"), align="R")

    def begin(self, heading: str) -> None:
        """A new page under a heading."""
        self.add_page()
        self.set_font(_FONT, size=18)
        self.cell(0, 10, self.word(heading), new_x="LMARGIN", new_y="NEXT")
        self.ln(2)

    def section(self, name: str) -> None:
        self.ln(4)
        self.set_font(_FONT, size=11)
        self.cell(0, 7, self.word(name), new_x="LMARGIN", new_y="NEXT")

    def rows(
        self, rows: Sequence[Sequence[str]], widths: Sequence[int], align: str = "", *,
        is_headed: bool = False, borders: bool = True,
    ) -> None:  # fmt: skip
        """A table. `widths` in millimetres, `align` a letter (L, R) for each column."""
        self.set_font(_FONT, size=8 if len(widths) < 5 else 7)
        self.set_line_width(0.1)
        with self.table(
            width=sum(widths), col_widths=tuple(widths), align="L", line_height=4.5, padding=0.8,
            text_align=tuple({"L": "LEFT", "R": "RIGHT"}[letter] for letter in align or "L" * len(widths)),
            first_row_as_headings=is_headed, headings_style=FontFace(emphasis="", fill_color=_GREY),
            borders_layout="HORIZONTAL_LINES" if borders else "NONE",
        ) as table:  # fmt: skip
            for row in rows:
                table.row(row)
