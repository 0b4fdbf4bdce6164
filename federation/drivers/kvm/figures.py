"""Live figures of the machines of one host."""

from datetime import datetime

from federation.drivers.base import UsageSample
from federation.drivers.kvm.host import Host

_before: dict[
    str, tuple[float, float]
] = {}  # by UUID of a domain: the host's clock and its CPU seconds at the last look


def samples_of(host: Host, at: datetime) -> list[UsageSample]:
    """CPU since the last look of this process (none at the first), and the memory that the host gives it."""
    samples = []
    clock = host.clock()
    for domain, guest in host.guests():
        if guest.order is None or not guest.is_active:
            continue
        stats = host.stats(domain)
        cpu = stats.get("cpu.time")
        milli = None
        if cpu is not None:
            seconds = float(cpu) / 1e9
            earlier = _before.get(guest.uuid)
            if earlier is not None and clock > earlier[0]:
                milli = max(int((seconds - earlier[1]) / (clock - earlier[0]) * 1000), 0)
            _before[guest.uuid] = (clock, seconds)
        rss = stats.get("balloon.rss")
        used = None if rss is None else int(rss) // 1024
        samples.append(UsageSample(at=at, ref=guest.order.ref, cpu_milli=milli, memory_used_mib=used))
    return samples
