"""Closed months through the API and by the command; and they can be read when the estate is gone."""

import re
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing.actions import closing, ledger, months, profiles
from billing.models import Invoice, Month
from billing.policy import policy
from federation.models import Allocation
from portal.audit import SYSTEM
from portal.models import Department, Project
from portal.permissions import Role
from tests.billing.invoicing import issue, meter
from tests.billing.rows import NOVEMBER, Estate, at, october
from tests.billing.test_api import Sign, sign_in
from tests.billing.test_closing import NOW, close, used
from tests.paper import Read

__all__ = ["sign_in"]
pytestmark = pytest.mark.django_db
_ESTATE = (
    "federation_share", "federation_allocation", "federation_workload", "federation_accelerator", "federation_node",
    "federation_cluster", "federation_site", "federation_acceleratormodel", "federation_pool", "portal_resourceflavor",
)  # fmt: skip


def test_a_closed_month_is_read_back_after_all_of_the_estate_is_gone(sign_in: Sign) -> None:
    estate = used("One", 61)
    estate.ended(at(0), at(7), project=estate.project_named("Speech"))
    done = close("2026-11")
    invoice = Invoice.objects.get()
    finance = sign_in(Role.PLATFORM_FINANCE)
    root = f"/api/v1/invoices/{invoice.pk}"
    addresses = [
        root, f"{root}/lines", f"{root}/invoice.pdf?language=zh", f"{root}/fapiao.json", f"{root}/export.csv",
        f"/api/v1/charges?invoice={invoice.pk}", f"/api/v1/usage-records?tenant={estate.tenant.pk}",
        f"/api/v1/months/{done.label}", f"/api/v1/months/{done.pk}/archive.json",
        "/api/v1/settlements?period=2026-11", "/api/v1/settlements/positions?period=2026-11",
        "/api/v1/settlements/export.csv", "/api/v1/settlements/export.xlsx",
    ]  # fmt: skip

    def read() -> dict[str, bytes]:
        answers = {address: finance.get(address) for address in addresses}
        assert {answer.status_code for answer in answers.values()} == {200}
        return {address: answer.getvalue() for address, answer in answers.items()}

    before = read()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")  # as an owner of the tables could
            for table in _ESTATE:
                cursor.execute(f"DELETE FROM {table}")  # noqa: S608  # names of ours
                assert cursor.rowcount > 0 or table == "federation_share"
            cursor.execute("SET LOCAL session_replication_role = DEFAULT")
        assert not Allocation.objects.exists()
        after = read()
        transaction.set_rollback(True)
    assert [address for address in addresses if after[address] != before[address]] == []
    assert sha256(after[f"/api/v1/months/{done.pk}/archive.json"]).hexdigest() == done.archive_sha256
    assert list(ledger.verify()) == []


def test_finance_closes_a_month_and_others_do_not(sign_in: Sign, monkeypatch: pytest.MonkeyPatch) -> None:
    estate = Estate()
    estate.ended(at(0) - timedelta(days=30), at(60) - timedelta(days=30))
    meter()
    monkeypatch.setattr(timezone, "now", lambda: NOVEMBER.end)
    closing._charge(estate.tenant.pk, Month(period_end=october().end), policy())
    months.ensure(policy=policy())
    finance = sign_in(Role.PLATFORM_FINANCE)
    shown = finance.get("/api/v1/months/2026-10").json()
    assert (shown["state"], shown["unrated"], shown["in_the_way"], shown["actions"]) == (
        "open", 1, ["unrated-usage"], ["close"],
    )  # fmt: skip
    with monkeypatch.context() as earlier:
        earlier.setattr(timezone, "now", lambda: october().end - timedelta(seconds=1))
        early = finance.get("/api/v1/months/2026-10").json()
        assert (early["in_the_way"], early["actions"]) == (["month-not-over", "unrated-usage"], [])
    assert finance.get("/api/v1/months/2020-01").status_code == 404
    assert finance.get("/api/v1/months/2026-10/archive.json").status_code == 409
    refused = finance.post("/api/v1/months/2026-10/close", {})
    assert (refused.status_code, refused.json()["code"]) == (409, "month-not-ready")
    asked = finance.post("/api/v1/months/2026-10/close", {"accept": ["unrated-usage"]})
    assert (asked.status_code, asked.json()["state"], asked.json()["actions"]) == (202, "charging", [])
    assert finance.post("/api/v1/months/2026-10/close", {}).json()["state"] == "charging"
    while closing.step(month_id=asked.json()["id"], policy=policy()):
        pass
    shown = finance.get("/api/v1/months/2026-10").json()
    assert (shown["state"], shown["accepted"], shown["asked_by"]) == ("closed", ["unrated-usage"], "platform-finance-0")
    theirs = sign_in(Role.TENANT_FINANCE, estate.tenant)
    assert theirs.get("/api/v1/months").status_code == 403 or theirs.get("/api/v1/months").json()["results"] == []
    assert theirs.post("/api/v1/months/2026-10/close", {}).status_code in {403, 404}


def test_settlements_are_shown_line_by_line_and_net(sign_in: Sign) -> None:
    first, second = used("First", 60), used("Second", 90)
    close("2026-11")
    finance = sign_in(Role.PLATFORM_FINANCE)
    lines = finance.get("/api/v1/settlements", {"period": "2026-11"}).json()["results"]
    assert sorted((n["debtor"], n["creditor"], n["amount"]) for n in lines) == sorted(
        [("", first.site.slug, "10.000000000000000"), ("", second.site.slug, "15.000000000000000")]
    )
    left = finance.get("/api/v1/settlements/positions", {"period": "2026-11"}).json()
    assert {p["party"]: Decimal(p["net"]) for p in left} == {"": -25, first.site.slug: 10, second.site.slug: 15}
    own = finance.get("/api/v1/settlements", {"site": second.site.slug}).json()["results"]
    assert [n["creditor"] for n in own] == [second.site.slug]
    assert finance.get("/api/v1/settlements", {"period": "November"}).status_code == 422
    theirs = sign_in(Role.TENANT_FINANCE, second.tenant)
    assert [n["creditor"] for n in theirs.get("/api/v1/settlements").json()["results"]] == [second.site.slug]


def test_a_settlement_is_on_paper_with_its_parties_and_their_sums(sign_in: Sign) -> None:
    first, second = used("First", 60), used("Second", 90)
    finance = sign_in(Role.PLATFORM_FINANCE)
    address = "/api/v1/settlements/sheet.pdf"
    assert finance.get(address).status_code == finance.get(address, {"period": "2026-11"}).status_code == 409
    profiles.create(by=SYSTEM, tenant=first.tenant, legal_name="First", home_site=first.site.slug)
    close("2026-11")
    english, chinese = (Read(finance.get(address, {"language": language}).getvalue()) for language in ("en", "zh"))
    assert english.is_embedded and chinese.is_embedded
    for word in ("Settlement between sites", second.site.slug, "the hub", "-15.00", "Prepared by"):
        assert word in english.text, word
    assert first.site.slug not in english.text, "what its own tenant used there is owed by nobody"
    for word in ("站点间结算单", "枢纽", "应收方", "审核人"):
        assert word in chinese.text, word
    sums = re.search(r"Sum CNY ([\d.]+) ([\d.]+) ([\d.]+)", english.text)
    assert sums is not None, english.text
    assert sums.groups() == ("15.00", "15.00", "0.00")
    assert finance.get(address).getvalue() == finance.get(address).getvalue()
    assert finance.get(address, {"language": "fr"}).status_code == 422
    nothing = Read(finance.get(address, {"side": "department"}).getvalue())
    assert "Nobody owes anybody anything." in nothing.text
    theirs = sign_in(Role.TENANT_FINANCE, first.tenant)
    assert "Nobody owes" in Read(theirs.get(address).getvalue()).text


def test_departments_have_a_page_for_each_tenant(sign_in: Sign, monkeypatch: pytest.MonkeyPatch) -> None:
    estates = [used("First", 60), used("Second", 90)]
    for estate in estates:
        research = Department.objects.create(tenant=estate.tenant, slug="research", name="Research")
        Project.objects.filter(pk=estate.project.pk).update(department=research)
        profiles.create(by=SYSTEM, tenant=estate.tenant, legal_name="Home", home_site=estate.site.slug)
    close("2026-11")
    finance, address = sign_in(Role.PLATFORM_FINANCE), "/api/v1/settlements/sheet.pdf"
    paper = Read(finance.get(address).getvalue())
    assert (paper.pages, paper.text.count("Settlement between departments")) == (2, 2)
    assert re.findall(r"research the centre 2026-11 CNY ([\d.]+)", paper.text) == ["10.00", "15.00"]
    assert re.findall(r"Sum CNY [\d.]+ [\d.]+ ([\d.-]+)", paper.text) == ["0.00", "0.00"]
    own = Read(sign_in(Role.TENANT_FINANCE, estates[1].tenant).get(address).getvalue())
    assert own.pages == 1 and "Second" in own.text and "First" not in own.text
    monkeypatch.setattr("billing.api.settlements._MOST_ON_PAPER", 1)
    refused = finance.get(address)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "too-many")
    assert finance.get(address, {"tenant": str(estates[0].tenant.pk)}).status_code == 200


def test_the_command_closes_and_proves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used("One")
    meter()
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    out = tmp_path / "archive.json"
    said = [StringIO(), StringIO()]
    for stderr in said:
        call_command("close_month", "2026-11", archive=str(out), stderr=stderr)
    assert said[0].getvalue() == said[1].getvalue()
    assert sha256(out.read_bytes()).hexdigest() in said[0].getvalue()


def test_months_take_as_many_queries_for_many_as_for_few(sign_in: Sign) -> None:
    estate = used("One")
    finance = sign_in(Role.PLATFORM_FINANCE)

    def queries() -> int:
        months.ensure(policy=policy(), now=NOW)
        with CaptureQueriesContext(connection) as captured:
            assert finance.get("/api/v1/months").status_code == 200
        return len(captured)

    meter()
    queries()  # reads who asks
    few = queries()
    estate.ended(at(0) - timedelta(days=300), at(60) - timedelta(days=300))
    meter()
    assert Month.objects.count() < 4
    assert queries() == few
    assert Month.objects.count() > 9


def test_an_issued_draft_is_not_issued_again(sign_in: Sign) -> None:
    estate = used("One")
    first = issue(estate)
    close("2026-11")
    assert list(Invoice.objects.values_list("number", flat=True)) == [first.number]
