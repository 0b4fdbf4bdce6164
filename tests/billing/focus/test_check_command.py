"""`manage.py check_focus`: what people see, and the code it ends with."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from billing.exports.focus.formats import Format
from tests.billing.focus.test_check import written


def check(*arguments: str | Path) -> str:
    out = StringIO()
    call_command("check_focus", *map(str, arguments), stdout=out)
    return out.getvalue()


def test_right_files_are_said_to_be_right(tmp_path: Path) -> None:
    files = list(written(tmp_path, Format.PARQUET))
    assert check(*files, "--payable", "INV-2026-10-0001=103.51") == "Nothing is wrong.\n"


def test_wrong_files_end_with_1_and_name_row_and_column(tmp_path: Path) -> None:
    list(written(tmp_path, Format.CSV, rows_per_chunk=100))
    file = tmp_path / "CostAndUsage" / "CostAndUsage-00000.csv"
    file.write_text(file.read_text().replace("6.78", "RMB6.78"))
    out = StringIO()
    with pytest.raises(CommandError, match="things are wrong") as error:
        call_command("check_focus", str(file), stdout=out)
    assert error.value.returncode == 1
    assert "CostAndUsage-00000.csv: row 9, BilledCost: RMB6.78" in out.getvalue()


def test_no_more_is_said_than_asked_for(tmp_path: Path) -> None:
    list(written(tmp_path, Format.CSV, rows_per_chunk=100))
    file = tmp_path / "CostAndUsage" / "CostAndUsage-00000.csv"
    file.write_text(file.read_text().replace("CNY", "RMB"))
    out = StringIO()
    with pytest.raises(CommandError, match="3 or more things are wrong"):
        call_command("check_focus", str(file), "--most", "3", stdout=out)
    assert len(out.getvalue().splitlines()) == 3


def test_an_invoice_that_asks_for_something_else_is_wrong(tmp_path: Path) -> None:
    files = list(written(tmp_path, Format.JSON_LINES))
    with pytest.raises(CommandError, match="1 thing is wrong"):
        check(*files, "--payable", "INV-2026-10-0001=103.52")


def test_what_is_not_there_or_not_understood_ends_with_2(tmp_path: Path) -> None:
    for arguments in ([tmp_path / "none.csv"], [tmp_path, "--payable", "100"]):
        with pytest.raises(CommandError) as error:
            check(*arguments)
        assert error.value.returncode == 2
