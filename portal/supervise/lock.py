"""One Aquifer per folder: the lock that says so, and the words for whoever comes second."""

import fcntl
import json
import os
from pathlib import Path

from portal.supervise.steps import Failed

_INHERITED = "AQUIFER_RUN_LOCK"


def take(file: Path) -> int:
    """The lock's descriptor: our own, or the one `./run` already holds and handed down."""
    if inherited := os.environ.pop(_INHERITED, ""):
        os.set_inheritable(int(inherited), False)
        return int(inherited)
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        told = os.read(descriptor, 4096).decode(errors="replace")
        os.close(descriptor)
        raise Failed(_in_words(told)) from None
    os.ftruncate(descriptor, 0)
    return descriptor


def hand_down(descriptor: int) -> None:
    """The program that replaces this one keeps the lock."""
    os.set_inheritable(descriptor, True)
    os.environ[_INHERITED] = str(descriptor)


def write(descriptor: int, url: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "url": url}).encode(), 0)


def _in_words(told: str) -> str:
    try:
        facts = json.loads(told)
        where = f"{facts['url']} (process {facts['pid']})"
        return f"Aquifer is running already at {where}. Ctrl-C in its terminal stops it."
    except (ValueError, KeyError, TypeError):
        return "Another ./run is installing or starting here. Wait for it, or stop it with Ctrl-C."
