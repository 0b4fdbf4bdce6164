"""A part of the public openb trace, replayed through the API and the workers; its account must agree."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from federation.traces import openb_pods
from tests.e2e.product import Product

TRACE = Path(__file__).resolve().parents[3] / "shared" / "data" / "openb-2023"
pytestmark = [
    pytest.mark.processes,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not TRACE.is_dir(), reason="the public trace is not at hand (../shared/data/openb-2023)"),
]


def test_a_part_of_the_trace_is_placed_run_and_billed_and_the_sums_agree(product: Product) -> None:
    said = product.manage(
        "import_trace", str(TRACE), "--nodes", "40", "--limit", "80", "--minutes", "0.2", "--json",
        "--url", product.url,
    )  # fmt: skip
    account = json.loads(said)
    assert account["agrees"] is True
    assert account["submitted"] == 80
    assert account["placed"] == account["succeeded"] + account["failed"] > 60
    assert account["submitted"] == account["placed"] + sum(account["refused"].values())
    assert account["granted_milli_seconds"] == account["billed_milli_seconds"] == account["invoiced_milli_seconds"] > 0
    assert float(account["invoice_total"]) > 0


def test_the_trace_is_read_in_its_own_columns() -> None:
    pods = openb_pods(TRACE / "openb_pod_list_default.csv")
    assert len(pods) == 8152
    assert sum(p.devices == 0 for p in pods) == 1088
    assert sum(p.devices == 1 and p.milli < 1000 for p in pods) == 3078
    assert sum(p.devices > 1 for p in pods) == 75
    assert all(before.arrives <= after.arrives for before, after in pairwise(pods))


def test_a_file_that_is_something_else_is_refused_in_words(tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="lacks the columns"):
        openb_pods(other)
