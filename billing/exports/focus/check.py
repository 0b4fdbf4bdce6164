"""Our own checker of FOCUS: what the official one does not look at, the money above all.

`check_files` reads files of any of our formats, or a `manifest.json` of an export; `check_rows` takes rows as texts.
Memory grows by some dozen bytes a row, for the ids of lines.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from billing.exports.focus import read
from billing.exports.focus.check_charges import row_rules
from billing.exports.focus.check_reference import BillingPeriods, Commitments, InvoiceDetails
from billing.exports.focus.check_sets import Seen
from billing.exports.focus.check_values import TextRow, Violation, header, value
from billing.exports.focus.columns import Dataset
from billing.exports.focus.cost_and_usage import COST_AND_USAGE_1_2, COST_AND_USAGE_1_4
from billing.exports.focus.export import Manifest, verify
from billing.exports.focus.reference import BILLING_PERIOD_1_4, CONTRACT_COMMITMENT_1_4, INVOICE_DETAIL_1_4
from billing.exports.targets.folder import Folder

_OTHERS: dict[str, type[BillingPeriods] | type[InvoiceDetails] | type[Commitments]] = {
    "BillingPeriod": BillingPeriods,
    "InvoiceDetail": InvoiceDetails,
    "ContractCommitment": Commitments,
}
DATASETS = (COST_AND_USAGE_1_2, COST_AND_USAGE_1_4, BILLING_PERIOD_1_4, INVOICE_DETAIL_1_4, CONTRACT_COMMITMENT_1_4)


class Checker:
    """Takes the rows of all datasets, one by one, and in the end says what they are not to each other."""

    def __init__(self) -> None:
        self._charges = Seen()
        self._others: dict[str, BillingPeriods | InvoiceDetails | Commitments] = {}
        self._has_charges = False
        self._is_exact = True

    def add(self, dataset: Dataset, number: int, row: TextRow, *, exact: bool = True) -> Iterator[Violation]:
        self._is_exact = self._is_exact and exact
        for found in self._row(dataset, row, exact):
            yield replace(found, row=number)

    def _row(self, dataset: Dataset, row: TextRow, exact: bool) -> Iterator[Violation]:
        is_sound = True
        for column in dataset.columns:
            if column.name in row and (wrong := value(column, row[column.name])):
                is_sound = False
                yield wrong
        if not is_sound:
            return  # what it is to others cannot be said
        if dataset.name == "CostAndUsage":
            self._has_charges = True
            yield from row_rules(row, version=dataset.version, exact=exact)
            yield from self._charges.add(row)
        else:
            yield from self._other(dataset).add(row)

    def _other(self, dataset: Dataset) -> BillingPeriods | InvoiceDetails | Commitments:
        if dataset.name not in self._others:
            self._others[dataset.name] = _OTHERS[dataset.name]()
        return self._others[dataset.name]

    def finish(self, *, is_whole: bool, payable: dict[str, Decimal]) -> Iterator[Violation]:
        """`is_whole`: all charges of each invoice were among the rows. Doubles do not add up, and are not asked to."""
        if not self._is_exact:
            return
        if self._has_charges and is_whole:
            yield from self._charges.whole_invoices()
            for other in self._others.values():
                yield from other.against(self._charges)
        yield from self._charges.payable(payable)


def check_rows(
    datasets: Iterable[tuple[Dataset, Iterable[TextRow]]],
    *,
    is_whole: bool = True,
    payable: dict[str, Decimal] | None = None,
) -> Iterator[Violation]:
    checker = Checker()
    for dataset, rows in datasets:
        for number, row in enumerate(rows, 1):
            if number == 1:
                yield from header(dataset, list(row))
            yield from checker.add(dataset, number, row)
    yield from checker.finish(is_whole=is_whole, payable=payable or {})


def check_files(
    files: Iterable[Path], *, is_whole: bool = False, payable: dict[str, Decimal] | None = None
) -> Iterator[tuple[str, Violation]]:
    """What is wrong, with the name of the file; what is wrong between them is under `together`."""
    checker = Checker()
    for file in files:
        if file.name == "manifest.json":
            is_whole = True
        for part in _parts(file):
            if isinstance(part, Violation):
                yield file.name, part
            else:
                for found in _file(checker, part):
                    yield part.name, found
    for found in checker.finish(is_whole=is_whole, payable=payable or {}):
        yield "together", found


def _parts(file: Path) -> Iterator[Path | Violation]:
    if file.name != "manifest.json":
        yield file
        return
    manifest = Manifest.from_json(file.read_bytes())
    wrong = verify(Folder(file.parent), manifest)
    for message in wrong:
        yield Violation("manifest", "sha256", message)
    if not wrong:
        for chunk in manifest.chunks:
            yield file.parent / chunk.name


def _file(checker: Checker, file: Path) -> Iterator[Violation]:
    try:
        found = read.table(file)
        if not found.names and file.suffix == ".jsonl":
            return  # no row, and so no column
        dataset = dataset_of(found.names)
        if dataset is None:
            yield Violation("dataset", "header", "Its columns are of no dataset of FOCUS that we write.")
            return
        yield from header(dataset, found.names)
        yield from read.types(found, dataset)
        for number, row in enumerate(found.rows(dataset), 1):
            yield from checker.add(dataset, number, row, exact=found.is_exact)
    except read.Unreadable as error:
        yield Violation("unreadable", "file", str(error))


def dataset_of(names: list[str]) -> Dataset | None:
    """By the columns, since nothing in a CSV names it. 1.2 still has the provider's old name."""
    if "ChargePeriodStart" in names or ("BilledCost" in names and "InvoiceDetailGrain" not in names):
        return COST_AND_USAGE_1_2 if {"ProviderName", "PublisherName"} & set(names) else COST_AND_USAGE_1_4
    if "InvoiceDetailGrain" in names or "InvoiceIssueStatus" in names:
        return INVOICE_DETAIL_1_4
    if "ContractCommitmentId" in names:
        return CONTRACT_COMMITMENT_1_4
    return BILLING_PERIOD_1_4 if "BillingPeriodStatus" in names else None
