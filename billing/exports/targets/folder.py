"""A folder of this machine, or of a file server."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


class Folder:
    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def create(self, name: str) -> Iterator[BinaryIO]:
        place = self._place(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        # Always the same, so that what a crash left behind is written over by the next attempt.
        part = place.with_name(f".{place.name}.part")
        try:
            with part.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(place)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        _sync_folder(place.parent)

    def open(self, name: str) -> BinaryIO:
        return self._place(name).open("rb")

    def size(self, name: str) -> int | None:
        try:
            return self._place(name).stat().st_size
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        self._place(name).unlink(missing_ok=True)

    def _place(self, name: str) -> Path:
        place = self._path / name
        if not place.resolve().is_relative_to(self._path.resolve()):
            raise ValueError(f"{name} is outside the folder of the export.")
        return place


def _sync_folder(path: Path) -> None:
    """So that the new name outlives a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
