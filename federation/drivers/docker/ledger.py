"""What the hub asked of this host, kept at the host: volumes that hold nothing but labels.

An engine cannot refuse what is old by itself, has nothing that is changed by compare-and-swap, and may not have a
single image yet. But a volume is made under its name once: who asks for one that is there gets the labels of the first.
So each fact is a volume that never changes, and together they are the record of a piece of work:

| mark | says |
|---|---|
| `order` | this ref was granted: node, devices, and all of the container that is to be |
| `newer` | a newer epoch and generation of it have been seen |
| `made` | its container was made; when that is not there any more, somebody removed it, and it is not made again |
| `go` | held work may run |
| `ran` | it was started anew in place, and had run so long before |
| `late` | its time limit was over, and it was told to end |
| `ended` | it was asked to go, and never comes back: the tombstone |
| `told` | it was told to end |
| `epoch` | of no ref: this epoch has been seen |

All but `ended` and `epoch` go with the work. Tombstones go after two days.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from federation.drivers.base import DeviceGrant, Rejected
from federation.drivers.docker.names import (
    LABEL_CLUSTER,
    LABEL_FACTS,
    LABEL_MANAGED,
    LABEL_MARK,
    LABEL_REF,
    MANAGED_BY,
    name_of,
    short,
)
from federation.drivers.docker.transport import Api, Deadline, EngineError, Json, moment, path_of

TOMBSTONE_SECONDS = 48 * 3600.0  # longer than any worker can be late
_PRUNED_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Mark:
    name: str  # of the volume
    ref: str
    mark: str
    facts: Json
    at: float  # when it was made, by the host's clock


@dataclass(slots=True)
class Record:
    """All marks of one ref."""

    ref: str
    marks: list[Mark] = field(default_factory=list)
    has_container: bool = False

    def mark(self, name: str) -> Mark | None:
        return next((mark for mark in self.marks if mark.mark == name), None)

    @property
    def order(self) -> Json:
        found = self.mark("order")
        return found.facts if found else {}

    @property
    def is_ended(self) -> bool:
        return self.mark("ended") is not None

    @property
    def stamp(self) -> tuple[int, int]:
        """The newest epoch and generation seen of it."""
        seen = [(int(m.facts["epoch"]), int(m.facts["generation"])) for m in self.marks if m.mark in ("order", "newer")]
        return max(seen, default=(0, 0))

    @property
    def devices(self) -> list[DeviceGrant]:
        return [DeviceGrant(int(i), str(u), int(m), int(b)) for i, u, m, b in self.order.get("devices") or ()]

    @property
    def may_run(self) -> bool:
        return not self.order.get("hold") or self.mark("go") is not None


@dataclass(slots=True)
class Book:
    """The whole ledger as it was a moment ago."""

    records: dict[str, Record] = field(default_factory=dict)
    epochs: list[Mark] = field(default_factory=list)

    def record(self, ref: str) -> Record:
        return self.records.get(ref) or Record(ref)

    @property
    def epoch(self) -> int:
        return max((int(mark.facts["epoch"]) for mark in self.epochs), default=0)

    def holders(self, uuid: str, besides: str) -> list[Record]:
        """Other work that holds some of this device; what is stopping too, as long as anything of it is there."""
        return [
            record
            for record in self.records.values()
            if record.ref != besides
            and (record.has_container or not record.is_ended)
            and any(device.uuid == uuid for device in record.devices)
        ]


class Ledger:
    """The ledger of one cluster on one host."""

    def __init__(self, api: Api, cluster: str) -> None:
        self.api, self.cluster = api, cluster

    def read(self, deadline: Deadline) -> Book:
        labels = [f"{LABEL_MANAGED}={MANAGED_BY}", f"{LABEL_CLUSTER}={self.cluster}"]
        found = self.api.get(deadline, "/volumes", filters={"label": labels})
        book = Book()
        for item in found.get("Volumes") or ():
            mark = _mark_of(item)
            if mark is None:
                continue
            if mark.mark == "epoch":
                book.epochs.append(mark)
            else:
                book.records.setdefault(mark.ref, Record(mark.ref)).marks.append(mark)
        return book

    def check_epoch(self, deadline: Deadline, book: Book, epoch: int) -> None:
        """Refuse what a forgotten worker sends; note an epoch that is newer."""
        if epoch < book.epoch:
            raise Rejected("OldGeneration", f"This is of epoch {epoch}; the host has seen {book.epoch}.")
        if epoch == book.epoch:
            return
        self._make(deadline, f"aquifer-epoch-{short(self.cluster)}-{epoch}", "", "epoch", {"epoch": epoch})
        for mark in book.epochs:
            self._drop(deadline, mark)

    def order(self, deadline: Deadline, ref: str, facts: Json) -> bool:
        """Write down that this was granted. False when somebody else did so just now."""
        nonce = uuid4().hex
        made = self._make(deadline, f"{name_of(ref)}.order", ref, "order", {**facts, "nonce": nonce})
        return bool(made and made.facts.get("nonce") == nonce)

    def note(self, deadline: Deadline, record: Record, mark: str, suffix: str = "", **facts: Any) -> None:
        """Twice is once."""
        name = f"{name_of(record.ref)}.{mark}" + (f".{suffix}" if suffix else "")
        if any(known.name == name for known in record.marks):
            return
        made = self._make(deadline, name, record.ref, mark, facts)
        if made is not None:
            record.marks.append(made)

    def forget(self, deadline: Deadline, record: Record, *, all_of_it: bool = False) -> None:
        """Everything but the tombstone. The order goes last: until then the devices are held."""
        for mark in sorted(record.marks, key=lambda mark: mark.mark == "order"):
            if mark.name and (all_of_it or mark.mark != "ended"):
                self._drop(deadline, mark)

    def prune(self, deadline: Deadline, book: Book, now: float) -> None:
        """Tombstones that nobody can be late for any more, a few at a time."""
        old = [
            record
            for record in book.records.values()
            if not record.has_container
            and all(mark.mark == "ended" and now - mark.at > TOMBSTONE_SECONDS for mark in record.marks)
        ]
        for record in old[:_PRUNED_AT_ONCE]:
            self.forget(deadline, record, all_of_it=True)

    def _make(self, deadline: Deadline, name: str, ref: str, mark: str, facts: Json) -> Mark | None:
        """What is there under this name afterwards, made by us or by who was first."""
        labels = {
            LABEL_MANAGED: MANAGED_BY, LABEL_CLUSTER: self.cluster, LABEL_REF: ref, LABEL_MARK: mark,
            LABEL_FACTS: json.dumps(facts),
        }  # fmt: skip
        made = self.api.call(deadline, "POST", "/volumes/create", body={"Name": name, "Labels": labels})
        return _mark_of(made)

    def _drop(self, deadline: Deadline, mark: Mark) -> None:
        try:
            self.api.call(deadline, "DELETE", "/volumes" + path_of(mark.name))
        except EngineError as error:
            if error.status != 404:
                raise


def shares(devices: Sequence[DeviceGrant] | Iterable[DeviceGrant], uuid: str) -> int:
    return sum(device.milli for device in devices if device.uuid == uuid)


def _mark_of(item: Json) -> Mark | None:
    """None for what is no fact of ours, or was made by hand under our name."""
    labels = item.get("Labels") or {}
    try:
        facts = json.loads(labels[LABEL_FACTS])
        mark = Mark(str(item["Name"]), str(labels[LABEL_REF]), str(labels[LABEL_MARK]), facts, 0.0)
        if mark.mark in ("order", "newer"):
            int(facts["epoch"]), int(facts["generation"])
        if mark.mark == "epoch":
            int(facts["epoch"])
    except (KeyError, TypeError, ValueError):
        return None
    return Mark(mark.name, mark.ref, mark.mark, facts, moment(item.get("CreatedAt")) or 0.0)
