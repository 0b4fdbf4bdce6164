"""Public traces as work to submit. Reads the openb pod list (cluster-trace-gpu-v2023) in its own columns."""

import csv
import gzip
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

_COLUMNS = {"name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "gpu_spec", "creation_time", "deletion_time"}
# The trace begins with one pod long before all others; the wait between them is not replayed.
_QUIET_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class TracePod:
    """One pod. `arrives` is in seconds of the trace from its first busy moment, `runs` how long it ran."""

    name: str
    cpu_milli: int
    memory_mib: int
    devices: int
    milli: int
    models: tuple[str, ...]
    qos: str
    arrives: float
    runs: float


def openb_pods(path: str | Path) -> list[TracePod]:
    """The pods in order of arrival. Pods that never ran in the trace get the median run time of the others.

    Raises OSError for a file that cannot be read and ValueError for one that is something else.
    """
    with _open(Path(path)) as file:
        rows = csv.DictReader(file)
        if missing := _COLUMNS - set(rows.fieldnames or ()):
            raise ValueError(f"{path} lacks the columns {', '.join(sorted(missing))}.")
        found = list(rows)
    ran = sorted(
        float(r["deletion_time"]) - float(r["scheduled_time"])
        for r in found
        if r.get("scheduled_time") and r["deletion_time"]
    )
    usual = ran[len(ran) // 2] if ran else 600.0
    found.sort(key=lambda r: float(r["creation_time"] or 0))
    pods, clock, before = [], 0.0, None
    for row in found:
        created = float(row["creation_time"] or 0)
        if before is not None:
            clock += min(created - before, _QUIET_SECONDS)
        before = created
        runs = usual
        if row.get("scheduled_time") and row["deletion_time"]:
            runs = max(float(row["deletion_time"]) - float(row["scheduled_time"]), 0.0)
        devices = int(row["num_gpu"])
        pods.append(
            TracePod(
                name=row["name"],
                cpu_milli=int(row["cpu_milli"]),
                memory_mib=int(row["memory_mib"]),
                devices=devices,
                milli=int(row["gpu_milli"]) if devices == 1 else 1000,
                models=tuple(filter(None, row["gpu_spec"].split("|"))),
                qos=row.get("qos") or "none",
                arrives=clock,
                runs=runs,
            )
        )
    return pods


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return TextIOWrapper(gzip.open(path), encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")
