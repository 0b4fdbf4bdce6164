"""Celery entry points. Sweeps look at rows, so a lost message costs one beat."""

from uuid import UUID

from celery import shared_task
from django.conf import settings

from billing import capacity, gaps, metering
from billing.actions import closing, drafts, exporting, exports, months, spending, wallets
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
def sweep_months() -> None:
    months.ensure(policy=policy())
    for month_id in closing.under_way():
        hints.send("billing.tasks.close_month", str(month_id))


# A step may read a whole month, and holds no lease: it may be cut off anywhere, and two of it do no harm.
@shared_task(soft_time_limit=1800, time_limit=1860)
def close_month(month_id: str) -> None:
    if closing.run(month_id=UUID(month_id), policy=policy(), seconds=30):
        hints.send("billing.tasks.close_month", month_id)


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


@shared_task
def sweep_budgets() -> None:
    for tenant_id in spending.due():
        hints.send("billing.tasks.settle_budgets", str(tenant_id))


@shared_task
def settle_budgets(tenant_id: str) -> None:
    for found in spending.settle(tenant_id=UUID(tenant_id), policy=policy()):
        spending.stop(found)


@shared_task
def sweep_wallets() -> None:
    for tenant_id in wallets.due_to_expire():
        wallets.expire(tenant_id=tenant_id)
