"""What callers were told, line by line, against what is in the database.

Each process appends to a file of its own: a line before it asks, a line when it has its answer. A process that
is killed between the two leaves an unknown: it may have happened or not, but not half.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

OK, REFUSED, UNKNOWN = "ok", "refused", "unknown"


class Writer:
    """One process's history. Unbuffered: what was said before a SIGKILL is in the file."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def ask(self, op: str, *key: Any) -> None:
        self._line("ask", op, key)

    def answer(self, kind: str, op: str, *key: Any) -> None:
        self._line(kind, op, key)

    def _line(self, kind: str, op: str, key: tuple[Any, ...]) -> None:
        os.write(self._file, json.dumps([kind, op, *map(str, key)]).encode() + b"\n")


def read(folder: Path, op: str) -> dict[str, list[tuple[str, ...]]]:
    """The keys of one operation by outcome; asked without an answer is unknown."""
    found: dict[str, list[tuple[str, ...]]] = {OK: [], REFUSED: [], UNKNOWN: []}
    for path in folder.glob("*.jsonl"):
        asked: tuple[str, ...] | None = None
        for line in path.read_text(encoding="utf-8").splitlines():
            kind, name, *key = json.loads(line)
            if name != op:
                continue
            if asked is not None and kind == "ask":
                found[UNKNOWN].append(asked)
            asked = tuple(key) if kind == "ask" else None
            if kind != "ask":
                found[kind].append(tuple(key))
        if asked is not None:
            found[UNKNOWN].append(asked)
    return found


def compare(told: dict[str, list[tuple[str, ...]]], there: Iterable[tuple[str, ...]]) -> list[str]:
    """Acknowledged and missing is lost; there, and told to nobody, is a phantom; told to two is a double."""
    in_database, acknowledged = set(there), set(told[OK])
    return (
        [f"lost: {key} was acknowledged and is not there" for key in acknowledged - in_database]
        + [f"phantom: {key} is there, and nobody did it" for key in in_database - acknowledged - set(told[UNKNOWN])]
        + [f"double: {key} was acknowledged {n} times" for key, n in Counter(told[OK]).items() if n > 1]
    )
