"""Log lines that stay one line: who, what, when (UTC); control characters from outside are escaped."""

import logging
import re
import time
from copy import copy

from django.db import InterfaceError, OperationalError

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class LineFormatter(logging.Formatter):
    """`2026-11-21T08:00:00Z WARNING federation.reconcile: text`, with a traceback only below it.

    A database that is away or full is a state of affairs and no bug: it is told in one line, without a traceback.
    """

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = _CONTROL.sub(lambda match: f"\\x{ord(match.group()):02x}", record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, OperationalError | InterfaceError):
            record = copy(record)  # other handlers may want it whole
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            record.msg, record.args = "The database cannot serve now: %s", (first,)
            record.exc_info = record.exc_text = None
        return super().format(record)
