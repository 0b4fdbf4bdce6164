"""Chunks, manifest and resumption; CSV, JSON lines and Parquet hold the same rows."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.exports.focus import read
from billing.exports.focus.columns import Dataset, Kind, Row
from billing.exports.focus.cost_and_usage import COST_AND_USAGE_1_2, COST_AND_USAGE_1_4
from billing.exports.focus.export import (
    MANIFEST,
    PROGRESS,
    Layout,
    Manifest,
    Snapshot,
    SnapshotMoved,
    export,
    rewrite,
    verify,
)
from billing.exports.focus.formats import Format
from billing.exports.focus.rows import cost_and_usage
from billing.exports.focus.text import NotWritable, cell, from_cell, instant, number, plain
from billing.exports.targets import Target
from billing.exports.targets.folder import Folder
from tests.billing.cases import holds_for
from tests.billing.focus import estate
from tests.billing.focus.bucket import bucket

EXACT = [Format.CSV, Format.JSON_LINES, Format.PARQUET]


def snapshot(rows: list[Row], dataset: Dataset = COST_AND_USAGE_1_4, name: str = "1") -> Snapshot:
    return Snapshot(name, dataset, lambda after: iter(rows[after:]))


def some(count: int) -> list[Row]:
    """As many rows as asked for, each with an id of its own."""
    month = [cost_and_usage(one) for one in estate.charges()]
    return [{**month[n % len(month)], "x_LineId": f"line-{n}"} for n in range(count)]


class Died(RuntimeError):
    pass


class Dying(Folder):
    """Fails when it has published so many files."""

    def __init__(self, path: Path, lives: int) -> None:
        super().__init__(path)
        self.lives = lives

    def create(self, name: str) -> Any:
        if self.lives == 0:
            raise Died("died")
        self.lives -= 1
        return super().create(name)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def held(folder: Path, manifest: Manifest, dataset: Dataset = COST_AND_USAGE_1_4) -> list[tuple[str | None, ...]]:
    found = []
    for chunk in manifest.chunks:
        table = read.table(folder / chunk.name)
        if chunk.rows or table.names:  # no object, no names: an empty file of JSON lines
            assert tuple(table.names) == dataset.names
        rows = [tuple(row[name] for name in dataset.names) for row in table.rows(dataset)]
        assert len(rows) == chunk.rows
        found += rows
    return found


# -- the same rows in every format

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(str.strip)
TEXTS |= st.builds(str.__add__, st.sampled_from(["=", "'=", "''-", "+", "＠", "'", '"', "\r\n"]), TEXTS)
VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.TEXT: TEXTS,
    Kind.JSON: st.dictionaries(TEXTS, TEXTS).map(json.dumps),
    Kind.DECIMAL: st.decimals(-(10**20), 10**20, places=15) | st.sampled_from([Decimal("-0"), Decimal("1E+3")]),
    Kind.TIME: st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)).map(
        lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)
    ),
}  # fmt: skip
ROWS = st.lists(
    st.fixed_dictionaries(
        {column.name: st.none() | VALUES[column.kind] for column in COST_AND_USAGE_1_2.columns[:12]},
        optional={column.name: VALUES[column.kind] for column in COST_AND_USAGE_1_2.columns[12:30]},
    ),
    max_size=5,
)


@holds_for(ROWS, st.integers(1, 3), st.integers(1, 4), st.sampled_from(EXACT), st.integers(0, 12))
def test_formats_hold_equal_rows_in_chunks_that_are_disjoint_and_whole(
    rows: list[Row], rows_per_chunk: int, batch: int, form: Format, lives: int
) -> None:
    """21, and 15: one that died anywhere and was continued is the same to the byte."""
    with TemporaryDirectory() as folder:
        whole = Path(folder)
        formats_agree(whole, rows, rows_per_chunk, batch)
        layout = Layout(form, rows_per_chunk=rows_per_chunk, batch=batch)
        with suppress(Died):
            export(snapshot(rows, COST_AND_USAGE_1_2), layout, Dying(whole / "again", lives))
        export(snapshot(rows, COST_AND_USAGE_1_2), layout, Folder(whole / "again"))
        assert files(whole / "again") == files(whole / form.value)


def formats_agree(whole: Path, rows: list[Row], rows_per_chunk: int, batch: int) -> None:
    wanted = Counter(tuple(plain(row.get(name)) for name in COST_AND_USAGE_1_2.names) for row in rows)
    sums = set()
    for form in EXACT:
        folder = whole / form.value
        layout = Layout(form, rows_per_chunk=rows_per_chunk, batch=batch)
        manifest = export(snapshot(rows, COST_AND_USAGE_1_2), layout, Folder(folder))
        assert Counter(held(folder, manifest, COST_AND_USAGE_1_2)) == wanted
        assert all(chunk.rows == rows_per_chunk for chunk in manifest.chunks[:-1])
        assert verify(Folder(folder), manifest) == []
        assert {path.name for path in folder.iterdir()} == {MANIFEST, *(chunk.name for chunk in manifest.chunks)}
        sums.add(json.dumps(manifest.sums, sort_keys=True))
    assert len(sums) == 1


def test_doubles_hold_what_doubles_can(tmp_path: Path) -> None:
    rows = some(11)
    exact = export(snapshot(rows), Layout(Format.PARQUET), Folder(tmp_path / "a"))
    doubles = export(snapshot(rows), Layout(Format.PARQUET_FLOAT), Folder(tmp_path / "b"))
    assert held(tmp_path / "b", doubles) == held(tmp_path / "a", exact)  # none of these has more than 15 digits


def test_sums_are_exact_and_by_currency(tmp_path: Path) -> None:
    rows = some(11)
    rows[0] = {**rows[0], "BillingCurrency": "USD"}
    manifest = export(snapshot(rows), Layout(Format.CSV, rows_per_chunk=4), Folder(tmp_path))
    assert manifest.sums["USD"]["BilledCost"] == "10.00"
    assert manifest.sums["CNY"]["BilledCost"] == "153.51"
    assert manifest.sums["CNY"]["ListCost"] == number(sum(row["ListCost"] for row in rows[1:]))  # type: ignore[misc,arg-type]  # numbers all
    on_disk = json.loads((tmp_path / MANIFEST).read_bytes())
    assert (on_disk["rows"], on_disk["sums"]) == (11, manifest.sums)


def test_nothing_at_all_is_a_file_with_the_columns(tmp_path: Path) -> None:
    for form in (Format.CSV, Format.PARQUET):
        manifest = export(snapshot([]), Layout(form), Folder(tmp_path / form.value))
        assert [chunk.rows for chunk in manifest.chunks] == [0]
        assert held(tmp_path / form.value, manifest) == []


# -- the same bytes again


@pytest.mark.parametrize("form", list(Format))
def test_the_same_snapshot_makes_the_same_bytes(tmp_path: Path, form: Format) -> None:
    layout = Layout(form, rows_per_chunk=7, batch=3)
    for name in ("a", "b"):
        export(snapshot(some(20)), layout, Folder(tmp_path / name))
    assert files(tmp_path / "a") == files(tmp_path / "b")


@pytest.mark.parametrize("form", list(Format))
@pytest.mark.parametrize("limits", [{"rows_per_chunk": 7}, {"bytes_per_chunk": 6000}])
def test_any_chunk_can_be_written_again(tmp_path: Path, form: Format, limits: dict[str, int]) -> None:
    layout = Layout(form, batch=3, **limits)
    manifest = export(snapshot(some(40)), layout, Folder(tmp_path))
    assert len(manifest.chunks) > 2
    before = files(tmp_path)
    for position, chunk in enumerate(manifest.chunks):
        (tmp_path / chunk.name).unlink()
        rewrite(snapshot(some(40)), layout, manifest, Folder(tmp_path), position)
    assert files(tmp_path) == before


def test_a_chunk_of_other_rows_is_not_published(tmp_path: Path) -> None:
    layout = Layout(Format.CSV, rows_per_chunk=3)
    manifest = export(snapshot(some(9)), layout, Folder(tmp_path))
    before = files(tmp_path)
    with pytest.raises(SnapshotMoved, match="CostAndUsage-00001"):
        rewrite(snapshot(some(9)[1:]), layout, manifest, Folder(tmp_path), 1)
    assert files(tmp_path) == before


# -- what died is continued


@pytest.mark.parametrize("form", list(Format))
@pytest.mark.parametrize("lives", range(9))
def test_what_died_is_continued_and_ends_the_same(tmp_path: Path, form: Format, lives: int) -> None:
    layout = Layout(form, rows_per_chunk=3, batch=2)
    export(snapshot(some(10)), layout, Folder(tmp_path / "whole"))
    with pytest.raises(Died):
        export(snapshot(some(10)), layout, Dying(tmp_path / "died", lives))
    assert not (tmp_path / "died" / MANIFEST).exists()
    asked: list[int] = []

    def rows(after: int) -> Iterator[Row]:
        asked.append(after)
        return iter(some(10)[after:])

    export(Snapshot("1", COST_AND_USAGE_1_4, rows), layout, Folder(tmp_path / "died"))
    assert files(tmp_path / "died") == files(tmp_path / "whole")
    # Two files a chunk: the chunk, and the note of it.
    assert asked == [min(lives // 2 * 3, 10)]


def test_a_chunk_that_was_lost_meanwhile_comes_back(tmp_path: Path) -> None:
    layout = Layout(Format.CSV, rows_per_chunk=3)
    export(snapshot(some(10)), layout, Folder(tmp_path / "whole"))
    with pytest.raises(Died):
        export(snapshot(some(10)), layout, Dying(tmp_path / "died", 4))
    (tmp_path / "died" / "CostAndUsage-00000.csv").unlink()
    export(snapshot(some(10)), layout, Folder(tmp_path / "died"))
    assert files(tmp_path / "died") == files(tmp_path / "whole")


def test_a_finished_export_is_left_alone_and_another_is_refused(tmp_path: Path) -> None:
    layout = Layout(Format.CSV)
    manifest = export(snapshot(some(3)), layout, Folder(tmp_path))
    assert export(snapshot(some(3)), layout, Dying(tmp_path, 0)) == manifest
    with pytest.raises(SnapshotMoved, match="another export"):
        export(snapshot(some(3), name="2"), layout, Folder(tmp_path))


def test_progress_of_another_snapshot_counts_for_nothing(tmp_path: Path) -> None:
    layout = Layout(Format.CSV, rows_per_chunk=3)
    with pytest.raises(Died):
        export(snapshot(some(10)), layout, Dying(tmp_path, 4))
    assert (tmp_path / PROGRESS).exists()
    manifest = export(snapshot(some(4), name="2"), layout, Folder(tmp_path))
    assert manifest.rows == 4
    assert verify(Folder(tmp_path), manifest) == []


def test_a_bucket_holds_what_a_folder_holds(tmp_path: Path) -> None:
    layout = Layout(Format.PARQUET, rows_per_chunk=6)
    manifest = export(snapshot(some(10)), layout, Folder(tmp_path))
    with bucket() as (server, target):
        s3: Target = target
        assert export(snapshot(some(10)), layout, s3) == manifest
        assert {name.removeprefix("exports/"): data for name, data in server.objects.items()} == files(tmp_path)
        puts = [asked for asked in server.asked if asked.startswith("PUT")]
        assert puts[-1] == "PUT exports/manifest.json"
        assert verify(s3, manifest) == []
        server.objects["exports/CostAndUsage-00001.parquet"] += b"x"
        assert len(verify(s3, manifest)) == 1


# -- values


@given(text=TEXTS)
def test_text_of_csv_begins_no_formula_and_is_read_back(text: str) -> None:
    column = COST_AND_USAGE_1_2.column("ChargeDescription")
    assert column is not None
    written = cell(column, text)
    assert written[0] not in "=+-@\t\r\n＝＋－＠"
    assert from_cell(column, written) == text


def test_numbers_and_json_are_not_guarded() -> None:
    number_column, json_column = COST_AND_USAGE_1_2.column("BilledCost"), COST_AND_USAGE_1_2.column("Tags")
    assert number_column is not None and json_column is not None
    assert cell(number_column, Decimal("-5")) == "-5.00"
    assert cell(json_column, '{"=a":"=b"}') == '{"=a":"=b"}'


@given(value=st.decimals(-(10**22), 10**22, places=15))
def test_a_number_is_read_back_and_has_no_exponent(value: Decimal) -> None:
    written = number(value)
    assert Decimal(written) == value
    assert not set(written) - set("-.0123456789")
    assert number(Decimal(written)) == number(Decimal(f"{value:f}000")) == written


@pytest.mark.parametrize(
    ("value", "shown"),
    [("25", "25.00"), ("-0.0", "0.00"), ("1E+3", "1000.00"), ("0.000000001", "0.000000001"), ("1.10", "1.10")],
)
def test_a_number_is_one_text(value: str, shown: str) -> None:
    assert number(Decimal(value)) == shown


@pytest.mark.parametrize("value", ["0.0000000000000001", "1E23", "NaN", "Infinity"])
def test_a_number_that_files_could_not_hold_is_refused(value: str) -> None:
    with pytest.raises(NotWritable):
        number(Decimal(value))


def test_instants_are_in_utc() -> None:
    zone = datetime(2026, 10, 1, 12, tzinfo=UTC).astimezone(tz=None)
    assert instant(zone) == "2026-10-01T12:00:00Z"
    assert instant(datetime(2026, 10, 1, microsecond=5000, tzinfo=UTC)) == "2026-10-01T00:00:00.005Z"
    with pytest.raises(NotWritable, match="time zone"):
        instant(zone.replace(tzinfo=None))
    with pytest.raises(NotWritable, match="millisecond"):
        instant(zone + timedelta(microseconds=1))


def test_json_lines_are_unguarded_and_complete(tmp_path: Path) -> None:
    export(snapshot(some(2)), Layout(Format.JSON_LINES), Folder(tmp_path))
    export(snapshot(some(2)), Layout(Format.CSV), Folder(tmp_path / "csv"))
    lines = [json.loads(line) for line in (tmp_path / "CostAndUsage-00000.jsonl").read_text().splitlines()]
    assert lines[1]["ChargeDescription"] == "=cmd|' /C calc'!A0"
    assert lines[0]["BilledCost"] == "10.00"
    assert list(lines[0]) == list(COST_AND_USAGE_1_4.names)
    text = (tmp_path / "csv" / "CostAndUsage-00000.csv").read_text()
    assert list(csv.DictReader(io.StringIO(text)))[1]["ChargeDescription"] == "'=cmd|' /C calc'!A0"
