"""libvirt's own library for Python. Optional: it is compiled against the libvirt of the machine."""

from functools import lru_cache
from importlib import import_module
from typing import Any

from federation.drivers.base import Unavailable


@lru_cache(maxsize=1)
def _imported() -> Any:
    found = import_module("libvirt")
    found.registerErrorHandler(lambda *_: None, None)  # what went wrong is raised; nothing is printed
    return found


def library() -> Any:
    try:
        return _imported()
    except ImportError:
        raise Unavailable(
            "libvirt's library for Python is not installed where this runs: install Aquifer with its extra kvm."
        ) from None
