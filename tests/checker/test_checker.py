"""A checker that was never red counts for nothing: each fault it looks for, made by hand."""

from pathlib import Path

import pytest

from tests.checker import books, history

GOOD = [("gpu", "a", 1, 600, 600), ("gpu", "b", 2, 400, 1000), ("gpu", "a", 3, -600, 400), ("npu", "c", 1, 1, 1)]


def test_a_good_ledger_is_good() -> None:
    last: dict[str, tuple[int, int]] = {}
    left: dict[tuple[str, str], int] = {}
    assert list(books.replay(GOOD, last, left)) == []
    assert last == {"gpu": (3, 400), "npu": (1, 1)}
    assert {key: milli for key, milli in left.items() if milli} == {("gpu", "b"): 400, ("npu", "c"): 1}


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([("gpu", "a", 1, 600, 600), ("gpu", "b", 2, 600, 1200)], "1200 of 1000"),
        ([("gpu", "a", 1, 600, 600), ("gpu", "b", 3, 100, 700)], "3 follows 1"),
        ([("gpu", "a", 2, 600, 600)], "2 follows 0"),
        ([("gpu", "a", 1, 600, 600), ("gpu", "b", 2, 300, 300)], "600 +300 became 300"),
        ([("gpu", "a", 1, 600, 600), ("gpu", "a", 2, -600, 0), ("gpu", "a", 3, -600, -600)], "-600 of 1000"),
        ([("gpu", "a", 1, 100, 100), ("gpu", "a", 2, 100, 200)], "held 100 and got +100"),
        ([("gpu", "a", 1, 500, 500), ("gpu", "b", 2, -100, 400)], "held 0 and got -100"),
    ],
)
def test_each_fault_of_a_ledger_is_named(entries: list[books.Entry], said: str) -> None:
    assert any(said in problem for problem in books.replay(entries)), list(books.replay(entries))


def test_history_names_what_is_lost_invented_and_doubled(tmp_path: Path) -> None:
    one, two = history.Writer(tmp_path / "1.jsonl"), history.Writer(tmp_path / "2.jsonl")
    for writer, key, outcome in (
        (one, "kept", history.OK),
        (one, "gone", history.OK),
        (one, "no", history.REFUSED),
        (one, "both", history.OK),
        (two, "both", history.OK),
    ):
        writer.ask("grant", key)
        writer.answer(outcome, "grant", key)
    two.ask("grant", "killed")
    two.ask("grant", "killed too")  # the process that took its place writes on
    told = history.read(tmp_path, "grant")
    assert told[history.UNKNOWN] == [("killed",), ("killed too",)]
    assert history.compare(told, [("kept",), ("gone",), ("both",)])[0].startswith("double: ('both',)")
    assert history.compare(told, [("kept",), ("both",), ("killed",), ("nobody",)]) == [
        "lost: ('gone',) was acknowledged and is not there",
        "phantom: ('nobody',) is there, and nobody did it",
        "double: ('both',) was acknowledged 2 times",
    ]
