"""What a fake site shows of its devices and its work from second to second: figures and logs, by the clock."""

import math
import zlib
from collections.abc import Iterable
from datetime import datetime

from federation.drivers.abilities import LogChunk
from federation.drivers.base import NodeSeen, UsageSample
from federation.drivers.fake_course import has_ended, is_running, ran_seconds
from federation.drivers.fake_knobs import draw
from federation.drivers.fake_store import Work

_IDLE_WATTS, _FULL_WATTS, _ROOM_CELSIUS = 65.0, 400.0, 31.0
_LINE = 64  # every line of a log has this many bytes, so any part of any log is found without writing it all


def samples(
    nodes: Iterable[NodeSeen], work: Iterable[Work], *, seed: int, at: datetime, now: float
) -> list[UsageSample]:
    """One sample per device of these nodes."""
    nodes = list(nodes)
    names = {node.name for node in nodes}
    running = [w for w in work if w.node in names and is_running(w, now)]
    busy: dict[str, float] = {}
    memory: dict[str, float] = {}
    for w in running:
        level = _level(w.ref, seed, now)
        for grant in w.grants:
            busy[grant.uuid] = busy.get(grant.uuid, 0.0) + level * grant.milli / 1000
            memory[grant.uuid] = memory.get(grant.uuid, 0.0) + grant.memory_mib * (0.55 + 0.4 * level)
    found = []
    for node in nodes:
        for device in node.devices:
            phase = zlib.crc32(device.uuid.encode()) % 6283 / 1000
            is_busy = device.uuid in busy
            share = min(busy[device.uuid], 1.0) if is_busy else 0.01 + 0.01 * math.sin(now / 40 + phase)
            used = min(memory.get(device.uuid, 0.0) + 0.004 * device.memory_mib, device.memory_mib)
            watts = _IDLE_WATTS + (_FULL_WATTS - _IDLE_WATTS) * share
            warmth = _ROOM_CELSIUS + 44 * share + 3 * math.sin(phase)
            found.append(
                UsageSample(at, device.uuid, "", round(100 * share, 1), int(used), round(watts, 1), round(warmth, 1))
            )
    return found


def samples_of_work(work: Iterable[Work], *, seed: int, at: datetime, now: float) -> list[UsageSample]:
    """What running machines and containers read and write; how much of CPU and memory they have is not kept here."""
    found = []
    for w in work:
        if is_running(w, now):
            level = _level(w.ref, seed, now)
            found.append(
                UsageSample(
                    at, ref=w.ref, disk_read_kibps=int(40_000 * level), disk_write_kibps=int(2_000 * level),
                    net_in_kibps=int(9_000 * level), net_out_kibps=int(700 * level),
                )
            )  # fmt: skip
    return found


def _level(ref: str, seed: int, now: float) -> float:
    """How hard one piece of work drives its share, 0.05 to 1: its own height, slow swell and short ripple."""
    height = 0.45 + 0.45 * draw(seed, ref, "height")
    phase = 6.283 * draw(seed, ref, "phase")
    swell = 0.12 * math.sin(now / 90 + phase) + 0.04 * math.sin(now / 7 + 3 * phase)
    return min(max(height + swell, 0.05), 1.0)


def log_of(work: Work, *, offset: int, limit: int, now: float) -> LogChunk:
    """The log of work, one line a second of its run. The same bytes whenever and in whatever parts they are read."""
    ran = ran_seconds(work, now)
    is_ended = has_ended(work, now)
    lines = (1 if ran is None else 2 + int(ran)) + (1 if is_ended else 0)
    offset = max(offset, 0)
    end = min(offset + max(limit, 0), lines * _LINE)
    is_complete = (is_ended or work.removed_at is not None) and max(offset, end) >= lines * _LINE
    if end <= offset:
        return LogChunk("", offset, is_complete)
    first, last = offset // _LINE, (end - 1) // _LINE
    text = "".join(
        _line(_ending(work) if is_ended and number == lines - 1 else _words(work, number))
        for number in range(first, last + 1)
    )
    return LogChunk(text[offset - first * _LINE : end - first * _LINE], end, is_complete)


def _line(text: str) -> str:
    """Of one length, and of one byte a character, whatever a reference is made of."""
    return text.encode("ascii", "replace").decode()[: _LINE - 1].ljust(_LINE - 1) + "\n"


def _words(work: Work, number: int) -> str:
    if number == 0:
        return f"preparing {work.ref}"
    second = number - 1
    loss = 0.2 + 2.3 * math.exp(-second / 900) + 0.05 * draw(work.ref, "loss", second)
    return f"{second:8d} s  step {second * 4:9d}  loss {loss:7.4f}"


def _ending(work: Work) -> str:
    return f"ended with exit code {work.exit_code} {work.reason}"
