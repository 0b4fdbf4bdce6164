"""A site in one file: strict like a real one, shared by any number of processes, and out of order on request.

{"epoch": 1, "nodes": […], "work": {ref: {…}}, "made": {ref: times}, "faults": {…}}
"""

import fcntl
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from federation.drivers.abilities import LogChunk
from federation.drivers.agent_nodes import node_from_json
from federation.drivers.base import (
    NodeSeen,
    Observation,
    ObservedState,
    Rejected,
    SiteDriver,
    SiteInfo,
    Unavailable,
    UsageSample,
    WorkloadSpec,
)

EMPTY: dict[str, Any] = {"epoch": 0, "nodes": [], "work": {}, "made": {}, "calls": {}, "faults": {}}


@contextmanager
def opened(path: Path) -> Iterator[dict[str, Any]]:
    """All of it, for one who may change it."""
    with open(path, "a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        found = json.loads(file.read() or json.dumps(EMPTY))
        yield found
        file.seek(0)
        file.truncate()
        file.write(json.dumps(found))


class FileDriver(SiteDriver):
    """Faults by call: "down" (nothing answers), "lost" (it is done, and nobody hears), a number (seconds it takes)."""

    kind: ClassVar[str] = "file"
    can_hold: ClassVar[bool] = True

    @contextmanager
    def _site(self, call: str) -> Iterator[dict[str, Any]]:
        path = Path(str(self.config.settings["file"]))
        with opened(path) as site:
            fault = site["faults"].get(call, site["faults"].get("all"))
            site["calls"][call] = site["calls"].get(call, 0) + 1
        if isinstance(fault, int | float):
            time.sleep(fault)
        if fault == "down":
            raise Unavailable("The site does not answer.")
        if fault == "bug":
            raise ZeroDivisionError
        with opened(path) as site:
            yield site
        if fault == "lost":
            raise Unavailable("The connection was lost before the answer came.")

    def check(self) -> SiteInfo:
        with self._site("check"):
            return SiteInfo("file 1.0")

    def inventory(self) -> Iterable[NodeSeen]:
        with self._site("inventory") as site:
            return [node_from_json(node) for node in site["nodes"]]

    def ensure(self, spec: WorkloadSpec) -> Observation:
        with self._site("ensure") as site:
            if spec.node == "nowhere":
                raise Rejected("NoSuchNode", "There is no node nowhere.")
            work = site["work"].get(spec.ref)
            is_old = spec.epoch < site["epoch"] or (work and (work["gone"] or spec.generation < work["generation"]))
            if is_old:
                raise Rejected("OldGeneration", "This is of the past.")
            site["epoch"] = spec.epoch
            if work is None:
                site["made"][spec.ref] = site["made"].get(spec.ref, 0) + 1
                work = {"gone": False, "state": "starting", "exit_code": None, "output": ""}
            work |= {"generation": spec.generation, "epoch": spec.epoch}
            if work["state"] == "starting" and not spec.hold:
                work |= {"state": "running", "began": time.time(), "command": list(spec.command)}
                if spec.command[:1] == ("true",):
                    work |= {"state": "succeeded", "exit_code": 0, "output": "said\n"}
            site["work"][spec.ref] = work
            return _seen(spec.ref, work)

    def observe(self, ref: str) -> Observation:
        return next(iter(self.observe_many([ref])))

    def observe_many(self, refs: Sequence[str]) -> Iterable[Observation]:
        with self._site("observe") as site:
            return [_seen(ref, site["work"].get(ref)) for ref in refs]

    def remove(self, ref: str) -> Observation:
        with self._site("remove") as site:
            work = site["work"].setdefault(ref, {"gone": True, "generation": 0})
            if not work["gone"] and work["state"] != "stopping":
                work["state"] = "stopping"
                return _seen(ref, work)
            work["gone"] = True
            return Observation(ref, ObservedState.ABSENT)

    def refs(self) -> Iterable[str]:
        with self._site("refs") as site:
            return [ref for ref, work in site["work"].items() if not work["gone"]]

    def logs(self, ref: str, offset: int = 0, limit: int = 65536) -> LogChunk:
        with self._site("logs") as site:
            work = site["work"].get(ref) or {"gone": True}
            if work["gone"]:
                return LogChunk("", offset, is_complete=True)
            data = work["output"].encode()
            piece = data[offset : offset + limit]
            end = offset + len(piece)
            return LogChunk(piece.decode(), end, is_complete=work["exit_code"] is not None and end >= len(data))

    def usage(self, start: datetime, end: datetime) -> Iterable[UsageSample]:
        with self._site("usage") as site:
            devices = [d["uuid"] for node in site["nodes"] for d in node.get("devices", [])]
            return [UsageSample(datetime.now(UTC), uuid=uuid, busy_percent=50.0) for uuid in devices]


def _seen(ref: str, work: dict[str, Any] | None) -> Observation:
    if work is None or work["gone"]:
        return Observation(ref, ObservedState.ABSENT)
    ran = time.time() - work["began"] if "began" in work else None
    return Observation(
        ref, ObservedState(work["state"]), work["generation"], work["epoch"], ran, work["exit_code"], "", ""
    )
