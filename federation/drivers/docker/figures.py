"""How much each piece of work uses. An engine knows nothing of accelerators: their figures come from monitoring."""

import threading
from collections import OrderedDict
from datetime import UTC, datetime

from federation.drivers.base import UsageSample
from federation.drivers.docker.transport import Json, moment

_MIB = 1 << 20
_MOST_KNOWN = 4096
_last: OrderedDict[str, tuple[float, int]] = OrderedDict()  # by container: when, and nanoseconds of CPU until then
_lock = threading.Lock()


def sample_of(ref: str, container_id: str, stats: Json) -> UsageSample | None:
    """From one look at the counters. CPU is what was used since the look before, so the first has none."""
    at = moment(stats.get("read"))
    if at is None:
        return None
    used = int(((stats.get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage") or 0)
    with _lock:
        before = _last.pop(container_id, None)
        _last[container_id] = (at, used)
        while len(_last) > _MOST_KNOWN:
            _last.popitem(last=False)
    cpu = None
    if before is not None and at - before[0] > 0.05 and used >= before[1]:
        cpu = round((used - before[1]) / 1e6 / (at - before[0]))
    memory = stats.get("memory_stats") or {}
    # Pages of files are given back when somebody wants them: not counted, as the engine's own client does.
    detail = memory.get("stats") or {}
    cache = int(detail.get("total_inactive_file") or detail.get("inactive_file") or 0)
    held = max(0, int(memory.get("usage") or 0) - cache)
    return UsageSample(datetime.fromtimestamp(at, UTC), ref=ref, memory_used_mib=held // _MIB, cpu_milli=cpu)
