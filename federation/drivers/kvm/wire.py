"""Frozen values as JSON and back: what goes between the hub's process and the one that holds the connection.

JSON, and no pickle: whoever takes over the child by way of the library of a hostile host can say wrong things to the
hub, and run nothing in it.
"""

import dataclasses
import json
import struct
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

_LENGTH = struct.Struct(">I")
MOST_BYTES = 64 << 20


def packed(value: Any) -> bytes:
    data = json.dumps(value, default=_plain).encode()
    return _LENGTH.pack(len(data)) + data


def length_of(head: bytes) -> int:
    """Raises ValueError for more than is ever said."""
    (length,) = _LENGTH.unpack(head)
    if length > MOST_BYTES:
        raise ValueError("A message that long is never sent.")
    return int(length)


HEAD_BYTES = _LENGTH.size


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON.")


def built(wanted: Any, value: Any) -> Any:
    """A value of the type `wanted`, as its fields say; ValueError or TypeError when it is none."""
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        (kind,) = (one for one in arguments if one is not type(None))
        return built(kind, value)
    if origin in (tuple, list, Sequence):
        items = [built(arguments[0], one) for one in value]
        return tuple(items) if origin is tuple else items
    if origin is Mapping:
        return {str(k): built(arguments[1], v) for k, v in value.items()}
    if isinstance(wanted, type) and dataclasses.is_dataclass(wanted):
        return wanted(**{name: built(kind, value[name]) for name, kind in _hints(wanted).items() if name in value})
    if wanted is datetime:
        return datetime.fromisoformat(value)
    if isinstance(wanted, type) and issubclass(wanted, StrEnum):
        return wanted(value)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, wanted):
        raise TypeError(f"{value!r} is no {wanted.__name__}.")
    return value


@lru_cache(maxsize=64)
def _hints(kind: Any) -> Mapping[str, Any]:
    known = typing.get_type_hints(kind)
    return {f.name: known[f.name] for f in dataclasses.fields(kind)}
