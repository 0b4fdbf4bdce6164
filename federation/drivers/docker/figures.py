"""How much each piece of work uses. An engine knows nothing of accelerators: their figures come from monitoring."""

from datetime import UTC, datetime

from federation.drivers.base import UsageSample
from federation.drivers.docker.transport import Json, moment
from federation.drivers.rates import Rates, kib

_MIB = 1 << 20
_rates = Rates()  # by container


def sample_of(ref: str, container_id: str, stats: Json) -> UsageSample | None:
    """From one look at the counters. What is used in a second is since the look before, so the first has none."""
    at = moment(stats.get("read"))
    if at is None:
        return None
    rates = _rates.of(container_id, at, {
        "cpu": int(((stats.get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage") or 0),
        "read": _disk(stats, "read"), "write": _disk(stats, "write"),
        "in": _network(stats, "rx_bytes"), "out": _network(stats, "tx_bytes"),
    })  # fmt: skip
    cpu = rates.get("cpu")
    memory = stats.get("memory_stats") or {}
    # Pages of files are given back when somebody wants them: not counted, as the engine's own client does.
    detail = memory.get("stats") or {}
    cache = int(detail.get("total_inactive_file") or detail.get("inactive_file") or 0)
    held = max(0, int(memory.get("usage") or 0) - cache)
    return UsageSample(
        datetime.fromtimestamp(at, UTC),
        ref=ref,
        memory_used_mib=held // _MIB,
        cpu_milli=None if cpu is None else round(cpu / 1e6),
        disk_read_kibps=kib(rates.get("read")),
        disk_write_kibps=kib(rates.get("write")),
        net_in_kibps=kib(rates.get("in")),
        net_out_kibps=kib(rates.get("out")),
    )


def _disk(stats: Json, way: str) -> int | None:
    """An engine that counts none says null; one that counts says nothing of a container that has done none yet."""
    counted = (stats.get("blkio_stats") or {}).get("io_service_bytes_recursive")
    if counted is None:
        return None
    return sum(int(one.get("value") or 0) for one in counted if str(one.get("op")).lower() == way)


def _network(stats: Json, way: str) -> int | None:
    """Not there for a container that shares the host's network."""
    cards = stats.get("networks")
    return None if not cards else sum(int(card.get(way) or 0) for card in cards.values())
