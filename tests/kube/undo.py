"""A step by which the keeper undoes what a real node did to the machine. Runs alone: nothing of ours is imported.

undo.py cgroups NAME     the cgroups of that name, empty or soon to be
"""

import sys
import time
from pathlib import Path

_PATIENCE_SECONDS = 20.0  # processes that were killed leave their cgroup a moment later


def cgroups(name: str) -> None:
    root = Path("/sys/fs/cgroup")
    for mine in (root / name, *root.glob(f"*/{name}")):
        if mine.is_dir() and not mine.parent.is_symlink():
            _remove(mine)


def _remove(folder: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    for path in [*sorted(folder.rglob("*/"), key=lambda path: -len(path.parts)), folder]:
        while path.is_dir():
            try:
                path.rmdir()
            except FileNotFoundError:
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


if __name__ == "__main__":
    {"cgroups": cgroups}[sys.argv[1]](*sys.argv[2:])
