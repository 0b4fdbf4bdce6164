"""Log lines that stay one line: who, what, when (UTC); control characters from outside are escaped."""

import logging
import re
import time

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class LineFormatter(logging.Formatter):
    """`2026-11-21T08:00:00Z WARNING federation.reconcile: text`, with a traceback only below it."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = _CONTROL.sub(lambda match: f"\\x{ord(match.group()):02x}", record.message)
        return super().formatMessage(record)
