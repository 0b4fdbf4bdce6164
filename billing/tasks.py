"""Celery entry points. Both sweeps look at rows, so a lost message costs one beat."""

from uuid import UUID

from celery import shared_task
from django.conf import settings

from billing import capacity, gaps, metering
from billing.actions import drafts, exporting, exports
from billing.models import Export
from billing.policy import policy
from portal import hints


@shared_task
def sweep_usage() -> None:
    if metering.step():
        hints.send("billing.tasks.sweep_usage")


@shared_task
def sweep_gaps() -> None:
    gaps.step()


@shared_task
def sweep_capacity() -> None:
    if capacity.step():
        hints.send("billing.tasks.sweep_capacity")


@shared_task
def sweep_invoices() -> None:
    for tenant_id in drafts.due():
        hints.send("billing.tasks.refresh_drafts", str(tenant_id))


@shared_task
def refresh_drafts(tenant_id: str) -> None:
    drafts.refresh(tenant_id=UUID(tenant_id), policy=policy())


@shared_task
def make_export(pk: str) -> None:
    if exporting.make(pk, policy=policy(), folder=settings.EXPORTS_DIR):
        hints.send("billing.tasks.make_export", pk)


@shared_task
def sweep_exports() -> None:
    exports.run_schedules(policy=policy())
    exporting.expire(folder=settings.EXPORTS_DIR)
    for pk in Export.objects.in_work().take_due(100):
        hints.send("billing.tasks.make_export", str(pk))
