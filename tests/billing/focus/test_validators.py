"""What others say of our files: the official validator of FOCUS 1.2, and a linter of FOCUS 1.4."""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from billing.exports.focus.columns import Dataset, Row
from billing.exports.focus.cost_and_usage import COST_AND_USAGE_1_2
from billing.exports.focus.export import Layout, Snapshot, export
from billing.exports.focus.formats import Format
from billing.exports.targets.folder import Folder
from tests.billing.focus import estate
from tests.billing.focus.environments import python_of

pytestmark = [pytest.mark.validators, pytest.mark.timeout(600)]

HERE = Path(__file__).parent
FLAGS = {
    "CostAndUsage": "--cost-and-usage",
    "BillingPeriod": "--billing-period",
    "InvoiceDetail": "--invoice-detail",
    "ContractCommitment": "--contract-commitment",
}


@pytest.fixture(scope="session")
def official() -> Path:
    return python_of("focus-validator", (3, 12))


@pytest.fixture(scope="session")
def toolkit() -> Path:
    return python_of("focus-toolkit", (3, 11))


def write(folder: Path, dataset: Dataset, rows: list[Row], form: Format) -> Path:
    export(Snapshot("1", dataset, lambda after: iter(rows[after:])), Layout(form), Folder(folder / dataset.name))
    return folder / dataset.name / f"{dataset.name}-00000.{form.suffix}"


def gate(python: Path, files: Iterable[Path]) -> tuple[int, list[dict[str, Any]]]:
    done = subprocess.run([python, HERE / "gate.py", *files], capture_output=True, text=True)
    assert done.stdout, done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def charges() -> list[Row]:
    return estate.bundle().cost_and_usage


# -- FOCUS 1.2, official


def test_all_kinds_of_rows_pass_the_official_validator(tmp_path: Path, official: Path) -> None:
    forms = [Format.CSV, Format.PARQUET, Format.PARQUET_FLOAT]
    files = [write(tmp_path / form.value, COST_AND_USAGE_1_2, charges(), form) for form in forms]
    code, found = gate(official, files)
    assert [one["failed"] for one in found] == [{}, {}, {}]
    assert {(one["rules"], one["skipped"]) for one in found} == {(578, 210)}
    assert code == 0


def test_each_kind_of_row_passes_alone(tmp_path: Path, official: Path) -> None:
    """Some rules look at the file as a whole, and pass where one row is right."""
    files = [
        write(tmp_path / str(number), COST_AND_USAGE_1_2, [row], Format.PARQUET) for number, row in enumerate(charges())
    ]
    code, found = gate(official, files)
    assert [one["failed"] for one in found] == [{}] * len(files)
    assert code == 0


def test_the_gate_closes(tmp_path: Path, official: Path) -> None:
    spoilt = {
        "BillingCurrency": "RMB",
        "ServiceName": None,
        "Tags": "{team",
        "BillingAccountId": None,
        "ChargeCategory": "Banana",
    }
    files = []
    for column, value in spoilt.items():
        row: Row = {**charges()[0], column: value}
        files.append(write(tmp_path / column, COST_AND_USAGE_1_2, [row], Format.PARQUET))
    code, found = gate(official, files)
    assert code == 1
    for column, one in zip(spoilt, found, strict=True):
        assert any(name.startswith(f"{column}-") for name in one["failed"]), column


# -- FOCUS 1.4, by focus-data-toolkit


def run(python: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-m", "focus_data_toolkit", *arguments], capture_output=True, text=True, cwd=python.parent
    )


def bundle_files(folder: Path, form: Format) -> dict[str, Path]:
    return {dataset.name: write(folder, dataset, rows, form) for dataset, rows in estate.bundle().datasets()}


@pytest.mark.parametrize("form", [Format.CSV, Format.PARQUET])
def test_all_datasets_pass_the_linter(tmp_path: Path, toolkit: Path, form: Format) -> None:
    files = bundle_files(tmp_path, form)
    for name, file in files.items():
        done = run(toolkit, "validate", "--dataset", FLAGS[name].lstrip("-"), file)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "OK" in done.stdout
    done = run(toolkit, "validate-bundle", *(part for name, file in files.items() for part in (FLAGS[name], file)))
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(name.lower() in done.stdout.replace(" ", "").lower() for name in FLAGS)


RECONCILE = """
import csv, json, sys
from decimal import Decimal
from focus_data_toolkit.validate.bundle import validate_dataset_bundle

files = json.loads(sys.argv[1])
rows = {name: list(csv.DictReader(open(file, encoding="utf-8", newline=""))) for name, file in files.items()}
report = validate_dataset_bundle(rows, invoice_detail_authoritative=True, rounding_tolerance=Decimal(0))
print(json.dumps([f"{found.code} {found.severity.value} {found.message}" for found in report.diagnostics]))
"""


def reconcile(python: Path, files: dict[str, Path]) -> list[str]:
    spaced = {"".join(f" {c}" if c.isupper() else c for c in name).strip(): str(file) for name, file in files.items()}
    spaced["Cost and Usage"] = spaced.pop("Cost And Usage")
    done = subprocess.run([python, "-c", RECONCILE, json.dumps(spaced)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


def test_charges_add_up_to_the_invoices_with_no_tolerance(tmp_path: Path, toolkit: Path) -> None:
    files = bundle_files(tmp_path, Format.CSV)
    assert reconcile(toolkit, files) == []
    detail = files["InvoiceDetail"]
    detail.write_text(detail.read_text().replace("60.00", "60.01"))
    (found,) = reconcile(toolkit, files)
    assert "FDT-CROSS-030" in found


@pytest.mark.parametrize("column", ["ListCost", "ChargePeriodStart", "BillingCurrency"])
def test_the_linter_closes_too(tmp_path: Path, toolkit: Path, column: str) -> None:
    file = bundle_files(tmp_path, Format.CSV)["CostAndUsage"]
    old, new = {
        "ListCost": (",12.50,12.50,", ",12.51,12.50,"),
        "ChargePeriodStart": ("2026-10-01T04:00:00Z", "2026-10-01T12:00:00+08:00"),
        "BillingCurrency": ("CNY", "RMB"),
    }[column]
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    done = run(toolkit, "validate", "--dataset", "cost-and-usage", file)
    assert done.returncode == 1
    assert column in done.stdout + done.stderr
