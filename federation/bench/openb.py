"""The openb experiment: nodes and pods of a trace in its own columns, and arrivals drawn from a list of pods.

Protocol of Weng et al. (USENIX ATC '23): the list is shuffled and pods drawn from it with replacement are appended
until the GPU that is asked for reaches a ratio of what the cluster has; a list that asks for more loses pods by chance.
The draws are those of the published experiment too: the same seed gives the very arrivals that it had.
"""

import csv
import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from federation.bench.draws import Draws
from federation.bench.figures import BenchError
from federation.placement.types import DeviceFree, Fleet, NodeFree, Request

_MEMORY_MIB = 1000  # of a device: the trace says nothing of it, and so nothing may be refused for it


def fleet(path: Path, copies: int = 1) -> Fleet:
    """The nodes of a file with sn, cpu_milli, memory_mib, gpu and model, as often as asked."""
    nodes: list[NodeFree] = []
    devices: dict[tuple[str, int], tuple[DeviceFree, ...]] = {}
    for row in _rows(path):
        model, count = row["model"], _amount(row, "gpu", path)
        if (model, count) not in devices:
            devices[model, count] = tuple(_device(i, model) for i in range(count))
        cpu, memory = _amount(row, "cpu_milli", path), _amount(row, "memory_mib", path)
        nodes.append(
            NodeFree(
                id=row["sn"], name=row["sn"], cluster="openb", site="openb", cpu_milli=cpu, memory_mib=memory,
                devices=devices[model, count], total_cpu_milli=cpu, total_memory_mib=memory,
            )
        )  # fmt: skip
    if copies > 1:
        nodes = [replace(n, id=f"{n.id}.{c}", name=f"{n.id}.{c}") for c in range(copies) for n in nodes]
    return Fleet(tuple(nodes))


def _device(index: int, model: str) -> DeviceFree:
    return DeviceFree(index, model, model, "", 1000, _MEMORY_MIB, _MEMORY_MIB, can_share=True)


def pods(path: Path) -> list[Request]:
    """A list of pods with name, cpu_milli, memory_mib, num_gpu, gpu_milli and (some lists) gpu_spec."""
    return [_request(row, path) for row in _rows(path)]


def arrivals(path: Path) -> list[Request]:
    """JSON lines with the same names."""
    with path.open(encoding="utf-8") as file:
        try:
            return [_request(json.loads(line), path) for line in file if line.strip()]
        except (ValueError, AttributeError) as error:
            raise BenchError(f"{path} is not of JSON lines: {error}") from error


def pods_path(folder: Path, name: str) -> Path:
    for ending in (".csv", ".csv.gz"):
        if (path := folder / f"openb_pod_list_{name}{ending}").is_file():
            return path
    raise BenchError(f"There is no list of pods called {name} in {folder}.")


def lists(folder: Path) -> list[str]:
    """Names of all lists, the default first."""
    found = {p.name.removeprefix("openb_pod_list_").split(".")[0] for p in folder.glob("openb_pod_list_*.csv*")}
    return sorted(found, key=lambda name: (name != "default", name))


def asked_milli(request: Request) -> int:
    return request.devices * request.milli


def capacity_milli(of: Fleet) -> int:
    return 1000 * sum(len(node.devices) for node in of.nodes)


def drawn(pods: Sequence[Request], wanted_milli: float, seed: int) -> list[Request]:
    """Arrivals by the protocol, asking for about `wanted_milli` (1/1000 of devices).

    As published: the list ends before the first pod of which one device would go beyond.
    """
    draws = Draws(seed)
    draws.number()  # which the simulator writes into its log
    listed = sorted(pods, key=lambda pod: pod.id)
    found = list(listed)
    draws.shuffle(found)
    asked = sum(map(asked_milli, found))
    if asked <= 0 < wanted_milli:
        raise BenchError("The list of pods asks for no GPU; no ratio can be reached.")
    if asked > wanted_milli:
        while asked > wanted_milli:
            asked -= asked_milli(found.pop(draws.below(len(found))))
        return found
    while asked < wanted_milli:
        pod = listed[draws.below(len(listed))]
        if pod.devices and asked + pod.milli > wanted_milli:
            break
        found.append(replace(pod, id=f"{pod.id}.{len(found)}"))
        asked += asked_milli(pod)
    return found


def _rows(path: Path) -> Iterator[dict[str, str]]:
    opened: IO[str]
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8", newline="")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8", newline="") as opened
        ):
            yield from csv.DictReader(opened)
    except OSError as error:
        raise BenchError(str(error)) from error


def _request(row: dict[str, Any], path: Path) -> Request:
    return Request(
        id=str(row["name"]),
        cpu_milli=_amount(row, "cpu_milli", path),
        memory_mib=_amount(row, "memory_mib", path),
        devices=_amount(row, "num_gpu", path),
        milli=_amount(row, "gpu_milli", path) or 1000,
        models=frozenset(filter(None, (row.get("gpu_spec") or "").split("|"))),
    )


def _amount(row: dict[str, Any], column: str, path: Path) -> int:
    try:
        return int(row[column] or 0)
    except (KeyError, TypeError, ValueError):
        raise BenchError(f"{path}: {row.get(column)!r} is not a number for {column}.") from None
