"""Drafts, issue, late usage, credit notes."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from billing import metering, tasks
from billing.actions import drafts, invoices
from billing.bench import close
from billing.models import Invoice, InvoiceLine, Mark, UsageRecord
from billing.periods import month
from billing.policy import Policy, policy
from billing.rating import total_of
from federation.models import Allocation
from portal import hints
from portal.audit import SYSTEM
from portal.errors import Conflict, IllegalTransition
from portal.models import AuditEntry, StateChange
from tests.billing.invoicing import draft, issue, lines, meter
from tests.billing.rows import NOVEMBER, Estate, at, october

pytestmark = pytest.mark.django_db


def test_a_draft_lists_each_project_flavor_and_site_at_each_price() -> None:
    estate = Estate()
    estate.price("10", valid_from=at(0), valid_to=at(30))
    estate.price("20.5", valid_from=at(30))
    speech = estate.project_named("Speech")
    estate.ended(at(0), at(60))
    estate.ended(at(30), at(60), milli=500)
    estate.ended(at(60), at(61), project=speech)
    invoice = draft(estate)
    assert lines(invoice) == [
        ("Speech", Decimal("0.016666667"), Decimal("20.5"), Decimal("0.3416666735")),
        ("Vision", Decimal("0.5"), Decimal(10), Decimal(5)),
        ("Vision", Decimal("0.75"), Decimal("20.5"), Decimal("15.375")),
    ]
    line = invoice.lines.filter(project="Speech").get()
    assert (line.flavor, line.unit, line.site) == (estate.flavor.name, "device", estate.site.slug)
    assert (line.currency, line.price_id is not None, line.milli_seconds) == ("CNY", True, 60_000)
    assert invoice.total == Decimal("20.7166666735")
    assert (invoice.state, invoice.number, invoice.currency, invoice.period) == ("draft", None, "CNY", "2026-11")
    assert (invoice.period_start, invoice.period_end) == (
        datetime(2026, 10, 31, 16, tzinfo=UTC),
        datetime(2026, 11, 30, 16, tzinfo=UTC),
    )


def test_drafting_again_changes_nothing_until_usage_does() -> None:
    estate = Estate()
    estate.price("10")
    run = estate.running(at(0), at(30))
    first = draft(estate)
    stored = list(first.lines.values())
    again = draft(estate)
    assert (again.pk, again.version, list(again.lines.values())) == (first.pk, first.version, stored)
    Allocation.objects.filter(pk=run.pk).update(proof_at=at(60))
    third = draft(estate)
    assert (third.pk, third.version) == (first.pk, first.version + 1)
    assert third.total == 10
    assert Invoice.objects.count() == 1


def test_usage_without_a_price_is_shown_and_not_dropped() -> None:
    estate = Estate()
    estate.ended(at(0), at(30))
    invoice = draft(estate)
    assert lines(invoice) == [("Vision", Decimal("0.5"), None, Decimal(0))]
    assert not invoice.lines.get().is_rated
    estate.price("10")
    assert lines(draft(estate)) == [("Vision", Decimal("0.5"), Decimal(10), Decimal(5))]


def test_a_month_ends_where_the_billing_time_zone_says() -> None:
    estate = Estate()
    estate.price("10")
    edge = datetime(2026, 10, 31, 16, tzinfo=UTC)  # midnight in Shanghai
    estate.ended(edge - timedelta(minutes=30), edge + timedelta(minutes=45))
    assert draft(estate, october()).total == 5
    assert draft(estate).total == Decimal("7.5")


def test_a_month_that_begins_within_an_hour_cuts_the_record(settings: Any) -> None:
    """India is five and a half hours ahead, so its months begin in the middle of an hour of UTC."""
    estate = Estate()
    estate.price("10")
    zone = ZoneInfo("Asia/Kolkata")
    settings.BILLING_TIME_ZONE = zone.key
    edge = month("2026-11", zone).start
    assert edge.minute == 30
    estate.ended(edge - timedelta(minutes=30), edge + timedelta(minutes=15))
    assert draft(estate, month("2026-10", zone)).total == 5
    assert draft(estate, month("2026-11", zone)).total == Decimal("2.5")


def test_a_tenant_is_asked_for_its_own_usage_only() -> None:
    estate, other = Estate(), Estate()
    estate.price("10")
    other.price("10")
    other.ended(at(0), at(60))
    with pytest.raises(Conflict, match="nothing in 2026-11"):
        draft(estate)
    assert not Invoice.objects.exists()


def test_issue_numbers_rounds_once_and_adds_up() -> None:
    estate = Estate()
    estate.price("10")
    estate.ended(at(0), at(0, seconds=7))
    estate.ended(at(0), at(0, seconds=12), project=estate.project_named("Speech"))
    invoice = issue(estate)
    assert invoice.state == "issued"
    assert invoice.number == "INV-2026-11-0001"
    assert invoice.total == Decimal("0.05")
    assert invoice.payable == Decimal("0.05")
    adjustment = invoice.lines.order_by("position").last()
    assert adjustment is not None
    assert (adjustment.category, adjustment.quantity, adjustment.unit_price) == ("adjustment", 0, None)
    assert adjustment.cost == Decimal("0.05") - Decimal("0.01944444") - Decimal("0.03333333")
    assert total_of(invoice.lines.values_list("cost", flat=True)) == invoice.total
    change = StateChange.objects.get(object_id=invoice.pk)
    assert (change.from_state, change.to_state, change.tenant_id) == ("draft", "issued", estate.tenant.pk)
    assert AuditEntry.objects.filter(what="invoice.issue", tenant_id=estate.tenant.pk).count() == 1
    with pytest.raises(IllegalTransition, match="only a draft"):
        invoices.issue(by=SYSTEM, invoice=invoice, policy=policy())


def test_a_round_total_needs_no_adjustment() -> None:
    estate = Estate()
    estate.price("10")
    estate.ended(at(0), at(60))
    assert lines(issue(estate)) == [("Vision", Decimal(1), Decimal(10), Decimal(10))]


def test_numbers_have_no_gaps() -> None:
    numbers = []
    for _ in range(3):
        estate = Estate()
        estate.price("10")
        estate.ended(at(0), at(60))
        numbers.append(issue(estate).number)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            estate.ended(at(60), at(90))
            issue(estate)
            raise ZeroDivisionError
    assert numbers == ["INV-2026-11-0001", "INV-2026-11-0002", "INV-2026-11-0003"]


def test_usage_proved_after_issue_is_asked_for_by_the_next_draft() -> None:
    estate = Estate()
    estate.price("10")
    run = estate.running(at(0), at(60))
    first = issue(estate)
    with pytest.raises(Conflict, match="not invoiced already"):
        draft(estate)
    Allocation.objects.filter(pk=run.pk).update(proof_at=at(90))
    second = draft(estate)
    assert second.pk != first.pk
    assert lines(second) == [("Vision", Decimal("0.5"), Decimal(10), Decimal(5))]
    invoices.issue(by=SYSTEM, invoice=second, policy=policy())
    Allocation.objects.filter(pk=run.pk).update(ended_at=at(72))  # the site takes 18 minutes back
    assert lines(draft(estate)) == [("Vision", Decimal("-0.3"), Decimal(10), Decimal("-3"))]
    first.refresh_from_db()
    assert (first.total, first.state) == (10, "issued")


def test_a_credit_note_takes_an_invoice_back_line_by_line() -> None:
    estate = Estate()
    estate.price("10")
    estate.ended(at(0), at(0, seconds=7))
    invoice = issue(estate)
    invoices.cancel(by=SYSTEM, invoice=invoice, message="Wrong cost centre")
    invoice.refresh_from_db()
    assert (invoice.state, invoice.reason, invoice.message) == (
        "void",
        "CancelledByCreditNote",
        "Wrong cost centre",
    )
    note = Invoice.objects.get(refers_to=invoice)
    assert (note.state, note.number, note.total) == ("issued", "CN-2026-11-0001", -invoice.total)
    assert invoice.number is not None
    assert invoice.number in note.message
    both = InvoiceLine.objects.filter(invoice__in=[invoice, note])
    for column in ("milli_seconds", "quantity", "cost"):
        assert total_of(Decimal(v) for v in both.values_list(column, flat=True)) == 0
    with pytest.raises(IllegalTransition, match="only an issued one"):
        invoices.cancel(by=SYSTEM, invoice=invoice)
    with pytest.raises(Conflict, match="credit note stays"):
        invoices.cancel(by=SYSTEM, invoice=note)
    again = issue(estate)  # the usage can be asked for anew
    assert (again.number, again.total) == ("INV-2026-11-0002", invoice.total)


def test_only_what_is_issued_can_be_cancelled() -> None:
    estate = Estate()
    estate.ended(at(0), at(60))
    with pytest.raises(IllegalTransition, match="This invoice is draft"):
        invoices.cancel(by=SYSTEM, invoice=draft(estate))


def test_usage_invoiced_by_another_calendar_is_not_asked_for_twice() -> None:
    estate = Estate()
    estate.price("10")
    estate.ended(at(0), at(60))
    issue(estate)
    elsewhere = Policy("CNY", ZoneInfo("Europe/Berlin"))
    with pytest.raises(Conflict, match="by another calendar"):
        drafts.draft(by=SYSTEM, tenant=estate.tenant, period=month("2026-11", elsewhere.zone), policy=elsewhere)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Messages to workers, kept instead of sent."""
    messages: list[tuple[Any, ...]] = []
    monkeypatch.setattr(hints, "send", lambda *message: messages.append(message))
    return messages


def test_the_sweeps_meter_and_refresh_drafts(sent: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    estate, idle = Estate(), Estate()
    estate.price("10")
    estate.ended(at(0), at(60))
    tasks.sweep_usage()
    assert sent == []
    tasks.sweep_invoices()
    assert sent == [("billing.tasks.refresh_drafts", str(estate.tenant.pk))]
    tasks.refresh_drafts(str(estate.tenant.pk))
    assert Invoice.objects.get(tenant_id=estate.tenant.pk).total == 10
    tasks.refresh_drafts(str(idle.tenant.pk))
    assert Invoice.objects.count() == 1
    monkeypatch.setattr(metering, "STEP", 1)
    estate.ended(at(60), at(70))
    tasks.sweep_usage()
    assert sent[1:] == [("billing.tasks.sweep_usage",)]


def test_a_tenant_is_due_when_usage_or_a_price_is_newer_than_its_drafts() -> None:
    estate = Estate()
    estate.ended(at(0), at(60))
    meter()
    drafts.refresh(tenant_id=estate.tenant.pk, policy=policy())
    drafted = Mark.objects.get(sweep="drafts", tenant_id=estate.tenant.pk)
    Mark.objects.filter(pk=drafted.pk).update(at=drafted.at + 2 * Mark.OVERLAP)
    assert drafts.due() == []
    estate.ended(at(60), at(70))
    meter()
    fresh = UsageRecord.objects.filter(charged_in=None)
    fresh.update(metered_at=drafted.at + 2 * Mark.OVERLAP)
    assert drafts.due() == [estate.tenant.pk]
    fresh.update(metered_at=at(0))
    assert drafts.due() == []
    price = estate.price("10")
    type(price).objects.filter(pk=price.pk).update(changed_at=drafted.at + 2 * Mark.OVERLAP)
    assert drafts.due() == [estate.tenant.pk]


def test_late_usage_of_an_earlier_month_is_drafted_too() -> None:
    estate = Estate()
    estate.price("10")
    estate.ended(at(0) - timedelta(days=30), at(60) - timedelta(days=30))
    meter()
    drafts.refresh(tenant_id=estate.tenant.pk, policy=policy())
    assert [i.period for i in Invoice.objects.all()] == ["2026-10"]


def test_drafts_of_earlier_months_follow_a_price_that_comes_late() -> None:
    estate = Estate()
    estate.ended(at(0) - timedelta(days=30), at(60) - timedelta(days=30))
    meter()
    drafts.refresh(tenant_id=estate.tenant.pk, policy=policy())
    Mark.objects.update(at=timezone.now() + timedelta(days=1))  # that usage is old by now
    estate.price("10")
    drafts.refresh(tenant_id=estate.tenant.pk, policy=policy())
    assert [(i.period, i.total) for i in Invoice.objects.all()] == [("2026-10", Decimal(10))]


def test_a_draft_takes_as_many_queries_for_much_usage_as_for_little() -> None:
    estate = Estate()
    estate.price("10")

    def queries_for(runs: int) -> int:
        for n in range(runs):
            estate.ended(at(n), at(n + 200))
        meter()
        with CaptureQueriesContext(connection) as queries:
            drafts.draft(by=SYSTEM, tenant=estate.tenant, period=NOVEMBER, policy=policy())
        return len(queries)

    queries_for(1)  # makes the accounts and the draft
    assert queries_for(2) == queries_for(30) <= 60


@examples(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    runs=st.lists(
        st.tuples(st.integers(0, 20_000), st.integers(1, 20_000), st.integers(1, 9000)), min_size=1, max_size=6
    ),
    rates=st.lists(st.decimals(0, 10_000, places=6), min_size=1, max_size=3),
)
def test_ledger_lines_and_total_agree_to_the_last_digit(runs: list[tuple[int, int, int]], rates: list[Decimal]) -> None:
    with transaction.atomic():
        estate = Estate()
        for n, unit_price in enumerate(rates):
            estate.price(str(unit_price), valid_from=at(100 * n, seconds=n), valid_to=at(100 * n + 100, seconds=n + 1))
        for start, length, milli in runs:
            estate.ended(at(0, seconds=start), at(0, seconds=start + length), milli=milli)
        invoice = issue(estate)
        metered = sum(UsageRecord.objects.filter(tenant_id=estate.tenant.pk).values_list("milli_seconds", flat=True))
        usage = invoice.lines.filter(category="usage")
        assert metered == sum(length * milli for _, length, milli in runs)
        assert sum(usage.values_list("milli_seconds", flat=True)) == metered
        assert all(n.cost == (n.quantity * n.unit_price if n.unit_price is not None else 0) for n in usage)
        assert total_of(invoice.lines.values_list("cost", flat=True)) == invoice.total == invoice.payable
        transaction.set_rollback(True)


def test_the_bench_of_a_months_end_asks_for_all_that_was_used() -> None:
    figures = close.run({"tenants": 3, "events": 90, "skus": 2})
    assert (figures["invoices"], figures["events"]) == (3, 90)
    assert figures["charges"] >= 90
    assert Decimal(figures["total"]) > 0
    with pytest.raises(close.BenchError, match="one of each"):
        close.run({"tenants": 0, "events": 1, "skus": 1})
