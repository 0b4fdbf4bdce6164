"""Closing a month, tenant by tenant in the order of their ids: charge what is metered, issue, settle, archive.

Each tenant is done in transactions of its own, and `done_until` says which one was last: whatever is cut off goes on
there. Two workers at once do no harm: what is done is not done again, and only one of them moves on.
"""

import time
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now

from billing import metering
from billing.actions import drafts, invoices, months, settlements
from billing.exports import archive
from billing.models import Charge, Invoice, LedgerTransaction, Month
from billing.periods import month_of
from billing.policy import Policy
from billing.states import InvoiceState, MonthState
from portal import audit
from portal.audit import Actor
from portal.errors import ConcurrentUpdate
from portal.models import Tenant
from portal.transitions import move

AT_ONCE = 20  # tenants in one step


class _ByAsker:
    """Whoever asked for it: it is done in their name."""

    pk: UUID | None = None

    def __init__(self, name: str) -> None:
        self.actor_name = name or "system"


def under_way() -> list[UUID]:
    stopped = (MonthState.OPEN, MonthState.CLOSED)
    return list(Month.objects.exclude(state__in=stopped).order_by("period_start").values_list("pk", flat=True))


def run(*, month_id: UUID, policy: Policy, seconds: float) -> bool:
    """Go on for so long, or to the end. Whether there is more."""
    until = time.monotonic() + seconds
    try:
        while step(month_id=month_id, policy=policy):
            if time.monotonic() > until:
                return True
    except ConcurrentUpdate:  # somebody else is at it, and ahead
        return False
    return False


def step(*, month_id: UUID, policy: Policy, now: datetime | None = None) -> bool:
    """Some of what is to be done. Whether there is more."""
    month = Month.objects.get(pk=month_id)
    by = _ByAsker(month.asked_by)
    match month.state:
        case MonthState.CHARGING:
            if month.done_until is None and metering.step():
                return True
            if not _tenants(month, lambda tenant_id: _charge(tenant_id, month, policy)):
                _look(by, month, now)
        case MonthState.ISSUING:
            if not _tenants(month, lambda tenant_id: _issue(by, tenant_id, month, policy)):
                _settle(by, month, policy)
        case MonthState.SETTLED:
            _archive(by, month)
    return Month.objects.get(pk=month_id).state not in (MonthState.OPEN, MonthState.CLOSED)


def _tenants(month: Month, act: Callable[[UUID], None]) -> bool:
    """Do the next few. False: there are none left."""
    rows = Tenant.objects.order_by("pk")
    if month.done_until is not None:
        rows = rows.filter(pk__gt=month.done_until)
    some = list(rows.values_list("pk", flat=True)[:AT_ONCE])
    for tenant_id in some:
        act(tenant_id)
    if some:
        Month.objects.filter(pk=month.pk, state=month.state, done_until=month.done_until).update(done_until=some[-1])
    return bool(some)


@transaction.atomic
def _charge(tenant_id: UUID, month: Month, policy: Policy) -> None:
    drafts.catch_up(tenant_id=tenant_id, policy=policy, until=month.period_end)


@transaction.atomic
def _issue(by: Actor, tenant_id: UUID, month: Month, policy: Policy) -> None:
    """The drafts of the month, and those of earlier ones, where usage came late."""
    Tenant.objects.select_for_update(no_key=True).get(pk=tenant_id)
    before = Month.objects.filter(state=MonthState.CLOSED).aggregate(seq=Max("ledger_seq"))["seq"] or 0
    late = Charge.objects.filter(
        transaction__tenant_id=tenant_id, transaction__seq__gt=before, billing_period_start__lte=month.period_start
    )
    waiting = Invoice.objects.filter(
        tenant_id=tenant_id, state=InvoiceState.DRAFT, refers_to=None, period_start__lte=month.period_start
    )
    starts = {
        *late.order_by().values_list("billing_period_start", flat=True).distinct(),
        *waiting.values_list("period_start", flat=True),
        *Charge.objects.filter(tenant_id=tenant_id, billing_period_start=month.period_start)
        .values_list("billing_period_start", flat=True)[:1],
    }  # fmt: skip
    for start in sorted(starts):
        period = month_of(start, policy.zone)
        for currency in sorted(drafts.currencies_of(tenant_id, period, policy)):
            draft = drafts.rebuild(by, tenant_id, period, policy, currency)
            if draft is not None and draft.lines.exists():
                invoices.fix(by, draft, policy)


@transaction.atomic
def _look(by: Actor, month: Month, now: datetime | None) -> None:
    """All is charged: issue, or stop where something has come up that was not accepted."""
    counted = months.counted(Month.objects.filter(pk=month.pk)).get()
    found = {*months.in_the_way(counted, now), *(["unrated-usage"] if counted.unrated else [])}
    left = sorted(found.difference(month.accepted))
    if left:
        move(month, MonthState.OPEN, by=by, reason="MonthNotReady", message=", ".join(left), done_until=None)
    else:
        move(month, MonthState.ISSUING, by=by, reason="Charged", done_until=None)


@transaction.atomic
def _settle(by: Actor, month: Month, policy: Policy) -> None:
    """Whoever posts holds the ledger until it is committed, so all up to the last that is seen is there."""
    held = Month.objects.select_for_update().get(pk=month.pk)
    if held.state != MonthState.ISSUING:
        raise ConcurrentUpdate()
    seq = LedgerTransaction.objects.aggregate(seq=Max("seq"))["seq"] or 0
    previous = Month.objects.filter(state=MonthState.CLOSED).aggregate(seq=Max("ledger_seq"))["seq"] or 0
    posted = settlements.post(by, held, seq, previous, policy)
    move(
        held, MonthState.SETTLED, by=by, reason="Settled", ledger_seq=seq, previous_seq=previous, posted_in=posted,
        done_until=None,
    )  # fmt: skip


def _archive(by: Actor, month: Month) -> None:
    written, size = sha256(), 0
    for piece in archive.pieces(month):
        written.update(piece)
        size += len(piece)
    with transaction.atomic():
        move(
            month, MonthState.CLOSED, by=by, reason="Closed", archive_sha256=written.hexdigest(), archive_bytes=size,
            closed_at=Now(),
        )  # fmt: skip
        audit.record(by=by, what="month.closed", target=month, detail={"sha256": written.hexdigest()})
