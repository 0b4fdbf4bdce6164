"""Writers of rows: CSV, JSON lines and Parquet. They hold one batch at a time, whatever the length of the file."""

import csv
import io
import json
from collections.abc import Sequence
from enum import Enum
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from billing.exports.focus.columns import PRECISION, SCALE, Column, Dataset, Kind, Row
from billing.exports.focus.text import cell, plain


class Writable(Protocol):
    def write(self, data: bytes, /) -> int: ...


class Writer(Protocol):
    def write(self, rows: Sequence[Row]) -> None: ...

    def close(self) -> None:
        """Write what ends a file. The file itself stays open."""


class Format(Enum):
    CSV = "csv"
    JSON_LINES = "jsonl"
    PARQUET = "parquet"
    PARQUET_FLOAT = "parquet-float"
    """Numbers as doubles, for programs that cannot read decimals. They lose digits beyond fifteen."""

    @property
    def suffix(self) -> str:
        return "parquet" if self is Format.PARQUET_FLOAT else self.value


def writer(form: Format, dataset: Dataset, out: Writable) -> Writer:
    match form:
        case Format.CSV:
            return CsvWriter(dataset, out)
        case Format.JSON_LINES:
            return JsonWriter(dataset, out)
    return ParquetWriter(dataset, out, as_float=form is Format.PARQUET_FLOAT)


class CsvWriter:
    """RFC 4180, UTF-8 without a mark, as FOCUS wants it: for programs. People get XLSX."""

    def __init__(self, dataset: Dataset, out: Writable) -> None:
        self._columns, self._out = dataset.columns, out
        self._put([list(dataset.names)])

    def write(self, rows: Sequence[Row]) -> None:
        columns = [(column, column.name) for column in self._columns]
        self._put([[cell(column, row.get(name)) for column, name in columns] for row in rows])

    def _put(self, lines: list[list[str]]) -> None:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\r\n").writerows(lines)
        self._out.write(buffer.getvalue().encode())

    def close(self) -> None:
        pass


class JsonWriter:
    """An object a line, every column in it. Numbers are texts, so that no reader makes floats of them."""

    def __init__(self, dataset: Dataset, out: Writable) -> None:
        self._names, self._out = dataset.names, out

    def write(self, rows: Sequence[Row]) -> None:
        lines = [
            json.dumps({name: plain(row.get(name)) for name in self._names}, ensure_ascii=False, separators=(",", ":"))
            for row in rows
        ]
        self._out.write("".join(f"{line}\n" for line in lines).encode())

    def close(self) -> None:
        pass


class ParquetWriter:
    def __init__(self, dataset: Dataset, out: Writable, *, as_float: bool) -> None:
        self._columns = dataset.columns
        self._schema = schema(dataset, as_float=as_float)
        self._as_float = as_float
        self._writer = pq.ParquetWriter(out, self._schema, compression="zstd", version="2.6")

    def write(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        arrays = [self._array(column, rows) for column in self._columns]
        self._writer.write_batch(pa.record_batch(arrays, schema=self._schema), row_group_size=len(rows))

    def _array(self, column: Column, rows: Sequence[Row]) -> "pa.Array":
        values = [row.get(column.name) for row in rows]
        if column.kind is Kind.DECIMAL and self._as_float:
            return pa.array([None if value is None else float(str(value)) for value in values], pa.float64())
        return pa.array(values, self._schema.field(column.name).type)

    def close(self) -> None:
        self._writer.close()


def schema(dataset: Dataset, *, as_float: bool = False) -> "pa.Schema":
    """Every column may be null for Parquet, whatever FOCUS says: readers handle that best."""
    numbers = pa.float64() if as_float else pa.decimal128(PRECISION, SCALE)
    kinds = {
        Kind.TEXT: pa.string(),
        Kind.JSON: pa.string(),
        Kind.DECIMAL: numbers,
        Kind.TIME: pa.timestamp("ms", tz="UTC"),
    }
    about = {"focus_dataset": dataset.name, "focus_version": dataset.version}
    return pa.schema([pa.field(column.name, kinds[column.kind]) for column in dataset.columns], metadata=about)
