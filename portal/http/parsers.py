"""JSON whose text can be kept: Postgres stores no NUL, and half of a surrogate pair can never be sent again."""

import re
from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

_NO_TEXT = re.compile("[\0\ud800-\udfff]")


class PlainJSONParser(JSONParser):
    def parse(self, *args: Any, **kwargs: Any) -> Any:
        parsed = super().parse(*args, **kwargs)
        waiting = [parsed]
        while waiting:
            value = waiting.pop()
            if isinstance(value, dict):
                waiting += [*value, *value.values()]
            elif isinstance(value, list):
                waiting += value
            elif isinstance(value, str) and _NO_TEXT.search(value):
                raise ParseError("A text here holds a NUL, or half of a surrogate pair.")
        return parsed
