"""Snapshots of the ledger for `exports.focus.export`: each dataset of a month, from any row on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from django.db.models import Max

from billing.exports.focus.charges import Party
from billing.exports.focus.columns import Dataset, Row
from billing.exports.focus.cost_and_usage import COST_AND_USAGE_1_2, COST_AND_USAGE_1_4
from billing.exports.focus.export import Snapshot
from billing.exports.focus.reference import BILLING_PERIOD_1_4, CONTRACT_COMMITMENT_1_4, INVOICE_DETAIL_1_4
from billing.exports.focus.rows import cost_and_usage
from billing.exports.ledger import reference
from billing.exports.ledger.charges import Reader
from billing.exports.ledger.items import CARD_HOURS, LINE_ITEMS, card_hours, line_item
from billing.exports.ledger.query import Asked, Place, Whole, asked_for
from billing.models import LedgerTransaction

FOCUS_1_2, FOCUS_1_4, ITEMS, HOURS = "focus-1.2", "focus-1.4", "line-items", "card-hours"
KINDS = (FOCUS_1_2, FOCUS_1_4, ITEMS, HOURS)


def newest_seq() -> int:
    """The last transaction of the ledger there is."""
    return LedgerTransaction.objects.aggregate(Max("seq"))["seq__max"] or 0


@dataclass
class Reading:
    """Rows of charges that remember where they are, so that what died goes on there and reads nothing twice.

    `places` maps how many rows were written to the place after them, as it was kept with the export.
    """

    whole: Whole
    row: Callable[[Asked], Row]
    places: dict[int, Place] = field(default_factory=dict)
    count: int = 0
    place: Place | None = None

    def rows(self, after: int) -> Iterator[Row]:
        from_place = self.places.get(after)
        found = asked_for(self.whole, from_place)
        if after and from_place is None:
            found = islice(found, after, None)
        self.count = after
        for asked, self.place in found:
            self.count += 1
            yield self.row(asked)


def snapshots(kind: str, whole: Whole, hub: Party) -> Iterator[tuple[Snapshot, Reading | None]]:
    """What an export of this kind consists of, dataset by dataset."""
    reader = Reader(hub)

    def of_charges(dataset: Dataset, row: Callable[[Asked], Row]) -> tuple[Snapshot, Reading]:
        reading = Reading(whole, row)
        return Snapshot(_id(whole), dataset, reading.rows), reading

    def small(dataset: Dataset, rows: Callable[[Whole, Party], Iterator[Row]]) -> tuple[Snapshot, None]:
        return Snapshot(_id(whole), dataset, lambda after: islice(rows(whole, hub), after, None)), None

    if kind == ITEMS:
        yield of_charges(LINE_ITEMS, line_item)
    elif kind == HOURS:
        yield small(CARD_HOURS, lambda whole, hub: card_hours(whole))
    else:
        dataset = COST_AND_USAGE_1_2 if kind == FOCUS_1_2 else COST_AND_USAGE_1_4
        yield of_charges(dataset, lambda asked: cost_and_usage(reader.charge(asked)))
    if kind == FOCUS_1_4:
        yield small(BILLING_PERIOD_1_4, reference.billing_periods)
        yield small(INVOICE_DETAIL_1_4, reference.invoice_details)
        yield small(CONTRACT_COMMITMENT_1_4, reference.commitments)


def _id(whole: Whole) -> str:
    about = "all" if whole.tenant_id is None else str(whole.tenant_id)
    return f"ledger {whole.seq}, from {whole.start.isoformat()}, {about}"
