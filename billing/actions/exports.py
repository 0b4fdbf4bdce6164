"""Asking for exports, leaving them, where they go and how often. See exporting.py for how they are made."""

import json
from datetime import datetime, time, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from billing.exports.ledger.snapshots import newest_seq
from billing.models import Every, Export, ExportKind, ExportSchedule, ExportTarget
from billing.models.exports import XLSX
from billing.periods import Period, month_of
from billing.policy import Policy
from billing.states import ExportState
from federation.addresses import BadAddress
from federation.registry import reachable
from federation.sealing import vault
from portal import audit, hints
from portal.audit import SYSTEM, Actor
from portal.errors import Conflict, IllegalTransition, Invalid
from portal.models import Tenant
from portal.transitions import move

KEPT_DAYS = 30  # a download


@transaction.atomic
def request(
    *, by: Actor, kind: str, format: str, period: Period, tenant: Tenant | None = None,
    target: ExportTarget | None = None, schedule: ExportSchedule | None = None,
) -> Export:  # fmt: skip
    """An export of the ledger as it stands now. A worker makes it."""
    _check(kind, format, tenant, target)
    export: Export = Export.objects.create(
        tenant_id=tenant.pk if tenant else None,
        tenant=tenant.name if tenant else "",
        kind=kind,
        format=format,
        period_start=period.start,
        period_end=period.end,
        seq=newest_seq(),
        target=target,
        schedule=schedule,
        requested_by=by.actor_name,
    )
    audit.record(by=by, what="export.request", target=export, detail={"kind": kind, "period": period.label})
    hints.soon("billing.tasks.make_export", export.pk)
    return export


def _check(kind: str, form: str, tenant: Tenant | None, target: ExportTarget | None) -> None:
    if form == XLSX and kind not in (ExportKind.LINE_ITEMS, ExportKind.CARD_HOURS):
        raise Invalid.field("format", "Workbooks are for line items and card-hours; FOCUS is for programs.", "no-xlsx")
    if target is not None and target.tenant_id != (tenant.pk if tenant else None):
        raise Invalid.field("target", "This target is for exports of somebody else.", "other-tenant")


@transaction.atomic
def cancel(*, by: Actor, export: Export) -> Export:
    """Stop making it. What is at the target already stays there, without a manifest."""
    locked: Export = Export.objects.select_for_update().get(pk=export.pk)
    if locked.state not in (ExportState.QUEUED, ExportState.RUNNING):
        raise IllegalTransition(f"This export is {locked.state}; only one that waits or is made now can be cancelled.")
    move(locked, ExportState.CANCELLED, by=by, expires_at=timezone.now())
    audit.record(by=by, what="export.cancel", target=locked)
    return locked


@transaction.atomic
def add_target(*, by: Actor, tenant: Tenant | None, keys: dict[str, str], **facts: Any) -> ExportTarget:
    """A bucket. `keys` are `access_key` and `secret_key`: they are sealed, and nobody is shown them again."""
    try:
        facts["endpoint"] = str(reachable(facts["endpoint"]))
    except BadAddress as error:
        raise Invalid.field("endpoint", str(error), error.code) from None
    prefix = facts.get("prefix", "").strip("/")
    facts["prefix"] = f"{prefix}/" if prefix else ""
    target = ExportTarget(tenant_id=tenant.pk if tenant else None, **facts)
    if ExportTarget.objects.filter(tenant_id=target.tenant_id, slug=target.slug).exists():
        raise Conflict("There is a target of this name already.")
    target.sealed = vault().seal(json.dumps(keys).encode(), *target.place)
    target.save()
    audit.record(by=by, what="export-target.add", target=target, detail={"bucket": target.bucket})
    return target


@transaction.atomic
def remove_target(*, by: Actor, target: ExportTarget) -> None:
    if target.schedules.exists() or target.exports.exclude(state=ExportState.EXPIRED).exists():
        raise Conflict("Schedules or exports use this target.")
    target.exports.update(target=None)
    audit.record(by=by, what="export-target.remove", target=target)
    target.delete()


@transaction.atomic
def add_schedule(
    *, by: Actor, kind: str, format: str, every: str, hour: int, policy: Policy,
    tenant: Tenant | None = None, target: ExportTarget | None = None,
) -> ExportSchedule:  # fmt: skip
    _check(kind, format, tenant, target)
    schedule: ExportSchedule = ExportSchedule.objects.create(
        tenant_id=tenant.pk if tenant else None, kind=kind, format=format, every=every, hour=hour, target=target,
        next_at=next_run(every, hour, timezone.now(), policy), made_by=by.actor_name,
    )  # fmt: skip
    audit.record(by=by, what="export-schedule.add", target=schedule, detail={"kind": kind, "every": every})
    return schedule


@transaction.atomic
def change_schedule(*, by: Actor, schedule: ExportSchedule, is_paused: bool, policy: Policy) -> ExportSchedule:
    locked: ExportSchedule = ExportSchedule.objects.select_for_update().get(pk=schedule.pk)
    if locked.is_paused and not is_paused:
        locked.next_at = next_run(locked.every, locked.hour, timezone.now(), policy)
    locked.is_paused = is_paused
    locked.version += 1
    locked.save()
    audit.record(by=by, what="export-schedule.change", target=locked, detail={"is_paused": is_paused})
    return locked


@transaction.atomic
def remove_schedule(*, by: Actor, schedule: ExportSchedule) -> None:
    audit.record(by=by, what="export-schedule.remove", target=schedule)
    schedule.delete()


def next_run(every: str, hour: int, after: datetime, policy: Policy) -> datetime:
    """The first instant after `after` at which it is due: that hour of a day, of a Monday, of the first of a month."""
    day = after.astimezone(policy.zone).date()
    while True:
        at = datetime.combine(day, time(hour), policy.zone)
        is_day = {Every.DAY: True, Every.WEEK: day.weekday() == 0, Every.MONTH: day.day == 1}[Every(every)]
        if is_day and at > after:
            return at
        day += timedelta(days=1)


@transaction.atomic
def run_schedules(*, policy: Policy) -> int:
    """Ask for what is due. A schedule that was missed several times is made up for once."""
    now = timezone.now()
    due = ExportSchedule.objects.select_for_update(skip_locked=True, of=("self",)).filter(
        is_paused=False, next_at__lte=now
    )
    done = 0
    for schedule in due.select_related("target")[:100]:
        whose = schedule.tenant_id
        tenant = None if whose is None else Tenant.objects.filter(pk=whose).first()
        if whose is None or tenant is not None:
            at = schedule.next_at
            if schedule.every == Every.MONTH:
                at = month_of(at, policy.zone).start - timedelta(seconds=1)
            request(
                by=SYSTEM, kind=schedule.kind, format=schedule.format, period=month_of(at, policy.zone), tenant=tenant,
                target=schedule.target, schedule=schedule,
            )  # fmt: skip
        schedule.next_at = next_run(schedule.every, schedule.hour, now, policy)
        schedule.save(update_fields=["next_at"])
        done += 1
    return done
