"""Months: which there are, what stands in the way of closing one, and asking for it. How it is done: closing.py."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, Min, OuterRef, Subquery, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from billing.actions.charges import PRICES
from billing.models import Charge, Invoice, Month, UsageGap, UsageRecord
from billing.periods import Period, month_of
from billing.policy import Policy
from billing.states import InvoiceState, MonthState
from portal import audit, hints
from portal.audit import Actor
from portal.errors import Conflict
from portal.transitions import move

# What may be closed over by whoever says so. Usage without a price costs 0; a gap is billed later, if it is proven.
ACCEPTABLE = ("unrated-usage", "open-gaps")
_WORDS = {
    "month-not-over": "The month is not over.",
    "earlier-month-open": "An earlier month is not closed.",
    "unrated-usage": "Usage has no price.",
    "open-gaps": "Sites are silent about work that ran.",
}


class InTheWay(Conflict):
    """Something has to be done before a month can be closed, or accepted."""

    code = "month-not-ready"


def ensure(*, policy: Policy, now: datetime | None = None) -> None:
    """A row for each month from the first usage until this one."""
    now = now or timezone.now()
    first = [
        UsageRecord.objects.aggregate(at=Min("start_at"))["at"],
        Invoice.objects.aggregate(at=Min("period_start"))["at"],
    ]
    period = month_of(min((at for at in first if at is not None), default=now), policy.zone)
    there = set(Month.objects.values_list("label", flat=True))
    missing = []
    while period.start <= now:
        if period.label not in there:
            missing.append(Month(label=period.label, period_start=period.start, period_end=period.end))
        period = month_of(period.end, policy.zone)
    Month.objects.bulk_create(missing, ignore_conflicts=True)


def counted(months: Any) -> Any:
    """Months with what of them is not settled yet: `drafts`, `unrated` charges, `uncharged` records, open `gaps`."""
    start, end = OuterRef("period_start"), OuterRef("period_end")
    unrated = Charge.objects.live().filter(billing_period_start=start, category="usage", price_version_id=None)
    earlier = Month.objects.filter(period_start__lt=start).exclude(state=MonthState.CLOSED)
    return months.annotate(
        drafts=_count(Invoice.objects.filter(period_start=start, state=InvoiceState.DRAFT)),
        unrated=_count(unrated),
        is_unpriced=Exists(unrated.exclude(Exists(PRICES))),
        uncharged=_count(UsageRecord.objects.filter(start_at__gte=start, start_at__lt=end, charged_in=None)),
        gaps=_count(UsageGap.objects.filter(start_at__lt=end, end_at=None)),
        is_after_open=Exists(earlier),
    )


def _count(rows: Any) -> Any:
    one = rows.order_by().annotate(one=Value(1)).values("one")
    return Coalesce(Subquery(one.annotate(many=Count("*")).values("many")), 0)


def in_the_way(month: Any, now: datetime | None = None) -> list[str]:
    """Of a month with counts: codes of what hinders its closing, in a fixed order."""
    if month.state == MonthState.CLOSED:
        return []
    seen = {
        "month-not-over": (now or timezone.now()) < month.period_end,
        "earlier-month-open": month.is_after_open,
        "unrated-usage": month.is_unpriced,  # what has a price by now is rated again before it is issued
        "open-gaps": month.gaps > 0,
    }
    return [code for code, stands in seen.items() if stands]


@transaction.atomic
def close(
    *, by: Actor, period: Period, policy: Policy, accept: Iterable[str] = (), now: datetime | None = None
) -> Month:
    """Ask for a month to be closed. Workers do it; asked again, what is going on goes on, and what is done stays."""
    ensure(policy=policy, now=now)
    month = Month.objects.select_for_update().filter(label=period.label).first()
    if month is None:
        raise Conflict(f"Nothing was used in {period.label} or before.")
    if month.state == MonthState.OPEN:
        accepted = [code for code in ACCEPTABLE if code in set(accept)]
        _refuse(in_the_way(counted(Month.objects.filter(pk=month.pk)).get(), now), accepted)
        move(
            month, MonthState.CHARGING, by=by, reason="CloseAsked", accepted=accepted, done_until=None,
            asked_by=by.actor_name,
        )  # fmt: skip
        audit.record(by=by, what="month.close", target=month, detail={"accepted": accepted})
    if month.state != MonthState.CLOSED:
        hints.soon("billing.tasks.close_month", month.pk)
    found: Month = month
    return found


def _refuse(codes: Iterable[str], accepted: Collection[str]) -> None:
    left = [code for code in codes if code not in accepted]
    if left:
        raise InTheWay(
            " ".join(_WORDS[code] for code in left),
            errors=[{"pointer": "/accept", "detail": _WORDS[code], "code": code} for code in left],
        )
