"""The machine as the hub is to see it: processors, memory, accelerators, and how busy they are."""

import logging
import os
import platform
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aquifer_agent import VERSION, cgroups, probes, processes
from aquifer_agent.folder import MARK
from aquifer_agent.partitions import Partitions
from aquifer_agent.run import Run

logger = logging.getLogger(__name__)
_PERIOD_SECONDS, _IDLE_PERIOD_SECONDS = 2.0, 60.0  # with accelerators; without, in case a driver is loaded later
_STALE_SECONDS = 30.0
_MIB = 1024 * 1024
_SYSTEM_UUID = "/sys/class/dmi/id/product_uuid"


class Eyes:
    """Looks at the accelerators in a thread of its own: a driver may hang, the agent may not."""

    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions
        self._sight = probes.Sight()
        self._seen_at: float | None = None
        self._has_seen = threading.Event()
        threading.Thread(target=self._watch, name="probes", daemon=True).start()

    def wait(self, seconds: float) -> None:
        """Give the first look a moment, so that the first report is whole."""
        self._has_seen.wait(seconds)

    def now(self) -> probes.Sight:
        """The last look; devices of unknown health when it is too old."""
        if self._seen_at is None:
            return probes.Sight(problems=["The accelerators have not answered yet."])
        if not self._sight.devices or time.monotonic() - self._seen_at < _STALE_SECONDS:
            return self._sight
        devices = [device | {"health": "unknown"} for device in self._sight.devices]
        return probes.Sight(devices, [], ["The accelerators have stopped answering."])

    def _watch(self) -> None:
        while True:
            self._sight = self._look()
            self._partitions.done()  # from here on whoever takes on work sees the parts that there are
            self._seen_at = time.monotonic()
            self._has_seen.set()
            self._partitions.news.wait(_PERIOD_SECONDS if self._sight.devices else _IDLE_PERIOD_SECONDS)
            self._partitions.news.clear()

    def _look(self) -> probes.Sight:
        sight = probes.look()
        try:
            return probes.look() if self._partitions.apply(sight.devices) else sight
        except Exception as error:  # a driver's library may raise anything; its cards go on being watched
            logger.exception("Cutting cards went wrong.")
            return probes.Sight(
                sight.devices, sight.figures, [*sight.problems, f"Cutting cards went wrong: {type(error).__name__}."]
            )


class Machine:
    def __init__(
        self, name: str, limits_kind: str, partitions: Partitions, runtimes: Mapping[str, str] | None = None
    ) -> None:
        self._name = name
        self._partitions = partitions
        self._labels = {
            "aquifer.io/limits": limits_kind,
            "aquifer.io/agent": VERSION,
            "kubernetes.io/arch": platform.machine(),
            "kubernetes.io/os": "linux",
            **(runtimes or {"aquifer.io/runtimes": "process"}),
        }
        self._system_uuid = system_uuid()
        self._eyes = Eyes(partitions)
        self._eyes.wait(5.0)
        self._cpu = Meter()
        self._meters: dict[str, Meter] = {}
        self._disks: dict[str, tuple[Meter, Meter]] = {}

    def devices(self) -> dict[str, dict[str, Any]]:
        """By uuid."""
        return {device["uuid"]: device for device in self._eyes.now().devices}

    def inventory(self, problem: str = "") -> dict[str, Any]:
        """All that is here. `problem` is what keeps the agent from taking on work."""
        sight = self._eyes.now()
        return {
            "name": self._name,
            "cpu_milli": len(os.sched_getaffinity(0)) * 1000,
            "memory_mib": min(_meminfo()["MemTotal"], cgroups.own_memory_bytes()) // _MIB,
            "system_uuid": self._system_uuid,
            "rack": "",
            "labels": self._labels,
            "is_ready": not problem,
            "message": "; ".join(filter(None, [problem, *sight.problems]))[:1000],
            "devices": [self._as_planned(device) for device in sight.devices],
        }

    def _as_planned(self, device: dict[str, Any]) -> dict[str, Any]:
        """Nothing new goes to a card that is to be cut anew: of what it will be, nobody knows yet."""
        waiting = self._partitions.waiting()
        is_waiting = device["uuid"] in waiting or device.get("parent_uuid") in waiting
        return device | {"health": "unknown"} if is_waiting else device

    def device_figures(self) -> list[dict[str, Any]]:
        return self._eyes.now().figures

    def host_figures(self) -> dict[str, int]:
        """Used by the whole machine since the last call."""
        fields = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        busy = sum(fields) - fields[3] - fields[4]  # all but idle and waiting for disks
        memory = _meminfo()
        return {
            "cpu_milli": self._cpu.milli(busy) or 0,
            "memory_mib": (memory["MemTotal"] - memory["MemAvailable"]) // _MIB,
        }

    def run_figures(self, runs: Iterable[Run]) -> dict[str, dict[str, int | None]]:
        """CPU since the last call and resident memory now, of each run's whole process tree."""
        runs = list(runs)
        living = {run.ref: int(run.claim["pid"]) for run in runs}
        inside = {run.ref: f"{MARK}={run.folder}" for run in runs if run.container}
        self._meters = {ref: self._meters.get(ref, Meter()) for ref in living}
        self._disks = {ref: meters for ref, meters in self._disks.items() if ref in living}
        table = processes.table() if living else {}
        found: dict[str, dict[str, int | None]] = {}
        for ref, pid in living.items():
            tree = processes.descendants(pid, table)
            if ref in inside:  # what an engine runs is not below us, and bears our mark
                below = {process.pid for process in tree}
                tree += [table[one] for one in processes.marked(inside[ref], table) if one not in below]
            # What has ended is in its parent's count, and in the end in the shim's.
            ticks = sum(process.cpu_ticks for process in tree) + (table[pid].cpu_ticks if pid in table else 0)
            found[ref] = {
                "cpu_milli": self._meters[ref].milli(ticks),
                "memory_mib": sum(process.rss_bytes for process in tree) // _MIB,
                **self._disk_figures(ref, [pid, *(process.pid for process in tree)]),
            }
        return found

    def _disk_figures(self, ref: str, pids: Iterable[int]) -> dict[str, int | None]:
        """What has ended is in its parent's count here too, but what an engine's own processes did for it is not."""
        read, written = processes.disk_bytes(pids)
        meters = self._disks.setdefault(ref, (Meter(), Meter()))
        return {
            "disk_read_kibps": meters[0].per_second(read, 1024),
            "disk_write_kibps": meters[1].per_second(written, 1024),
        }


class Meter:
    """A rising count, read as how much of it there was in a second between two readings."""

    def __init__(self) -> None:
        self._last: tuple[int, float] | None = None

    def milli(self, ticks: int) -> int | None:
        """Of clock ticks: 1/1000 of a processor."""
        found = self._rate(ticks)
        return None if found is None else max(0, round(found * 1000 / processes.TICKS_PER_SECOND))

    def per_second(self, count: int | None, unit: int) -> int | None:
        if count is None:
            self._last = None
            return None
        found = self._rate(count)
        return None if found is None else max(0, round(found / unit))

    def _rate(self, count: int) -> float | None:
        now = time.monotonic()
        last, self._last = self._last, (count, now)
        if last is None or now - last[1] < 0.01:
            return None
        return (count - last[0]) / (now - last[1])


def system_uuid(path: str = _SYSTEM_UUID) -> str:
    """What the firmware calls this machine; "" where it says nothing, or says it to root alone and we are not root."""
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").strip().lower()[:64]
    except OSError:  # no SMBIOS (many ARM boards), a container without it, no right to read
        return ""


def _meminfo() -> dict[str, int]:
    """Bytes by name."""
    found = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        found[name] = int(value.split()[0]) * 1024
    return found
