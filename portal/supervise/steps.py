"""What `./run` shows: one line per step with its seconds, and plain words when a step fails."""

import errno
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

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


def say(text: str = "") -> None:
    """One line at once; a terminal that went away must not stop the work."""
    try:
        print(text, flush=True)
    except (OSError, ValueError):
        _mute()


def _mute() -> None:
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the rest of the process


class Step:
    """`with Step("Packages") as step:` draws a moving line on a terminal, a finished line elsewhere."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.detail = ""
        self._started = time.monotonic()
        self._is_over = threading.Event()
        self._drawer: threading.Thread | None = None

    def __enter__(self) -> Self:
        if is_terminal() and _IS_UTF8:
            self._drawer = threading.Thread(target=self._draw, daemon=True)
            self._drawer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        if self._drawer:
            self._drawer.join()
        self.line(paint(_DONE, 32) if kind is None else paint(_FAILED, 31))

    def line(self, mark: str) -> None:
        start = "\r\x1b[K" if self._drawer else ""
        detail = f"  {self.detail}" if self.detail else ""
        say(f"{start}  {mark} {self.name:<24}{time.monotonic() - self._started:6.1f} s{detail}")

    def _draw(self) -> None:
        for turn in range(10**9):
            seconds = time.monotonic() - self._started
            detail = f"  {self.detail}" if self.detail else ""
            sys.stdout.write(
                f"\r\x1b[K  {_FRAMES[turn % len(_FRAMES)]} {self.name:<24}{seconds:6.1f} s{detail}"[:150]
            )
            sys.stdout.flush()
            if self._is_over.wait(0.1):
                return


def in_words(error: OSError) -> str:
    """The system's refusal as one sentence with what to do about it."""
    where = f" ({error.filename})" if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"The disk is full{where}. Make room and start again."
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return (
            f"This folder cannot be written{where}. Start as its owner, or set AQUIFER_DATA_DIR to another folder."
        )
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
