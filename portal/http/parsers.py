"""JSON that can be kept: Postgres stores no NUL, half of a surrogate pair can never be sent again, and lists end."""

import re
from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

_MOST_ITEMS = 10_000
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


class PlainJSONParser(JSONParser):
    def parse(self, *args: Any, **kwargs: Any) -> Any:
        parsed = super().parse(*args, **kwargs)
        waiting: list[Any] = [parsed]
        while waiting:
            value = waiting.pop()
            if isinstance(value, dict):
                waiting += [*value, *value.values()]
            elif isinstance(value, list):
                if len(value) > _MOST_ITEMS:  # looking at each to say what is wrong with it would take seconds
                    raise ParseError(f"A list here has more than {_MOST_ITEMS} items.")
                waiting += value
            elif isinstance(value, str) and _NO_TEXT.search(value):
                raise ParseError("A text here holds a NUL, or half of a surrogate pair.")
        return parsed
