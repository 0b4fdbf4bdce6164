"""States of billing's rows. Data only; see federation/states.py for the pattern."""

from enum import StrEnum


class InvoiceState(StrEnum):
    DRAFT = "draft"
    ISSUED = "issued"
    PAID = "paid"
    VOID = "void"


INVOICE_ARROWS = {
    InvoiceState.DRAFT: frozenset({InvoiceState.ISSUED}),  # finance: actions/invoices.py
    # finance: paid by the last of its payments (actions/payments.py), void together with a credit note
    InvoiceState.ISSUED: frozenset({InvoiceState.PAID, InvoiceState.VOID}),
    # finance: a payment went back; cancelled, when nothing but a wallet had paid it
    InvoiceState.PAID: frozenset({InvoiceState.ISSUED, InvoiceState.VOID}),
    InvoiceState.VOID: frozenset(),
}


class ProposalState(StrEnum):
    OPEN = "open"
    APPROVED = "approved"
    DROPPED = "dropped"


PROPOSAL_ARROWS = {
    ProposalState.OPEN: frozenset({ProposalState.APPROVED, ProposalState.DROPPED}),  # finance: actions/rerating.py
    ProposalState.APPROVED: frozenset(),
    ProposalState.DROPPED: frozenset(),
}


class MonthState(StrEnum):
    OPEN = "open"
    CHARGING = "charging"
    ISSUING = "issuing"
    SETTLED = "settled"
    CLOSED = "closed"


# All by actions/closing.py, once finance has asked for it.
MONTH_ARROWS = {
    MonthState.OPEN: frozenset({MonthState.CHARGING}),  # finance
    MonthState.CHARGING: frozenset({MonthState.ISSUING, MonthState.OPEN}),  # all is charged; or something is in the way
    MonthState.ISSUING: frozenset({MonthState.SETTLED}),  # all drafts are issued, and the settlement is posted
    MonthState.SETTLED: frozenset({MonthState.CLOSED}),  # the archive is written
    MonthState.CLOSED: frozenset(),
}


class ExportState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


EXPORT_ARROWS = {
    # a worker: actions/exporting.py; finance: actions/exports.py
    ExportState.QUEUED: frozenset({ExportState.RUNNING, ExportState.FAILED, ExportState.CANCELLED}),
    ExportState.RUNNING: frozenset({ExportState.DONE, ExportState.FAILED, ExportState.CANCELLED}),
    ExportState.DONE: frozenset({ExportState.EXPIRED}),  # the sweep, when its files have been kept long enough
    ExportState.FAILED: frozenset({ExportState.EXPIRED}),
    ExportState.CANCELLED: frozenset({ExportState.EXPIRED}),
    ExportState.EXPIRED: frozenset(),
}
