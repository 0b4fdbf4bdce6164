"""What others say of exports of a real ledger: the validators of FOCUS, as for the rows that are made up."""

from pathlib import Path

import pytest

from billing.actions import exporting
from billing.exports.targets.folder import Folder
from billing.policy import policy
from tests.billing.exporting import busy_month, month
from tests.billing.focus.test_validators import FLAGS, gate, official, reconcile, run, toolkit
from tests.billing.rows import Estate

__all__ = ["official", "toolkit"]
pytestmark = [pytest.mark.validators, pytest.mark.timeout(600), pytest.mark.django_db]


def files(kind: str, form: str, folder: Path) -> dict[str, Path]:
    exporting.written(kind, form, month(), Folder(folder), policy=policy(), note=lambda name, rows: None)
    return {file.parent.name: file for file in folder.glob(f"*/*-00000.{form}")}


def test_the_official_validator_passes_a_ledger(tmp_path: Path, official: Path) -> None:
    busy_month(Estate())
    made = [files("focus-1.2", form, tmp_path / form)["CostAndUsage"] for form in ("csv", "parquet")]
    code, found = gate(official, made)
    assert [one["failed"] for one in found] == [{}, {}]
    assert code == 0


def test_the_linter_passes_a_ledger_and_its_invoices_add_up(tmp_path: Path, toolkit: Path) -> None:
    busy_month(Estate())
    made = files("focus-1.4", "csv", tmp_path)
    assert set(made) == set(FLAGS)
    for name, file in made.items():
        done = run(toolkit, "validate", "--dataset", FLAGS[name].lstrip("-"), file)
        assert done.returncode == 0, done.stdout + done.stderr
    assert reconcile(toolkit, made) == []
