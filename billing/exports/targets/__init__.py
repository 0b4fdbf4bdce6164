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
