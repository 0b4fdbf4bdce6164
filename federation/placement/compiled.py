"""How the loops of the engine are compiled: on first use, and kept on disk where that is possible."""

import os
import shutil
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import config, njit

F = TypeVar("F", bound=Callable[..., Any])

_HERE = Path(__file__).resolve().parent


def _keep() -> bool:
    """A folder for what was compiled from exactly this source; False when there is none to be had.

    Numba itself looks only at the file of each function, not at those it calls: after a change of one file it would
    go on with what it had made of the others.
    """
    digest = blake2b(digest_size=8)
    for path in sorted(_HERE.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    given = os.environ.get("NUMBA_CACHE_DIR")
    base = Path(given) if given else _HERE / "__pycache__"
    folder = base / f"placement-{digest.hexdigest()}"
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            for old in base.glob("placement-*"):
                if old != folder:
                    shutil.rmtree(old, ignore_errors=True)
        if not os.access(folder, os.W_OK):
            return False
    except OSError:
        return False
    setattr(config, "CACHE_DIR", str(folder))  # noqa: B010 - numba makes its settings at run time
    return True


# No counting of references: the loops make no arrays, and are called with arrays that the caller keeps. All is put
# into its caller, since what is passed between these functions is some hundred words.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False, "forceinline": True, "cache": _keep()}


def compiled(function: F) -> F:
    """Numba's njit: machine code from the first call on, with the GIL given up while it runs."""
    return cast(F, njit(**_OPTIONS)(function))


def straight(function: F) -> F:
    """A compiled function that is called past numba's look at the types of its arguments.

    For dozens of arrays that look takes as long as a decision. So this is for a function whose arguments have the same
    types in every call; the first one goes the usual way and settles them.
    """
    target: Callable[..., Any] = function

    def call(*arguments: Any) -> Any:
        nonlocal target
        if target is not function:
            return target(*arguments)
        found = function(*arguments)
        if len(known := list(cast(Any, function).overloads.values())) == 1:
            target = known[0].entry_point
        return found

    return cast(F, call)
