"""Our files, read back as texts. A batch is in memory at a time."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from billing.exports.focus.check_values import TextRow, Violation
from billing.exports.focus.columns import Dataset
from billing.exports.focus.formats import schema
from billing.exports.focus.text import NotWritable, from_cell, plain

_BATCH = 10_000


class Unreadable(Exception):
    """The file is not what its name says; the text says where."""


@dataclass(frozen=True)
class Table:
    names: list[str]
    rows: Callable[[Dataset], Iterator[TextRow]]
    schema: "pa.Schema | None" = None

    @property
    def is_exact(self) -> bool:
        return self.schema is None or pa.float64() not in self.schema.types


def table(file: Path) -> Table:
    match file.suffix:
        case ".csv":
            return _csv(file)
        case ".jsonl":
            return _json(file)
        case ".parquet":
            return _parquet(file)
    raise Unreadable(f"{file.name} is neither .csv nor .jsonl nor .parquet.")


def types(found: Table, dataset: Dataset) -> Iterator[Violation]:
    """Whether the columns of a Parquet file have the types that we write."""
    if found.schema is None:
        return
    for wanted in schema(dataset, as_float=not found.is_exact):
        position = found.schema.get_field_index(wanted.name)
        if position >= 0 and found.schema.field(position).type != wanted.type:
            message = f"It is {found.schema.field(position).type}, not {wanted.type}."
            yield Violation("type", wanted.name, message)


def _csv(file: Path) -> Table:
    with _texts(file) as lines:
        names = next(_records(csv.reader(lines, strict=True)), [])

    def rows(dataset: Dataset) -> Iterator[TextRow]:
        columns = [dataset.column(name) for name in names]
        with _texts(file) as lines:
            records = _records(csv.reader(lines, strict=True))
            next(records)
            for number, cells in enumerate(records, 1):
                if len(cells) != len(names):
                    raise Unreadable(f"Row {number} has {len(cells)} fields; the header has {len(names)}.")
                yield {name: from_cell(column, cell) for name, column, cell in zip(names, columns, cells, strict=True)}

    return Table(names, rows)


def _texts(file: Path) -> Any:
    return file.open(encoding="utf-8", newline="")


def _records(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    try:
        yield from reader
    except (csv.Error, UnicodeDecodeError) as error:
        raise Unreadable(f"It is no CSV in UTF-8: {error}") from error


def _json(file: Path) -> Table:
    first = next(_objects(file), {})

    def rows(_: Dataset) -> Iterator[TextRow]:
        for number, row in enumerate(_objects(file), 1):
            if list(row) != list(first):
                raise Unreadable(f"Row {number} has other columns than the first.")
            yield row

    return Table(list(first), rows)


def _objects(file: Path) -> Iterator[TextRow]:
    with file.open(encoding="utf-8") as lines:
        try:
            for number, line in enumerate(lines, 1):
                row = json.loads(line)
                if not isinstance(row, dict) or not all(v is None or isinstance(v, str) for v in row.values()):
                    raise Unreadable(f"Row {number} is not an object of texts and nulls.")
                yield row
        except ValueError as error:
            raise Unreadable(f"It is no JSON in UTF-8: {error}") from error


def _parquet(file: Path) -> Table:
    try:
        found = pq.read_schema(file)
    except pa.ArrowInvalid as error:
        raise Unreadable(f"It is no Parquet: {error}") from error

    def rows(_: Dataset) -> Iterator[TextRow]:
        with pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(_BATCH):
                columns = [[_text(value) for value in column.to_pylist()] for column in batch.columns]
                for values in zip(*columns, strict=True):
                    yield dict(zip(found.names, values, strict=True))

    return Table(list(found.names), rows, found)


def _text(value: Any) -> str | None:
    if isinstance(value, float):
        value = Decimal(repr(value))
    if value is None or isinstance(value, str | Decimal | datetime):
        try:
            return plain(value)
        except NotWritable:
            return str(value)  # the checker will say what is wrong with it
    return str(value)
