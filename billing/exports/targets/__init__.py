"""Where exports go. A file is there wholly or not at all, under its name, and replaces what was there."""

from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol


class Writable(Protocol):
    def write(self, data: bytes, /) -> int: ...


class Target(Protocol):
    def create(self, name: str) -> AbstractContextManager[Writable]:
        """Leaving without an error publishes the file; with one, nothing of it stays."""

    def open(self, name: str) -> BinaryIO:
        """Raises FileNotFoundError."""

    def size(self, name: str) -> int | None:
        """In bytes; None if there is no such file."""

    def remove(self, name: str) -> None:
        """No error if it is gone already."""


class Within:
    """Part of a target: what stands under a prefix, which ends with a slash."""

    def __init__(self, target: Target, prefix: str) -> None:
        self._target, self._prefix = target, prefix

    def create(self, name: str) -> AbstractContextManager[Writable]:
        return self._target.create(self._prefix + name)

    def open(self, name: str) -> BinaryIO:
        return self._target.open(self._prefix + name)

    def size(self, name: str) -> int | None:
        return self._target.size(self._prefix + name)

    def remove(self, name: str) -> None:
        self._target.remove(self._prefix + name)
