"""The bench of exports, at the size of a toy; and its rows are right."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from billing.bench import charges
from billing.exports.focus.charges import ChargeKind
from billing.exports.focus.check import check_rows
from billing.exports.focus.columns import Dataset
from billing.exports.focus.cost_and_usage import COST_AND_USAGE_1_2, COST_AND_USAGE_1_4
from tests.billing.focus.estate import texts


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "parquet-float"])
def test_it_writes_all_rows_and_leaves_nothing(tmp_path: Path, form: str) -> None:
    out = StringIO()
    call_command(
        "bench", "export", "--rows", "250", "--rows-per-chunk", "100", "--format", form, "--folder", str(tmp_path),
        "--json", stdout=out,
    )  # fmt: skip
    figures = json.loads(out.getvalue())
    assert (figures["rows"], figures["chunks"], figures["columns"]) == (250, 3, 65)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dataset", [COST_AND_USAGE_1_2, COST_AND_USAGE_1_4])
def test_its_rows_are_right_and_of_every_kind(dataset: Dataset) -> None:
    rows = texts(dataset, list(charges.rows(500)))
    assert list(check_rows([(dataset, rows)], is_whole=False)) == []
    assert {charges.charge(number).kind for number in range(100)} == set(ChargeKind)


def test_rows_after_a_number_are_those() -> None:
    assert list(charges.rows(30, 20)) == list(charges.rows(30))[20:]
