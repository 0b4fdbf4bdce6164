"""What `./run` shows: one line per step with its seconds, and plain words when a step fails."""

import errno
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import ClassVar, Self

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_IS_UTF8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
_DONE, _FAILED = ("✓", "✗") if _IS_UTF8 else ("ok", "!!")


class Failed(Exception):
    """Ends the command with this text on one line and `code`, without a stack trace."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.code = code


def is_terminal() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb" and not os.environ.get("CI")


def paint(text: str, colour: int) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if is_terminal() and not os.environ.get("NO_COLOR") else text


def say(text: str = "", end: str = "\n") -> None:
    """One line at once; a terminal that went away must not stop the work."""
    try:
        print(text, end=end, flush=True)
    except (OSError, ValueError):
        _mute()


def _mute() -> None:
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the rest of the process


class Step:
    """`with Step("Packages") as step:` a line that moves on a terminal (`tick`), a finished line elsewhere.

    No thread draws it: whoever waits inside calls `tick()`, since a process that starts others should have one
    thread only.
    """

    current: ClassVar["Step | None"] = None

    def __init__(self, name: str) -> None:
        self.name = name
        self._started = time.monotonic()
        self._drawn = 0.0
        self._turn = 0

    def __enter__(self) -> Self:
        Step.current = self
        tick()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        Step.current = None
        say(self._line(paint(_DONE, 32) if kind is None else paint(_FAILED, 31)))

    def draw(self) -> None:
        now = time.monotonic()
        if now - self._drawn >= 0.1:
            self._drawn, self._turn = now, self._turn + 1
            say(self._line(_FRAMES[self._turn % len(_FRAMES)]), end="")

    def _line(self, mark: str) -> str:
        start = "\r\x1b[K" if is_terminal() else ""
        return f"{start}  {mark} {self.name:<20}{time.monotonic() - self._started:6.1f} s"


def tick() -> None:
    """Move the line of the step under way, where there is a terminal to see it."""
    if Step.current and is_terminal() and _IS_UTF8:
        Step.current.draw()


def in_words(error: OSError) -> str:
    """The system's refusal as one sentence with what to do about it."""
    where = f" ({error.filename})" if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"The disk is full{where}. Make room and start again."
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return f"This folder cannot be written{where}. Start as its owner, or set AQUIFER_DATA_DIR to another folder."
    return f"{error.strerror or error}{where}"


@contextmanager
def plain_errors() -> Iterator[None]:
    """Whatever goes wrong inside ends as one clear line and an exit code."""
    try:
        yield
    except Failed as failure:
        print(f"{paint(_FAILED, 31)} {failure}", file=sys.stderr)
        raise SystemExit(failure.code) from None
    except OSError as error:
        print(f"{paint(_FAILED, 31)} {in_words(error)}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        raise SystemExit(130) from None


def main(work: Callable[[], int]) -> None:
    with plain_errors():
        raise SystemExit(work())
