"""JSON from a site may have any shape: what is not what it should be counts as not being there."""

from collections.abc import Mapping
from typing import Any

_NOTHING: Mapping[str, Any] = {}


def table(given: object) -> Mapping[str, Any]:
    return given if isinstance(given, dict) else _NOTHING


def rows(given: object) -> list[Any]:
    return given if isinstance(given, list) else []


def word(given: object, most: int = 256) -> str:
    """Printable text: what is stored and shown has no zero bytes and no halves of characters."""
    if not isinstance(given, str):
        return ""
    return given[:most] if given.isprintable() else "".join(filter(str.isprintable, given))[:most]


def number(given: object, most: int = 1 << 40) -> int:
    """A whole number from 0 to `most`, written as a number or as text; anything else is 0."""
    if isinstance(given, str):
        given = int(given) if len(given) <= 18 and given.isascii() and given.isdigit() else 0
    return given if isinstance(given, int) and not isinstance(given, bool) and 0 <= given <= most else 0
