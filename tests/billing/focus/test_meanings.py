"""What rules of the official validator mean that fail there on right files (`UPSTREAM` in gate.py): we hold to it."""

import ast
from pathlib import Path

import pytest

from billing.exports.focus.check import check_rows
from billing.exports.focus.check_values import TextRow
from billing.exports.focus.cost_and_usage import COST_AND_USAGE_1_2
from tests.billing.focus import estate

ON_DEMAND, PURCHASE, USED, ALONE = 1, 4, 5, 11
# Rule -> changes of one line, and what we say of each. The line as it is passes.
MEANINGS: dict[str, list[tuple[int, TextRow, str]]] = {
    # Null without an invoice, given with one: told by the line of the invoice. 003 says that one of the others holds.
    "InvoiceId-C-003-C": [
        (ALONE, {"InvoiceId": "INV-2026-10-0009"}, "detail-differs InvoiceId"),
        (ALONE, {"InvoiceId": None}, "together InvoiceDetailId"),
    ],
    "InvoiceId-C-004-C": [(ALONE, {"InvoiceId": "INV-2026-10-0009"}, "detail-differs InvoiceId")],
    "InvoiceId-C-005-C": [(ALONE, {"InvoiceId": None}, "together InvoiceDetailId")],
    # Given on usage with a commitment, and null without a commitment.
    "CommitmentDiscountStatus-C-004-C": [
        (USED, {"CommitmentDiscountStatus": None}, "commitment CommitmentDiscountStatus"),
        (ON_DEMAND, {"CommitmentDiscountStatus": "Used"}, "no-commitment CommitmentDiscountStatus"),
        (PURCHASE, {"CommitmentDiscountStatus": "Used"}, "not-usage CommitmentDiscountStatus"),
    ],
    "CommitmentDiscountStatus-C-005-M": [
        (USED, {"CommitmentDiscountStatus": "Active"}, "allowed CommitmentDiscountStatus"),
    ],
    "CapacityReservationStatus-C-003-C": [
        (ON_DEMAND, {"CapacityReservationStatus": "Unused"}, "no-commitment CapacityReservationStatus"),
    ],
    "CapacityReservationStatus-C-004-C": [
        (USED, {"CapacityReservationStatus": None}, "commitment CapacityReservationStatus"),
        (ON_DEMAND, {"CapacityReservationStatus": "Used"}, "no-commitment CapacityReservationStatus"),
        (PURCHASE, {"CapacityReservationStatus": "Used"}, "not-usage CapacityReservationStatus"),
    ],
}


@pytest.mark.parametrize("rule", sorted(MEANINGS))
def test_what_the_rule_means_holds(rule: str) -> None:
    for line, change, wanted in MEANINGS[rule]:
        assert said() == []
        assert wanted in said(line, change)


def said(line: int = 0, change: TextRow | None = None) -> list[str]:
    data = [(dataset, estate.texts(dataset, rows)) for dataset, rows in estate.bundle().datasets()]
    for row in data[0][1]:
        if row["x_LineId"] == f"line-{line}":
            row.update(change or {})
    return [f"{found.rule} {found.column}" for found in check_rows(data)]


def test_no_other_rule_is_let_off() -> None:
    tree = ast.parse((Path(__file__).parent / "gate.py").read_text())
    (upstream,) = [node.value for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Set)]
    assert ast.literal_eval(upstream) == MEANINGS.keys()


def test_names_are_unicode() -> None:
    """The official validator wants ASCII; FOCUS wants Unicode, and so do we."""
    rows = estate.rows_1_2()
    assert any(not str(row["BillingAccountName"]).isascii() for row in rows)
    rows[0]["BillingAccountName"] = "\ud800"
    assert [found.rule for found in check_rows([(COST_AND_USAGE_1_2, rows)], is_whole=False)] == ["unicode"]
