"""Live figures of the machines of one host."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from federation.drivers.base import UsageSample
from federation.drivers.kvm.host import Host
from federation.drivers.rates import Rates, kib

_rates = Rates()  # by UUID of a domain, and by the host's clock


def samples_of(host: Host, at: datetime) -> list[UsageSample]:
    """What was used since the last look of this process (none at the first), and the memory that the host gives it."""
    samples = []
    clock = host.clock()
    for domain, guest in host.guests():
        if guest.order is None or not guest.is_active:
            continue
        stats = host.stats(domain)
        rates = _rates.of(guest.uuid, clock, {
            "cpu": stats.get("cpu.time"),
            "read": _sum(stats, "block", "rd.bytes"), "write": _sum(stats, "block", "wr.bytes"),
            "in": _sum(stats, "net", "rx.bytes"), "out": _sum(stats, "net", "tx.bytes"),
        })  # fmt: skip
        cpu, rss = rates.get("cpu"), stats.get("balloon.rss")
        samples.append(
            UsageSample(
                at=at,
                ref=guest.order.ref,
                cpu_milli=None if cpu is None else int(cpu / 1e6),
                memory_used_mib=None if rss is None else int(rss) // 1024,
                disk_read_kibps=kib(rates.get("read")),
                disk_write_kibps=kib(rates.get("write")),
                net_in_kibps=kib(rates.get("in")),
                net_out_kibps=kib(rates.get("out")),
            )
        )
    return samples


def _sum(stats: Mapping[str, Any], kind: str, what: str) -> int | None:
    """Over all its disks, or its network cards. A card of QEMU's user network is not counted by the host."""
    found = [stats.get(f"{kind}.{number}.{what}") for number in range(int(stats.get(f"{kind}.count") or 0))]
    known = [int(count) for count in found if count is not None]
    return sum(known) if known else None
