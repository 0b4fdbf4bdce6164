"""Our checker: nothing to say about what is right, and something about everything that is not."""

import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from billing.exports.focus import check
from billing.exports.focus.check import DATASETS, check_files, check_rows
from billing.exports.focus.columns import Dataset
from billing.exports.focus.cost_and_usage import COST_AND_USAGE_1_2
from billing.exports.focus.export import Layout, Snapshot, export
from billing.exports.focus.formats import Format
from billing.exports.targets.folder import Folder
from tests.billing.focus import estate
from tests.billing.focus.mutations import MUTATIONS, Datasets, Mutation

NAMED: dict[str, Dataset] = {dataset.name: dataset for dataset in DATASETS if dataset.version == "1.4"}
PAYABLE = {"INV-2026-10-0001": Decimal("103.51"), "INV-2026-10-0002": Decimal("60.00")}


def right() -> Datasets:
    return {dataset.name: estate.texts(dataset, rows) for dataset, rows in estate.bundle().datasets()}


def rules(data: Datasets) -> list[str]:
    return [found.rule for found in check_rows([(NAMED[name], rows) for name, rows in data.items()], payable=PAYABLE)]


def test_nothing_is_wrong_with_what_is_right() -> None:
    assert rules(right()) == []
    assert list(check_rows([(COST_AND_USAGE_1_2, estate.rows_1_2())], payable=PAYABLE)) == []


@pytest.mark.parametrize(("rule", "mutation"), MUTATIONS, ids=[mutation.__name__ for _, mutation in MUTATIONS])
def test_a_mutation_is_noticed(rule: str, mutation: Mutation) -> None:
    data = right()
    mutation(data)
    assert rule in rules(data)


def test_there_are_many_mutations_and_none_twice() -> None:
    names = Counter(mutation.__name__ for _, mutation in MUTATIONS)
    assert len(names) >= 60
    assert max(names.values()) == 1


def test_every_rule_about_rows_has_a_mutation() -> None:
    source = "".join(path.read_text() for path in Path(check.__file__).parent.glob("check*.py"))
    written_out = set(re.findall(r'Violation\(\s*"([a-z-]+)"', source))
    about_files = {"dataset", "double-column", "manifest", "unreadable"}
    assert written_out - about_files <= {rule for rule, _ in MUTATIONS}


def test_a_row_is_named_and_a_column() -> None:
    data = right()
    data["CostAndUsage"][2]["PricingUnit"] = "gpu hrs"
    (found,) = check_rows([(NAMED["CostAndUsage"], data["CostAndUsage"])], is_whole=False)
    assert (found.row, found.column) == (3, "PricingUnit")
    assert str(found).startswith("row 3, PricingUnit: 'gpu hrs' is not one of Accelerator-Hours, Core-Hours, GiB-Hours")


def test_what_is_paid_is_asked_for() -> None:
    rows = right()["CostAndUsage"]
    wrong = list(
        check_rows([(NAMED["CostAndUsage"], rows)], payable={"INV-2026-10-0001": Decimal("103.50"), "X": Decimal(1)})
    )
    assert [found.rule for found in wrong] == ["payable", "payable"]
    assert "adds up to 103.51" in wrong[0].message


def test_part_of_an_invoice_is_not_held_to_the_whole() -> None:
    rows = right()["CostAndUsage"][:3]
    assert list(check_rows([(NAMED["CostAndUsage"], rows)], is_whole=False)) == []


# -- files


def written(folder: Path, form: Format, rows_per_chunk: int = 4) -> Iterator[Path]:
    for dataset, rows in estate.bundle().datasets():
        place = folder / dataset.name
        layout = Layout(form, rows_per_chunk=rows_per_chunk)
        export(Snapshot("1", dataset, lambda after, rows=rows: iter(rows[after:])), layout, Folder(place))  # type: ignore[misc]  # a default binds it
        yield place / "manifest.json"


@pytest.mark.parametrize("form", list(Format))
def test_files_of_every_format_are_right(tmp_path: Path, form: Format) -> None:
    assert list(check_files(written(tmp_path, form), payable=PAYABLE)) == []


@pytest.mark.parametrize("form", list(Format))
def test_a_spoilt_byte_is_noticed(tmp_path: Path, form: Format) -> None:
    files = list(written(tmp_path, form))
    chunk = next((tmp_path / "CostAndUsage").glob("CostAndUsage-00001.*"))
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.write_bytes(data)
    found = list(check_files(files[:1]))
    assert "CostAndUsage-00001" in found[0][1].message
    assert found[0][1].rule == "manifest"


def test_a_lost_chunk_is_noticed(tmp_path: Path) -> None:
    files = list(written(tmp_path, Format.CSV))
    (tmp_path / "CostAndUsage" / "CostAndUsage-00002.csv").unlink()
    assert [found.rule for _, found in check_files(files[:1])] == ["manifest"]


def spoil(folder: Path, old: bytes, new: bytes) -> list[str]:
    list(written(folder, Format.CSV, rows_per_chunk=100))
    file = folder / "CostAndUsage" / "CostAndUsage-00000.csv"
    data = file.read_bytes()
    assert old in data
    file.write_bytes(data.replace(old, new, 1))
    return [found.rule for _, found in check_files([file])]


def test_spoilt_csv_is_noticed(tmp_path: Path) -> None:
    assert spoil(tmp_path / "a", b"Institute of Physics", b"Institute, of Physics") == ["unreadable"]
    assert spoil(tmp_path / "b", "生".encode(), b"\xff\xff\xff") == ["unreadable"]
    assert spoil(tmp_path / "c", b"RegionName", b"RegionId")[:2] == ["missing-column", "double-column"]
    assert "number" in spoil(tmp_path / "d", b",12.50,", b",$12.50,")


def test_other_types_of_parquet_are_noticed(tmp_path: Path) -> None:
    list(written(tmp_path, Format.PARQUET, rows_per_chunk=100))
    file = tmp_path / "CostAndUsage" / "CostAndUsage-00000.parquet"
    table = pq.read_table(file)
    position = table.schema.get_field_index("BilledCost")
    pq.write_table(table.set_column(position, "BilledCost", table["BilledCost"].cast(pa.string())), file)
    assert next(str(found) for _, found in check_files([file])) == (
        "BilledCost: It is string, not decimal128(38, 15). [type]"
    )


def test_an_empty_file_of_json_lines_is_right(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    assert list(check_files([tmp_path / "a.jsonl"])) == []


def test_what_is_no_file_of_ours_is_said(tmp_path: Path) -> None:
    for name, content, rule in [
        ("a.txt", b"x", "unreadable"),
        ("a.csv", b"a,b\r\n1,2\r\n", "dataset"),
        ("a.csv", b"", "dataset"),
        ("a.jsonl", b"[1]\n", "unreadable"),
        ("a.jsonl", b'{"BilledCost":1.5}\n', "unreadable"),
        ("b.jsonl", b"{\n", "unreadable"),
        ("a.parquet", b"PAR1", "unreadable"),
    ]:
        (tmp_path / name).write_bytes(content)
        assert [found.rule for _, found in check_files([tmp_path / name])] == [rule], (name, content)
