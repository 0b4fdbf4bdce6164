"""Counters that only rise, read as what was added in a second since the last look of this process."""

import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping

_MOST = 4096
_SHORTEST_SECONDS = 0.05


class Rates:
    """Of many things at once; those that were not looked at for longest are forgotten."""

    def __init__(self) -> None:
        self._last: OrderedDict[Hashable, tuple[float, dict[str, int]]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, key: Hashable, at: float, counts: Mapping[str, int | None]) -> dict[str, float]:
        """By name; not there: at the first look, where nobody counts, and where a counter began anew."""
        now = {name: count for name, count in counts.items() if count is not None}
        with self._lock:
            before = self._last.pop(key, None)
            self._last[key] = (at, now)
            while len(self._last) > _MOST:
                self._last.popitem(last=False)
        if before is None or at - before[0] <= _SHORTEST_SECONDS:
            return {}
        return {
            name: (count - before[1][name]) / (at - before[0])
            for name, count in now.items()
            if name in before[1] and count >= before[1][name]
        }


def kib(rate: float | None) -> int | None:
    return None if rate is None else round(rate / 1024)
