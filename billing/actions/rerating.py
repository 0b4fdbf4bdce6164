"""Re-rating: any period by any price book. The difference is shown; nothing is posted before it is approved."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.db import transaction

from billing.actions import charges
from billing.actions.charges import Calendar, new_charge
from billing.actions.rates import Rates, in_order
from billing.models import Charge, ChargeCategory, PriceBook, Proposal, UsageRecord
from billing.periods import month_of
from billing.policy import Policy
from billing.rating import ZERO, total_of
from billing.rating.money import less, plus
from billing.states import ProposalState
from portal import audit
from portal.audit import Actor
from portal.errors import Conflict, IllegalTransition, Invalid
from portal.models import Tenant
from portal.transitions import move

MOST = 100_000  # charges


@transaction.atomic
def propose(*, by: Actor, tenant: Tenant, book: PriceBook, start: datetime, end: datetime, policy: Policy) -> Proposal:
    """What a tenant's charges between two instants would be by the prices of a book."""
    for name, at in (("period_start", start), ("period_end", end)):
        is_hour = at.replace(minute=0, second=0, microsecond=0) == at
        if not is_hour and month_of(at, policy.zone).start != at:
            raise Invalid.field(name, "Usage is recorded by the hour: begin and end on whole hours.", "not-an-hour")
    if end <= start:
        raise Invalid.field("period_end", "A period ends after it begins.", "ends-before-it-begins")
    old, new, digest = _compared(tenant.pk, book, start, end, policy)
    found: Proposal = Proposal.objects.create(
        tenant=tenant,
        book=book,
        period_start=start,
        period_end=end,
        currency=book.currency,
        charges=len(old),
        was=total_of(c.billed_cost for c in old),
        would_be=total_of(c.billed_cost for c in new),
        lines=_differences(old, new),
        digest=digest,
    )
    audit.record(by=by, what="proposal.make", target=found, detail={"book": book.slug})
    return found


@transaction.atomic
def approve(*, by: Actor, proposal: Proposal, policy: Policy) -> Proposal:
    """Post just what was shown: for each charge that differs its reversal, and another."""
    Tenant.objects.select_for_update(no_key=True).get(pk=proposal.tenant_id)
    locked: Proposal = Proposal.objects.select_for_update().get(pk=proposal.pk)
    if locked.state != ProposalState.OPEN:
        raise IllegalTransition(f"This proposal is {locked.state} already.")
    old, new, digest = _compared(locked.tenant_id, locked.book, locked.period_start, locked.period_end, policy)
    if digest != locked.digest:
        raise Conflict("Usage or prices have changed since this was proposed. Propose it anew.")
    calendar = Calendar(locked.tenant_id, policy)
    posted = charges.replace(by, locked.tenant_id, old, new, calendar, f"Re-rated by {locked.book.name}")
    move(locked, ProposalState.APPROVED, by=by, posted_as=posted)
    audit.record(
        by=by, what="proposal.approve", target=locked, detail={"was": str(locked.was), "is": str(locked.would_be)}
    )
    return locked


@transaction.atomic
def drop(*, by: Actor, proposal: Proposal) -> Proposal:
    """Leave all as it is."""
    move(proposal, ProposalState.DROPPED, by=by)
    audit.record(by=by, what="proposal.drop", target=proposal)
    return proposal


def _compared(
    tenant_id: UUID, book: PriceBook, start: datetime, end: datetime, policy: Policy
) -> tuple[list[Charge], list[Charge], str]:
    """The charges that would be reversed, those that would take their place, and a digest of both."""
    rows = Charge.objects.live().filter(
        tenant_id=tenant_id, category=ChargeCategory.USAGE, commitment_id=None, is_minimum=False,
        period_start__gte=start, period_end__lte=end,
    )  # fmt: skip
    found = list(rows.order_by("period_start", "id")[: MOST + 1])
    if len(found) > MOST:
        raise Conflict(f"That is more than {MOST:,} charges at once. Take a shorter period.")
    if any(charge.currency != book.currency for charge in found):
        raise Conflict(f"Parts of this period are charged in another currency than {book.currency}.")
    by_record: dict[UUID, list[Charge]] = {}
    for charge in found:
        by_record.setdefault(charge.usage_record_ids[0], []).append(charge)
    records = in_order(list(UsageRecord.objects.filter(pk__in=by_record)))
    rates = Rates(tenant_id, policy, start, end, book=book, without=found)
    calendar = Calendar(tenant_id, policy)
    old: list[Charge] = []
    new: list[Charge] = []
    for record in records:
        was = by_record[record.pk]
        terms = rates.terms_at(record.start_at)
        made = [new_charge(record, rated, terms, calendar) for rated in rates.rate(record)]
        if _content(was) != _content(made):
            old += was
            new += made
    digest = sha256(rates.prices(rates.terms_at(start)).digest().encode())
    for charge in old:
        digest.update(charge.pk.bytes)
    digest.update(repr(_content(new)).encode())
    return old, new, digest.hexdigest()


def _content(some: Iterable[Charge]) -> list[tuple[Any, ...]]:
    return sorted(
        (
            c.meter, c.period_start, c.period_end, c.tier, c.milli_seconds, f"{c.quantity:.9f}",
            str(c.price_version_id), str(c.list_price_version_id), f"{c.billed_cost:.15f}", f"{c.list_cost:.15f}",
        )
        for c in some
    )  # fmt: skip


def _differences(old: Iterable[Charge], new: Iterable[Charge]) -> list[dict[str, str]]:
    """By project, flavor, site and meter, amounts as text."""
    sums: dict[tuple[str, str, str, str], tuple[Decimal, Decimal]] = {}
    for is_new, charge in _both(old, new):
        key = (charge.project, charge.flavor, charge.site, charge.meter)
        was, would_be = sums.get(key, (ZERO, ZERO))
        cost = charge.billed_cost
        sums[key] = (was, plus(would_be, cost)) if is_new else (plus(was, cost), would_be)
    return [
        {
            "project": project, "flavor": flavor, "site": site, "meter": meter,
            "was": f"{was:.15f}", "would_be": f"{would_be:.15f}", "difference": f"{less(would_be, was):.15f}",
        }
        for (project, flavor, site, meter), (was, would_be) in sorted(sums.items())
    ]  # fmt: skip


def _both(old: Iterable[Charge], new: Iterable[Charge]) -> Iterator[tuple[bool, Charge]]:
    yield from ((False, charge) for charge in old)
    yield from ((True, charge) for charge in new)
