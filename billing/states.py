"""States of billing's rows. Data only; see federation/states.py for the pattern."""

from enum import StrEnum


class InvoiceState(StrEnum):
    DRAFT = "draft"
    ISSUED = "issued"
    CANCELLED = "cancelled"


INVOICE_ARROWS = {
    InvoiceState.DRAFT: frozenset({InvoiceState.ISSUED}),  # finance: actions/invoices.py
    InvoiceState.ISSUED: frozenset({InvoiceState.CANCELLED}),  # finance, together with a credit note
    InvoiceState.CANCELLED: frozenset(),
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
