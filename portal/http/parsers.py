"""JSON that can be kept: Postgres stores no NUL, half of a surrogate pair can never be sent again, and lists end."""

import re
from math import isfinite
from typing import Any

from rest_framework.parsers import JSONParser

from portal.errors import Invalid

_MOST_ITEMS = 10_000
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


class PlainJSONParser(JSONParser):
    """What is no JSON is a ParseError (400); what is, and holds a value that nothing can hold, is `Invalid` (422)."""

    strict = False  # NaN and Infinity are read, and then refused with the name of their field

    def parse(self, *args: Any, **kwargs: Any) -> Any:
        parsed = super().parse(*args, **kwargs)
        waiting: list[Any] = [parsed]
        while waiting:
            value = waiting.pop()
            if _fault(value):
                raise _refusal(parsed)
            if isinstance(value, dict):
                waiting += [*value, *value.values()]
            elif isinstance(value, list):
                waiting += value
        return parsed


def _fault(value: Any) -> tuple[str, str] | None:
    """What is wrong with a value by itself, as words and code."""
    if isinstance(value, str):
        return ("A text here holds a NUL, or half of a surrogate pair.", "no-text") if _NO_TEXT.search(value) else None
    if isinstance(value, float):
        return None if isfinite(value) else ("A number is wanted here, neither NaN nor infinite.", "not-finite")
    if isinstance(value, list) and len(value) > _MOST_ITEMS:  # a look at each would take seconds
        return f"A list here has more than {_MOST_ITEMS} items.", "too-many"
    return None


def _refusal(parsed: Any) -> Invalid:
    """Looks again, with the names of fields; few bodies need that."""
    waiting: list[tuple[str, Any]] = [("", parsed)]
    while waiting:
        pointer, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(pointer, name) for name in value]
            waiting += [(f"{pointer}/{name}", inner) for name, inner in value.items()]
        elif (fault := _fault(value)) is not None:
            detail, code = fault
            field = {"pointer": pointer, "detail": detail, "code": code}
            return Invalid(f"{pointer.strip('/') or 'request'}: {detail}", errors=[field])
        elif isinstance(value, list):
            waiting += [(f"{pointer}/{place}", inner) for place, inner in enumerate(value)]
    return Invalid()
