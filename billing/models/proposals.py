"""Re-rating: what a period's usage would cost by other prices. Nothing is posted before somebody approves it."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from billing.models.books import PriceBook
from billing.models.ledger import LedgerTransaction
from billing.states import PROPOSAL_ARROWS, ProposalState
from portal.models import Tenant
from portal.models.base import ScopedQuerySet, StatefulRow


class Proposal(StatefulRow):
    """The usage of a tenant between two instants, rated by a book. `digest` is of the prices and of what was rated:
    approval posts just what was shown, or is refused because something has changed since.
    """

    topic = "proposal"
    arrows = PROPOSAL_ARROWS
    scope_paths: ClassVar = {"tenant": "tenant_id"}

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="proposals")
    book = models.ForeignKey(PriceBook, on_delete=models.PROTECT, related_name="proposals")
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    currency = models.CharField(max_length=3)
    state = models.CharField(
        max_length=16, choices=[(s.value, s.value) for s in ProposalState], default=ProposalState.OPEN
    )
    charges = models.PositiveIntegerField(default=0, help_text="How many would be reversed.")
    was = models.DecimalField(max_digits=38, decimal_places=15)
    would_be = models.DecimalField(max_digits=38, decimal_places=15)
    lines = models.JSONField(default=list, help_text="What differs, by project, flavor, site and price.")
    digest = models.CharField(max_length=64)
    posted_as = models.ForeignKey(LedgerTransaction, on_delete=models.PROTECT, null=True, related_name="+")

    objects: ClassVar = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(name="proposal_period_has_length", condition=Q(period_end__gt=F("period_start")))
        ]
        indexes = [models.Index(fields=["tenant", "-id"], name="proposal_tenant_newest")]

    def __str__(self) -> str:
        return f"{self.period_start:%Y-%m-%d} by {self.book_id}"
