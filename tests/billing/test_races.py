"""Several workers and people at once, on real transactions."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from billing import metering
from billing.actions import drafts, invoices
from billing.models import Invoice, Mark, UsageRecord
from billing.policy import policy
from portal.audit import SYSTEM
from portal.errors import DomainError
from tests.billing.rows import NOVEMBER, Estate, at

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Run all together; what each returned or refused."""
    gun = threading.Barrier(len(acts))
    outcomes: list[Any] = [None] * len(acts)

    def run(n: int) -> None:
        gun.wait(10)
        try:
            outcomes[n] = acts[n]()
        except DomainError as error:
            outcomes[n] = error.code
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return outcomes


def used() -> Estate:
    estate = Estate()
    estate.price("10")
    estate.ended(at(0), at(0, seconds=7))
    estate.ended(at(0), at(90))
    return estate


def draft(estate: Estate) -> Invoice:
    return drafts.draft(by=SYSTEM, tenant=estate.tenant, period=NOVEMBER, policy=policy())


def test_one_worker_at_a_time_meters() -> None:
    estate = used()
    with transaction.atomic():
        assert Mark.objects.take("usage") is not None
    with transaction.atomic():
        assert Mark.objects.take("usage") is not None
        assert at_once(metering.step) == [False]
        assert not UsageRecord.objects.exists()
    at_once(*[metering.step] * 4)
    metering.step()
    assert sum(UsageRecord.objects.values_list("seconds", flat=True)) == 7 + 5400
    assert UsageRecord.objects.filter(tenant_id=estate.tenant.pk).count() == 3


def test_many_who_draft_at_once_make_one_draft() -> None:
    estate = used()
    metering.step()
    outcomes = at_once(
        *[lambda: draft(estate).pk] * 3,
        *[lambda: drafts.refresh(tenant_id=estate.tenant.pk, policy=policy())] * 3,
    )
    invoice = Invoice.objects.get()
    assert set(outcomes) == {invoice.pk, None}
    assert invoice.lines.count() == 1


def test_of_two_who_issue_at_once_one_does() -> None:
    estate = used()
    metering.step()
    invoice = draft(estate)
    outcomes = at_once(*[lambda: invoices.issue(by=SYSTEM, invoice=invoice, policy=policy()).number] * 2)
    assert sorted(outcomes) == ["INV-2026-11-0001", "illegal-transition"]
    assert invoice.lines.filter(category="adjustment").count() == 1


def test_drafting_while_issuing_asks_for_nothing_twice() -> None:
    for _ in range(3):
        estate = used()
        metering.step()
        invoice = draft(estate)

        def issue(invoice: Invoice = invoice) -> str | None:
            return invoices.issue(by=SYSTEM, invoice=invoice, policy=policy()).number

        at_once(issue, *[lambda estate=estate: draft(estate)] * 3)
        assert [i.state for i in Invoice.objects.filter(tenant_id=estate.tenant.pk)] == ["issued"]


def test_invoices_issued_at_once_get_numbers_in_a_row() -> None:
    made = []
    for _ in range(5):
        estate = used()
        metering.step()
        made.append(draft(estate))
    acts = [
        lambda invoice=invoice: invoices.issue(by=SYSTEM, invoice=invoice, policy=policy()).number for invoice in made
    ]
    assert sorted(at_once(*acts)) == [f"INV-2026-11-000{n}" for n in range(1, 6)]
