"""The broker of `./run`: messages as files in a folder, on one machine, without a server.

Kombu's own transport of this kind reads a file that is still being written now and then (and the worker
dies of it), and lists the whole folder for each message. Here a file appears whole (rename), a listing
is used up before the next one is made, and a message that waits already is not put a second time: ours
carry an id and nothing else, so two of them ask for the same look. What is lost, the sweeps make up for.
"""

import hashlib
import json
import logging
import os
import uuid
from collections import deque
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import filesystem

logger = logging.getLogger(__name__)


class Channel(filesystem.Channel):
    """One folder per queue; a file's name is what it asks for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._listed: dict[str, deque[str]] = {}
        self.control_folder.mkdir(parents=True, exist_ok=True)

    def _folder(self, queue: str) -> Path:
        return Path(self.data_folder_in, queue)

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:  # type: ignore[override]  # kombu has two names
        folder = self._folder(queue)
        task = message.get("headers", {}).get("task", "")
        name = hashlib.sha1(f"{task}\n{message.get('body')}".encode(), usedforsecurity=False).hexdigest()
        target = folder / f"{name}.msg"
        if target.exists():
            return
        written = folder / f".{uuid.uuid4().hex}"
        try:
            written.write_text(json.dumps(message), encoding="utf-8")
        except FileNotFoundError:  # the first message, or somebody wiped the folder
            folder.mkdir(parents=True, exist_ok=True)
            written.write_text(json.dumps(message), encoding="utf-8")
        os.replace(written, target)

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:
        while True:
            name = self._next(queue)
            path = self._folder(queue) / name
            taken = path.with_name(f".{uuid.uuid4().hex}")
            try:
                os.rename(path, taken)
            except FileNotFoundError:  # another consumer was quicker
                continue
            try:
                found: dict[str, Any] = json.loads(taken.read_bytes())
            except ValueError:
                logger.warning("A message of queue %s cannot be read and is dropped.", queue)
                continue
            finally:
                taken.unlink(missing_ok=True)
            return found

    def _next(self, queue: str) -> str:
        """The oldest file of the last listing; a new listing when that is used up."""
        names = self._listed.setdefault(queue, deque())
        if not names:
            try:
                with os.scandir(self._folder(queue)) as entries:
                    found = [(e.stat().st_mtime_ns, e.name) for e in entries if e.name.endswith(".msg")]
            except FileNotFoundError:  # no folder yet, or a file went while we looked
                found = []
            names.extend(name for _, name in sorted(found))
        if not names:
            raise Empty
        return names.popleft()

    def _size(self, queue: str) -> int:
        try:
            return sum(name.endswith(".msg") for name in os.listdir(self._folder(queue)))
        except FileNotFoundError:
            return 0

    def _purge(self, queue: str) -> int:
        count = 0
        while True:
            try:
                self._get(queue)
            except Empty:
                return count
            count += 1


class Transport(filesystem.Transport):
    Channel = Channel
