"""Metering, drafting and issuing in one step each."""

from decimal import Decimal

from billing import metering
from billing.actions import drafts, invoices
from billing.models import Invoice
from billing.periods import Period
from billing.policy import policy
from portal.audit import SYSTEM
from tests.billing.rows import NOVEMBER, Estate


def meter() -> None:
    while metering.step():
        pass


def draft(estate: Estate, period: Period = NOVEMBER) -> Invoice:
    meter()
    return drafts.draft(by=SYSTEM, tenant=estate.tenant, period=period, policy=policy())


def issue(estate: Estate, period: Period = NOVEMBER) -> Invoice:
    return invoices.issue(by=SYSTEM, invoice=draft(estate, period), policy=policy())


def lines(invoice: Invoice) -> list[tuple[str, Decimal, Decimal | None, Decimal]]:
    return [(n.project, n.quantity, n.unit_price, n.cost) for n in invoice.lines.order_by("position")]
