"""The conversation of finance with the API, and who may not have it."""

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from billing import metering
from billing.actions import drafts, invoices
from billing.models import PriceVersion, UsageRecord
from billing.policy import policy
from portal.audit import SYSTEM
from portal.models import Membership, Project, Tenant, User
from portal.permissions import Role, Scope, scope_of
from tests.billing.rows import NOVEMBER, TEN, Estate, at

pytestmark = pytest.mark.django_db
Sign = Callable[..., APIClient]


class JsonClient(APIClient):
    default_format = "json"

    def request(self, **kwargs: Any) -> Any:
        response = super().request(**kwargs)
        transaction.set_rollback(False)  # a refusal ends its request's transaction, not the test's around it
        return response


@pytest.fixture
def sign_in() -> Sign:
    def sign(role: Role, tenant: Tenant | None = None, project: Project | None = None) -> APIClient:
        user = User.objects.create(username=f"{role}-{User.objects.count()}")
        Membership.objects.create(user=user, role=role, tenant=tenant, project=project)
        client = JsonClient()
        client.force_authenticate(user)
        return client

    return sign


def test_from_price_to_paid_invoice(sign_in: Sign) -> None:
    estate = Estate()
    finance = sign_in(Role.PLATFORM_FINANCE)

    price = finance.post(
        "/api/v1/prices",
        {"flavor": estate.flavor.name, "unit_price": "12.5", "valid_from": "2026-11-01T00:00:00+08:00"},
    )
    assert price.status_code == 201, price.json()
    assert price.json()["unit_price"] == "12.500000"
    assert (price.json()["currency"], price.json()["tenant"], price.json()["unit"]) == ("CNY", None, "device")
    held = finance.get("/api/v1/prices", {"holds_at": "2026-11-10T00:00:00Z", "flavor": estate.flavor.name})
    assert [p["id"] for p in held.json()["results"]] == [price.json()["id"]]
    before = finance.get("/api/v1/prices", {"holds_at": "2026-10-10T00:00:00Z"})
    assert before.json()["results"] == []

    run = estate.ended(at(0), at(90, seconds=1), milli=500)
    metering.step()
    usage = finance.get("/api/v1/usage-records", {"workload": str(run.workload_id)}).json()["results"]
    assert [(u["seconds"], u["milli_seconds"], u["quantity"]) for u in usage] == [
        (1801, 900_500, "0.250138889"),
        (3600, 1_800_000, "0.500000000"),
    ]
    assert (usage[0]["project"], usage[0]["project_name"]) == (str(estate.project.pk), "Vision")

    asked = {"tenant": str(estate.tenant.pk), "period": "2026-11"}
    draft = finance.post("/api/v1/invoices/draft", asked, headers={"Idempotency-Key": "november"})
    assert draft.status_code == 201, draft.json()
    again = finance.post("/api/v1/invoices/draft", asked, headers={"Idempotency-Key": "november"})
    assert (again.json()["id"], again.headers["Idempotency-Replayed"]) == (draft.json()["id"], "true")
    body = draft.json()
    assert (body["state"], body["currency"], body["period"]) == ("draft", "CNY", "2026-11")
    assert (body["total"], body["payable"]) == ("9.376736112500000", "9.38")
    assert (body["has_unrated"], body["actions"]) == (False, ["issue"])
    assert body["totals"]["by_project"] == [
        {"project": str(estate.project.pk), "project_name": "Vision", "cost": "9.376736112500000"}
    ]
    assert body["totals"]["by_flavor"] == [
        {
            "flavor": estate.flavor.name,
            "unit": "device",
            "milli_seconds": 2_700_500,
            "quantity": "0.750138889",
            "cost": "9.376736112500000",
        }
    ]

    address = f"/api/v1/invoices/{body['id']}"
    issued = finance.post(f"{address}/issue")
    assert issued.status_code == 202, issued.json()
    body = issued.json()
    assert (body["state"], body["number"], body["total"]) == ("issued", "INV-2026-11-0001", "9.380000000000000")
    assert body["totals"]["adjustment"] == "0.003263887500000"
    assert body["actions"] == ["cancel", "pay"]
    listed = finance.get("/api/v1/invoices", {"tenant": asked["tenant"], "period": "2026-11", "state": "issued"})
    assert [i["id"] for i in listed.json()["results"]] == [body["id"]]
    lines = finance.get(f"{address}/lines").json()["results"]
    assert [(n["position"], n["category"], n["cost"]) for n in lines] == [
        (1, "usage", "9.376736112500000"),
        (2, "adjustment", "0.003263887500000"),
    ]
    sheet = finance.get(f"{address}/export.csv", headers={"Accept": "text/csv"})
    assert sheet.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert 'filename="INV-2026-11-0001.csv"' in sheet.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(sheet.getvalue().decode(), newline="")))
    assert sum(Decimal(row["cost"]) for row in rows) == Decimal(body["total"])
    sheet = finance.get("/api/v1/usage-records/export.csv", {"period": "2026-11", "project": estate.project.pk})
    rows = list(csv.DictReader(io.StringIO(sheet.getvalue().decode(), newline="")))
    assert sum(int(row["milli_seconds"]) for row in rows) == lines[0]["milli_seconds"]

    twice = finance.post(f"{address}/issue")
    assert (twice.status_code, twice.json()["code"]) == (409, "illegal-transition")
    cancelled = finance.post(f"{address}/cancel", {"message": "Wrong project"})
    assert (cancelled.status_code, cancelled.json()["state"]) == (202, "void")
    note = finance.get(f"/api/v1/invoices/{cancelled.json()['credit_note']}").json()
    assert (note["refers_to"], note["total"], note["actions"]) == (body["id"], "-9.380000000000000", [])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"unit_price": "1.0000001"}, 422, "invalid"),
        ({"unit_price": "-1"}, 422, "invalid"),
        ({"unit_price": "NaN"}, 422, "invalid"),
        ({"flavor": "unknown"}, 422, "invalid"),
        ({"tenant": "01920000-0000-7000-8000-000000000000"}, 404, "not-found"),
        ({"currency": "USD"}, 422, "invalid"),
        ({"valid_from": "2026-11-01T00:00:00.5Z"}, 422, "invalid"),
        ({"valid_from": "2026-11-01T00:00:00Z", "valid_to": "2026-10-01T00:00:00Z"}, 422, "invalid"),
        ({"valid_from": "2026-12-01T00:00:00Z", "valid_to": "yesterday"}, 422, "invalid"),
    ],
)
def test_a_wrong_price_is_refused_in_plain_words(sign_in: Sign, body: Any, status: int, code: str) -> None:
    estate = Estate()
    answer = sign_in(Role.PLATFORM_FINANCE).post(
        "/api/v1/prices", {"flavor": estate.flavor.name, "unit_price": "1", **body}
    )
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.json()
    assert not PriceVersion.objects.exists()


@pytest.mark.parametrize("period", ["2026-13", "November", "", None, "2026-1"])
def test_a_draft_of_no_month_is_refused(sign_in: Sign, period: Any) -> None:
    estate, finance = Estate(), sign_in(Role.PLATFORM_FINANCE)
    answer = finance.post("/api/v1/invoices/draft", {"tenant": str(estate.tenant.pk), "period": period}, "json")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/period")
    assert finance.get("/api/v1/usage-records", {"period": "2026-13"}).status_code == 422
    assert finance.get("/api/v1/invoices", {"period": "2026-13"}).status_code == 422


def test_a_tenant_sees_its_own_money_and_changes_nothing(sign_in: Sign) -> None:
    estate, other = Estate(), Estate()
    for each in (estate, other):
        each.price("10", tenant=each.tenant)
        each.ended(at(0), at(60))
    metering.step()
    mine, theirs = (drafts.draft(by=SYSTEM, tenant=e.tenant, period=NOVEMBER, policy=policy()) for e in (estate, other))
    for role in (Role.TENANT_OWNER, Role.TENANT_FINANCE):
        client = sign_in(role, estate.tenant)
        assert [i["id"] for i in client.get("/api/v1/invoices").json()["results"]] == [str(mine.pk)]
        assert {u["tenant"] for u in client.get("/api/v1/usage-records").json()["results"]} == {str(estate.tenant.pk)}
        assert {p["tenant"] for p in client.get("/api/v1/prices").json()["results"]} == {str(estate.tenant.pk)}
        for path in ("", "/lines", "/export.csv"):
            assert client.get(f"/api/v1/invoices/{theirs.pk}{path}").status_code == 404
        for verb in ("issue", "cancel"):
            assert client.post(f"/api/v1/invoices/{theirs.pk}/{verb}").status_code in (403, 404)
            assert client.post(f"/api/v1/invoices/{mine.pk}/{verb}").status_code == 403
        sheet = client.get("/api/v1/usage-records/export.csv").getvalue().decode()
        assert estate.flavor.name in sheet
        assert other.flavor.name not in sheet
        body = {"flavor": estate.flavor.name, "unit_price": "0"}
        assert client.post("/api/v1/prices", body).status_code == 403
        for tenant in (estate, other):
            asked = {"tenant": str(tenant.tenant.pk), "period": "2026-11"}
            assert client.post("/api/v1/invoices/draft", asked).status_code in (403, 404)


def test_people_without_money_rights_see_none(sign_in: Sign) -> None:
    estate = Estate()
    estate.ended(at(0), at(60))
    metering.step()
    member = sign_in(Role.PROJECT_MEMBER, estate.tenant, estate.project)
    assert member.get("/api/v1/invoices").status_code == 403
    assert member.get("/api/v1/usage-records/export.csv").status_code == 403
    assert APIClient().get("/api/v1/invoices").status_code == 401


@pytest.mark.parametrize("path", ["prices", "usage-records", "invoices"])
def test_lists_take_as_many_queries_for_many_rows_as_for_few(sign_in: Sign, path: str) -> None:
    finance = sign_in(Role.PLATFORM_FINANCE)

    def grow() -> None:
        estate = Estate()
        estate.price("10")
        estate.price("8", tenant=estate.tenant)
        estate.ended(at(0), at(60))
        metering.step()
        invoice = drafts.draft(by=SYSTEM, tenant=estate.tenant, period=NOVEMBER, policy=policy())
        invoices.cancel(by=SYSTEM, invoice=invoices.issue(by=SYSTEM, invoice=invoice, policy=policy()))

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert finance.get(f"/api/v1/{path}").status_code == 200
        return len(queries)

    grow()
    count()  # reads the caller's roles
    few = count()
    grow()
    grow()
    assert count() == few <= 4


def test_spend_of_today_at_the_prices_of_now(sign_in: Sign) -> None:
    estate, other = Estate(), Estate()
    midnight = TEN - timedelta(hours=10)  # of Shanghai
    for each in (estate, other):
        each.price("10")
        each.ended(midnight - timedelta(hours=3), midnight + timedelta(hours=2))
    estate.price("4", tenant=estate.tenant)
    Estate().ended(at(0), at(60))  # without a price it costs nothing
    while metering.step():
        pass
    now = at(120)

    def spent(scope: Scope) -> dict[str, Decimal]:
        found: dict[str, Decimal] = UsageRecord.objects.spend_today(scope, now=now)
        return found

    none: frozenset[Any] = frozenset()
    assert spent(Scope(True, none, none)) == {"CNY": Decimal(28)}
    assert spent(Scope(False, frozenset({estate.tenant.pk}), none)) == {"CNY": Decimal(8)}
    assert spent(Scope(False, none, none)) == {"CNY": Decimal(0)}
    user = User.objects.create(username="owner")
    Membership.objects.create(user=user, role=Role.TENANT_OWNER, tenant=other.tenant)
    assert spent(scope_of(user, "usage.view")) == {"CNY": Decimal(20)}
    with CaptureQueriesContext(connection) as queries:
        spent(Scope(True, none, none))
    assert len(queries) == 2
