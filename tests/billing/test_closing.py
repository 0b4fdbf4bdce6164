"""Closing a month: all is charged, issued, settled and archived, once."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from billing.actions import closing, invoices, ledger, months, profiles
from billing.exports import archive
from billing.models import AccountKind, Charge, Invoice, LedgerEntry, LedgerTransaction, Month, SettlementLine, UsageGap
from billing.periods import month
from billing.policy import policy
from billing.rating import total_of
from federation.models import Allocation
from portal.audit import SYSTEM
from portal.models import Department, Project
from tests.billing.invoicing import draft, meter
from tests.billing.rows import Estate, at

pytestmark = pytest.mark.django_db
NOW = datetime(2027, 1, 2, tzinfo=UTC)


def ask(label: str, *accept: str) -> Month:
    meter()
    period = month(label, policy().zone)
    return months.close(by=SYSTEM, period=period, policy=policy(), accept=accept, now=NOW)


def close(label: str, *accept: str) -> Month:
    asked = ask(label, *accept)
    while closing.step(month_id=asked.pk, policy=policy(), now=NOW):
        pass
    return Month.objects.get(label=label)


def content(of: Month) -> bytes:
    return b"".join(archive.pieces(of))


def used(name: str, minutes: int = 60) -> Estate:
    estate = Estate(name)
    estate.price("10")
    estate.ended(at(0), at(minutes))
    return estate


def test_a_month_is_charged_issued_settled_and_archived() -> None:
    estates = [used(f"Tenant {n}", 60 + n) for n in range(3)]
    done = close("2026-11")
    assert (done.state, done.reason) == ("closed", "Closed")
    issued = Invoice.objects.order_by("number")
    assert [(i.number, i.state, i.tenant) for i in issued] == [
        (f"INV-2026-11-000{n + 1}", "issued", estate.tenant.name)
        for n, estate in enumerate(sorted(estates, key=lambda e: e.tenant.pk))
    ]
    text = content(done)
    assert (sha256(text).hexdigest(), len(text)) == (done.archive_sha256, done.archive_bytes)
    said = json.loads(text)
    assert said["head"]["month"] == "2026-11"
    assert [Decimal(i["total"]) for i in said["invoices"]] == [i.total for i in issued]
    for invoice, kept in zip(issued, said["invoices"], strict=True):
        assert total_of(Decimal(line["cost"]) for line in kept["lines"]) == invoice.total
        assert kept["charges"]["count"] == invoice.charged.count()
        assert Decimal(kept["charges"]["billed_cost"]) == invoice.total
    assert len(said["prices"]) == 3
    assert list(ledger.verify()) == []


def test_closing_again_changes_nothing_to_the_byte() -> None:
    used("One")
    done = close("2026-11")
    before, seq = content(done), LedgerTransaction.objects.count()
    again = close("2026-11")
    assert (again.version, again.archive_sha256, content(again)) == (done.version, done.archive_sha256, before)
    assert LedgerTransaction.objects.count() == seq
    assert Invoice.objects.count() == 1


@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_what_is_cut_off_goes_on(monkeypatch: pytest.MonkeyPatch, fails_at: int) -> None:
    monkeypatch.setattr(closing, "AT_ONCE", 1)
    for n in range(3):
        used(f"Tenant {n}")
    asked = ask("2026-11")
    calls = 0
    fix = invoices.fix

    def cut_off(*args: Any) -> None:
        nonlocal calls
        calls += 1
        fix(*args)
        if calls == fails_at:
            raise ZeroDivisionError

    monkeypatch.setattr(invoices, "fix", cut_off)
    with pytest.raises(ZeroDivisionError):
        while True:
            with transaction.atomic():
                closing.step(month_id=asked.pk, policy=policy(), now=NOW)
    assert Invoice.objects.filter(state="issued").count() == fails_at - 1
    assert closing.under_way() == [asked.pk]
    done = close("2026-11")
    assert done.state == "closed"
    assert sorted(Invoice.objects.values_list("number", "state")) == [
        (f"INV-2026-11-000{n}", "issued") for n in (1, 2, 3)
    ]
    assert Invoice.objects.values("tenant_id").distinct().count() == 3


def test_the_archive_says_nothing_that_may_still_change() -> None:
    estate = used("One")
    done = close("2026-11")
    before = content(done)
    invoice = Invoice.objects.get()
    invoices.cancel(by=SYSTEM, invoice=invoice)
    estate.price("20", valid_from=NOW)  # ends the one that held
    profiles.create(by=SYSTEM, tenant=estate.tenant, legal_name="Later")
    assert content(Month.objects.get(pk=done.pk)) == before


# -- what is in the way ----------------------------------------------------------------------------------------


def codes(label: str) -> list[str]:
    months.ensure(policy=policy(), now=NOW)
    return months.in_the_way(months.counted(Month.objects.filter(label=label)).get(), NOW)


def test_usage_without_a_price_is_in_the_way_until_it_is_accepted() -> None:
    estate = Estate()
    estate.ended(at(0), at(60))
    meter()
    done = close("2026-11")  # nothing was charged yet, so nothing was seen
    assert (done.state, done.reason, done.message) == ("open", "MonthNotReady", "unrated-usage")
    assert codes("2026-11") == ["unrated-usage"]
    with pytest.raises(months.InTheWay, match="no price") as refused:
        ask("2026-11")
    assert [error["code"] for error in refused.value.errors] == ["unrated-usage"]
    done = close("2026-11", "unrated-usage")
    assert (done.state, done.accepted) == ("closed", ["unrated-usage"])


def test_a_price_that_comes_in_time_is_used() -> None:
    estate = Estate()
    estate.ended(at(0), at(60))
    assert close("2026-11").state == "open"
    estate.price("10")
    assert close("2026-11").state == "closed"
    assert Invoice.objects.get().total == 10


def test_silent_sites_are_in_the_way() -> None:
    estate = used("One")
    gap = UsageGap.objects.create(
        allocation_id=estate.tenant.pk, workload_id=estate.tenant.pk, tenant_id=estate.tenant.pk,
        project_id=estate.project.pk, site="s", cluster="c", node="n", flavor="f", held_milli=1000, start_at=at(10),
    )  # fmt: skip
    meter()
    assert codes("2026-11") == ["open-gaps"]
    with pytest.raises(months.InTheWay, match="silent"):
        ask("2026-11")
    UsageGap.objects.filter(pk=gap.pk).update(end_at=at(20))
    assert close("2026-11").state == "closed"


def test_months_are_closed_in_order_and_when_they_are_over() -> None:
    estate = used("One")
    estate.ended(at(0) - timedelta(days=30), at(60) - timedelta(days=30))
    meter()
    assert codes("2026-11") == ["earlier-month-open"]
    assert codes("2027-01") == ["month-not-over", "earlier-month-open"]
    with pytest.raises(months.InTheWay, match="earlier month"):
        ask("2026-11")
    with pytest.raises(months.InTheWay, match="not over"):
        ask("2027-01", *months.ACCEPTABLE)
    assert close("2026-10").state == close("2026-11").state == "closed"
    assert codes("2026-10") == []


def test_a_month_before_all_usage_is_not_there() -> None:
    used("One")
    meter()
    with pytest.raises(months.Conflict, match="Nothing was used"):
        ask("2026-10")


# -- what comes late -------------------------------------------------------------------------------------------


def test_late_usage_is_a_correction_in_the_next_closing_and_leaves_the_archive_alone() -> None:
    estate = used("One")
    other = Estate("Late")  # without an invoice of the month
    other.price("10")
    run = other.running(at(0), at(0, seconds=1))
    Allocation.objects.filter(pk=run.pk).update(ended_at=at(0, seconds=1))
    done = close("2026-11")
    before = content(done)
    third = Estate("Later still")
    third.price("10")
    third.ended(at(0), at(30))
    late = draft(third)
    assert (late.period, late.total) == ("2026-11", 5)
    closing._charge(third.tenant.pk, done, policy())
    assert set(Charge.objects.filter(tenant_id=third.tenant.pk).values_list("is_correction", flat=True)) == {True}
    estate.ended(at(0) + timedelta(days=30), at(60) + timedelta(days=30))
    december = close("2026-12")
    assert content(done) == before
    late.refresh_from_db()
    assert (late.state, late.number) == ("issued", "INV-2026-11-0003")
    said = json.loads(content(december))
    assert [i["number"] for i in said["invoices"]] == ["INV-2026-11-0003", "INV-2026-12-0001"]
    owed = SettlementLine.objects.filter(month=december, side="site").order_by("period")
    assert [(n.period, n.creditor, n.amount) for n in owed] == [
        ("2026-11", third.site.slug, 5), ("2026-12", estate.site.slug, 10),
    ]  # fmt: skip


def test_every_charge_is_settled_once_however_it_came() -> None:
    estate = used("One")
    run = estate.running(at(60), at(120))
    close("2026-11")
    Allocation.objects.filter(pk=run.pk).update(ended_at=at(90))  # the site takes half an hour back
    meter()
    close("2026-12")
    settled = SettlementLine.objects.filter(side="site").values_list("month__label", "period", "amount")
    assert sorted(settled) == [("2026-11", "2026-11", 20), ("2026-12", "2026-11", -5)]
    revenue = ledger.balance(AccountKind.REVENUE, "CNY", site=estate.site.slug)
    assert ledger.balance(AccountKind.SETTLEMENT, "CNY", site=estate.site.slug) == -revenue == 15


# -- settlement ------------------------------------------------------------------------------------------------


def test_members_and_departments_settle_to_zero() -> None:
    first, second = used("First", 60), used("Second", 90)
    research = Department.objects.create(tenant=first.tenant, slug="research", name="Research")
    Project.objects.filter(pk=first.project.pk).update(department=research)
    first.ended(at(0), at(30), project=first.project_named("Own"))
    profiles.create(by=SYSTEM, tenant=first.tenant, legal_name="First", home_site=first.site.slug)
    profiles.create(by=SYSTEM, tenant=second.tenant, legal_name="Second", home_site=first.site.slug)
    done = close("2026-11")
    lines = SettlementLine.objects.filter(month=done).order_by("side", "tenant")
    assert [(n.side, n.tenant, n.debtor, n.creditor, n.amount) for n in lines] == [
        ("department", "First", "research", "", 10),
        ("site", "Second", first.site.slug, second.site.slug, 15),  # what First used was its own
    ]
    assert done.posted_in is not None
    entries = LedgerEntry.objects.filter(transaction=done.posted_in).values_list("account__site", "amount")
    assert sorted(entries) == sorted([(first.site.slug, -15), (second.site.slug, 15)])


def test_the_database_keeps_what_is_closed() -> None:
    used("One")
    done = close("2026-11")
    touches: list[Callable[[], Any]] = [
        lambda: Month.objects.filter(pk=done.pk).update(archive_sha256="0" * 64),
        lambda: Month.objects.filter(pk=done.pk).update(state="open"),
        lambda: Month.objects.filter(pk=done.pk).delete(),
        lambda: SettlementLine.objects.update(amount=1),
        lambda: SettlementLine.objects.all().delete(),
        lambda: SettlementLine.objects.create(
            month=done, side="site", tenant_id=done.pk, debtor="a", creditor="b", period="2026-11", currency="CNY",
            amount=1,
        ),
    ]  # fmt: skip
    for touch in touches:
        with pytest.raises(DatabaseError), transaction.atomic():
            touch()
