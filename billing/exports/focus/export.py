"""Exports in chunks, with a manifest that comes last.

A chunk is published whole, and noted in `progress.json`; what died is continued at the next chunk. The same snapshot
always makes the same bytes, so any chunk can be written again. Where there is a `manifest.json`, all of it is there.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from decimal import Decimal
from itertools import islice
from typing import Any

from billing.exports.focus.columns import Dataset, Row
from billing.exports.focus.formats import Format, Writable, writer
from billing.exports.focus.money import plus
from billing.exports.focus.text import number
from billing.exports.targets import Target

MANIFEST, PROGRESS = "manifest.json", "progress.json"
SUMMED = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")

Sums = dict[str, dict[str, str]]
"""Currency -> column -> the sum of it, exact."""


class SnapshotMoved(Exception):
    """The same snapshot gave other rows than before, or the target holds the export of another one."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Rows that do not change any more. `rows(n)` gives them from the n-th on, always in the same order."""

    id: str
    """Names the state of the ledger: what makes the same rows has the same one."""
    dataset: Dataset
    rows: Callable[[int], Iterator[Row]]


@dataclass(frozen=True, slots=True)
class Layout:
    format: Format
    rows_per_chunk: int = 1_000_000
    bytes_per_chunk: int = 512 * 1024 * 1024
    """A chunk ends with the batch that reaches this."""
    batch: int = 10_000
    """Rows in memory at once, and in a row group of Parquet."""


@dataclass(frozen=True, slots=True)
class Chunk:
    name: str
    first_row: int
    rows: int
    bytes: int
    sha256: str
    sums: Sums


@dataclass(frozen=True, slots=True)
class Manifest:
    head: dict[str, Any]
    chunks: tuple[Chunk, ...]

    @property
    def rows(self) -> int:
        return sum(chunk.rows for chunk in self.chunks)

    @property
    def sums(self) -> Sums:
        found: Sums = {}
        for chunk in self.chunks:
            for currency, sums in chunk.sums.items():
                into = found.setdefault(currency, {})
                for name, value in sums.items():
                    into[name] = number(plus(Decimal(into.get(name, "0")), Decimal(value)))
        return found

    def as_json(self) -> bytes:
        chunks = [asdict(chunk) for chunk in self.chunks]
        whole = {**self.head, "rows": self.rows, "sums": self.sums, "chunks": chunks}
        return (json.dumps(whole, ensure_ascii=False, indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Manifest":
        whole = json.loads(data)
        chunks = tuple(Chunk(**chunk) for chunk in whole.pop("chunks"))
        return cls({name: value for name, value in whole.items() if name not in ("rows", "sums")}, chunks)


def export(
    snapshot: Snapshot, layout: Layout, target: Target, note: Callable[[Manifest], None] | None = None
) -> Manifest:
    """Write it all, or what of it is missing. Of two at once for one target both may work, and write the same.

    `note` is told after each chunk what there is; what it raises ends the work there, to be gone on with later.
    """
    head = _head(snapshot, layout)
    done = _read(target, MANIFEST)
    if done is not None:
        if done.head != head:
            raise SnapshotMoved("The target holds another export already. Take another one, or remove that.")
        return done
    begun = _read(target, PROGRESS)
    chunks = list(begun.chunks) if begun is not None and begun.head == head else []
    for position, chunk in enumerate(chunks):
        if target.size(chunk.name) != chunk.bytes:
            rewrite(snapshot, layout, Manifest(head, tuple(chunks)), target, position)
    after = sum(chunk.rows for chunk in chunks)
    rows = snapshot.rows(after)
    while (first := _batch(rows, layout, 0)) or not chunks:
        chunk = _write(snapshot.dataset, layout, target, len(chunks), after, first, rows)
        chunks.append(chunk)
        after += chunk.rows
        _put(target, PROGRESS, Manifest(head, tuple(chunks)))
        if note is not None:
            note(Manifest(head, tuple(chunks)))
    manifest = Manifest(head, tuple(chunks))
    _put(target, MANIFEST, manifest)
    target.remove(PROGRESS)
    return manifest


def rewrite(snapshot: Snapshot, layout: Layout, manifest: Manifest, target: Target, position: int) -> None:
    """One chunk again, to the byte. If the rows are not those of then, nothing is published."""
    was = manifest.chunks[position]
    rows = islice(snapshot.rows(was.first_row), was.rows)
    with target.create(was.name) as out:
        sink = _Sink(out)
        into = writer(layout.format, snapshot.dataset, sink)
        count = 0
        while batch := _batch(rows, layout, count):
            into.write(batch)
            count += len(batch)
        into.close()
        if (count, sink.bytes, sink.sha256) != (was.rows, was.bytes, was.sha256):
            raise SnapshotMoved(f"{was.name} would not be the same as before: the rows have changed since.")


def verify(target: Target, manifest: Manifest) -> list[str]:
    """What of the files is not as the manifest says, in words; empty if all is well."""
    wrong = []
    after = 0
    for chunk in manifest.chunks:
        if chunk.first_row != after:
            wrong.append(f"{chunk.name} begins with row {chunk.first_row}, not {after}.")
        after = chunk.first_row + chunk.rows
        try:
            found = _sha256(target, chunk.name)
        except FileNotFoundError:
            wrong.append(f"{chunk.name} is missing.")
            continue
        if found != chunk.sha256:
            wrong.append(f"{chunk.name} is not what was written: its SHA-256 differs.")
    return wrong


def _sha256(target: Target, name: str) -> str:
    found = hashlib.sha256()
    with target.open(name) as file:
        while data := file.read(1024 * 1024):
            found.update(data)
    return found.hexdigest()


class _Sink:
    """Counts and hashes what goes through. It never closes what is below."""

    closed = False

    def __init__(self, out: Writable) -> None:
        self._out, self._hash, self.bytes = out, hashlib.sha256(), 0

    def write(self, data: bytes, /) -> int:
        self._hash.update(data)
        self._out.write(data)
        self.bytes += len(data)
        return len(data)

    def tell(self) -> int:
        return self.bytes

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


def _write(
    dataset: Dataset,
    layout: Layout,
    target: Target,
    position: int,
    first_row: int,
    first: list[Row],
    rows: Iterator[Row],
) -> Chunk:
    name = f"{dataset.name}-{position:05}.{layout.format.suffix}"
    sums: dict[str, dict[str, Decimal]] = {}
    count = 0
    with target.create(name) as out:
        sink = _Sink(out)
        into = writer(layout.format, dataset, sink)
        batch = first
        while batch:
            into.write(batch)
            count += len(batch)
            _add(sums, batch)
            if sink.bytes >= layout.bytes_per_chunk:
                break
            batch = _batch(rows, layout, count)
        into.close()
    texts = {currency: {name: number(value) for name, value in found.items()} for currency, found in sums.items()}
    return Chunk(name, first_row, count, sink.bytes, sink.sha256, texts)


def _batch(rows: Iterator[Row], layout: Layout, count: int) -> list[Row]:
    """The next rows of a chunk that has so many; none when it is full."""
    return list(islice(rows, min(layout.batch, layout.rows_per_chunk - count)))


def _add(sums: dict[str, dict[str, Decimal]], batch: list[Row]) -> None:
    for row in batch:
        for name in SUMMED:
            value = row.get(name)
            if isinstance(value, Decimal):
                into = sums.setdefault(str(row.get("BillingCurrency")), {})
                into[name] = plus(into.get(name, Decimal(0)), value)


def _head(snapshot: Snapshot, layout: Layout) -> dict[str, Any]:
    return {
        "dataset": snapshot.dataset.name,
        "focus_version": snapshot.dataset.version,
        "snapshot": snapshot.id,
        "format": layout.format.value,
        "rows_per_chunk": layout.rows_per_chunk,
        "bytes_per_chunk": layout.bytes_per_chunk,
        "batch": layout.batch,
        "columns": list(snapshot.dataset.names),
    }


def _read(target: Target, name: str) -> Manifest | None:
    try:
        with target.open(name) as file:
            return Manifest.from_json(file.read())
    except FileNotFoundError:
        return None


def _put(target: Target, name: str, manifest: Manifest) -> None:
    with target.create(name) as out:
        out.write(manifest.as_json())
