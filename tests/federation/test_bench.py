"""The benches run, and count right, at the size of a toy. How fast they are is no matter for a test."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from federation.bench.figures import percentile

pytestmark = pytest.mark.django_db


def bench(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command("bench", *arguments, "--json", stdout=out)
    (line,) = out.getvalue().splitlines()
    figures: dict[str, Any] = json.loads(line)
    return figures


def test_simulated_clusters_are_counted_and_only_what_differs_is_a_change() -> None:
    figures = bench(
        "sync", "--clusters", "2", "--nodes", "3", "--devices", "4", "--rate", "200", "--seconds", "0.05"
    )  # fmt: skip
    assert (figures["rows_nodes"], figures["rows_devices"]) == (6, 24)
    changed = {name: figures[f"{name}_changed_clusters"] for name in ("first", "noop", "full")}
    assert changed == {"first": 2, "noop": 0, "full": 2}
    assert figures["delta_count"] == 10


def test_one_mode_measures_nothing_else() -> None:
    figures = bench("sync", "--clusters", "1", "--nodes", "2", "--devices", "1", "--mode", "noop")
    assert figures["noop_changed_clusters"] == 0
    assert not {"full_seconds", "delta_count"} & figures.keys()


def test_the_table_has_a_line_for_each_figure() -> None:
    out = StringIO()
    call_command("bench", "sync", "--nodes", "2", "--devices", "1", "--mode", "full", stdout=out)
    assert "rows_nodes" in out.getvalue()


def test_a_missing_token_file_is_told() -> None:
    with pytest.raises(CommandError, match="No such file"):
        call_command("bench", "sync", "--server", "https://127.0.0.1:1", "--token-file", "/nowhere")


@pytest.mark.parametrize(("percent", "value"), [(50, 50), (99, 99), (100, 100), (1, 1)])
def test_percentiles_are_of_the_values(percent: float, value: float) -> None:
    assert percentile(list(range(1, 101)), percent) == value
