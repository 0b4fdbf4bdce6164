"""The benches run, and count right, at the size of a toy. How fast they are is no matter for a test."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from federation.bench import placement_table
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


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Two nodes and three pods in the columns of the openb trace."""
    (tmp_path / "openb_node_list_gpu_node.csv").write_text(
        "sn,cpu_milli,memory_mib,gpu,model\na,8000,8000,2,T4\nb,8000,8000,1,V100\n"
    )
    (tmp_path / "openb_pod_list_default.csv").write_text(
        "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\np,1000,100,1,500,\nq,1000,100,1,1000,V100\nr,500,100,0,0,\n"
    )
    return tmp_path


@pytest.mark.parametrize("policy", ["fgd", "random", "dotprod", "gpu-clustering", "gpu-packing", "best-fit", "packing"])
def test_placement_is_measured_for_each_policy_of_the_experiment(trace: Path, policy: str) -> None:
    figures = bench("placement", "--trace", str(trace), "--policy", policy, "--seeds", "1:3", "--ratio", "1.0")
    assert figures["seeds"] == [1, 2]
    assert (figures["nodes"], figures["devices"]) == (2, 3)
    assert len(figures["allocation_by_seed"]) == 2
    assert 0 < figures["allocation_percent"] <= 100


def test_arrivals_are_decided_in_their_order_and_each_decision_is_written(trace: Path, tmp_path: Path) -> None:
    asked = [("one", 1, 1000, "V100"), ("two", 1, 1000, "V100"), ("three", 1, 300, "T4|V100"), ("four", 0, 0, "")]
    (tmp_path / "arrivals").write_text(
        "\n".join(
            json.dumps({"name": name, "cpu_milli": 1000, "memory_mib": 10, "num_gpu": count, "gpu_milli": milli,
                        "gpu_spec": spec})
            for name, count, milli, spec in asked
        )
    )  # fmt: skip
    decisions = tmp_path / "decisions"
    figures = bench("placement", "--trace", str(trace), "--arrivals", str(tmp_path / "arrivals"), "--decisions",
                    str(decisions))  # fmt: skip
    assert (figures["arrivals"], figures["refused"]) == (4, 1)
    one, two, three, four = map(json.loads, decisions.read_text().splitlines())
    assert one == {"name": "one", "node": "b", "devices": [[0, 1000]]}
    assert (two["node"], two["code"]) == (None, "NotEnoughFreeAccelerators")
    assert two["reason"] == "1 V100 free on one node wanted. Best is b with 0."
    assert (three["node"], three["devices"][0][1]) == ("a", 300)
    assert (four["name"], four["devices"]) == ("four", [])


def test_the_speed_of_the_engine_is_told_for_batches_and_single_calls(trace: Path) -> None:
    figures = bench("placement", "--trace", str(trace), "--engine-only", "--replicate", "3", "--decisions", "5")
    assert (figures["nodes"], figures["decisions"]) == (6, 5)
    assert {"decisions_per_s", "single_per_s", "p99_us", "memory_peak_mib"} <= figures.keys()


def test_the_tables_are_put_between_the_marks_of_a_file(trace: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{placement_table.START}\nold\n{placement_table.END}\nafter\n")
    bench("placement", "--trace", str(trace), "--table", str(page), "--seeds", "1:3")
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| default |" in text
    assert "old" not in text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--policy", "worst"], "No placement policy is called 'worst'"),
        (["--pods", "none"], "no list of pods called none"),
        (["--seeds", "5:5"], "no seeds at all"),
        (["--seeds", "1:3", "--decisions", "file"], "name one seed"),
        (["--nodes-file", "/nowhere"], "No such file"),
    ],
)
def test_what_cannot_be_measured_is_told(trace: Path, arguments: list[str], told: str) -> None:
    with pytest.raises(CommandError, match=told):
        call_command("bench", "placement", "--trace", str(trace), *arguments)


def test_moves_are_measured_beside_the_greedy_way(tmp_path: Path) -> None:
    """Halves on four cards; a whole one was refused."""
    (tmp_path / "openb_node_list_gpu_node.csv").write_text(
        "sn,cpu_milli,memory_mib,gpu,model\n" + "".join(f"n{i},8000,8000,1,T4\n" for i in range(4))
    )
    halves = "".join(f"h{i},1000,100,1,500,\n" for i in range(3))
    (tmp_path / "openb_pod_list_default.csv").write_text(
        f"name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n{halves}w0,1000,100,1,1000,\nw1,1000,100,1,1000,\n"
    )
    arguments = ("--trace", str(tmp_path), "--policy", "spread", "--ratio", "0.875", "--most-share", "0.5",
                 "--seconds", "1")  # fmt: skip
    for aim in ("mix", "waiting"):
        figures = bench("defrag", *arguments, "--seeds", "1:9", "--for", aim)
        assert figures["moves"] <= figures["most_moves"] and figures["brought"] >= figures["greedy_brought"]
        assert figures["fragmentation_after"] <= figures["fragmentation_before"]
        assert figures["refused_that_then_fit"] <= figures["refused"] and figures["refused"] > 0
    assert figures["refused_that_then_fit"] > 0 and figures["moves"] > 0
    for wrong in (["--most-share", "0"], ["--movable", "2"], ["--policy", "worst"], ["--pods", "none"]):
        with pytest.raises(CommandError):
            bench("defrag", *arguments, *wrong)


@pytest.mark.parametrize(("percent", "value"), [(50, 50), (99, 99), (100, 100), (1, 1)])
def test_percentiles_are_of_the_values(percent: float, value: float) -> None:
    assert percentile(list(range(1, 101)), percent) == value
