"""Log lines: one line for one thing, and no traceback for a database that is away or full."""

import logging
import sys

from django.db import OperationalError

from portal.logs import LineFormatter


def _line(error: Exception) -> str:
    try:
        raise error
    except Exception:
        record = logging.LogRecord("celery.app.trace", logging.ERROR, "", 1, "Task %s: raised", ("x",), sys.exc_info())
    return LineFormatter().format(record)


def test_a_full_disk_is_one_line_that_says_so() -> None:
    line = _line(OperationalError('could not extend file "base/1/2": No space left on device\nHINT:  Check free disk.'))
    assert "\n" not in line
    assert line.endswith(
        'celery.app.trace: The database cannot serve now: could not extend file "base/1/2": No space left on device'
    )


def test_a_bug_keeps_its_traceback() -> None:
    assert "Traceback (most recent call last)" in _line(ZeroDivisionError("bug"))


def test_control_characters_do_not_make_a_new_line() -> None:
    record = logging.LogRecord("a", logging.INFO, "", 1, "%s", ("x\n2026 forged \x1b[31m",), None)
    assert LineFormatter().format(record).endswith("INFO a: x\\x0a2026 forged \\x1b[31m")
