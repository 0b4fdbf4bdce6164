"""Budgets, estimates and wallets as programs meet them."""

from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing.actions import budgets, spending, wallets
from billing.models import Budget
from billing.policy import policy
from federation.actions import workloads
from federation.models import Workload
from portal.audit import SYSTEM
from portal.permissions import Role
from tests import factories
from tests.api.conftest import client_of
from tests.billing.invoicing import issue
from tests.billing.rows import Estate, at

pytestmark = pytest.mark.django_db
V1 = "/api/v1"


@pytest.fixture
def estate() -> Estate:
    made = Estate()
    made.price("10")
    return made


def asked(estate: Estate, **more: Any) -> dict[str, Any]:
    return {
        "project": str(estate.project.pk), "pool": str(estate.pool.pk), "name": "train", "accelerators": 2,
        "max_seconds": 3600, "grace_seconds": 0, "model_names": [estate.model.name], **more,
    }  # fmt: skip


def send(client: Client, address: str, body: Any = None, *, method: str = "post", **headers: str) -> Any:
    answer = getattr(client, method)(f"{V1}{address}", body, content_type="application/json", headers=headers)
    return answer.status_code, answer.json()


def as_role(estate: Estate, role: Role) -> Client:
    is_staff = role.startswith("platform")
    project = estate.project if role.startswith("project") else None
    return client_of(factories.user(role, None if is_staff else estate.tenant, project))


def test_a_budget_is_set_changed_and_ended(estate: Estate) -> None:
    finance = as_role(estate, Role.PLATFORM_FINANCE)
    status, made = send(finance, "/budgets", {"tenant": str(estate.tenant.pk), "limit": "25.50"})
    assert (status, made["limit"], made["currency"], made["thresholds"]) == (201, "25.50", "CNY", [50, 80, 100])
    assert made["actions"] == ["change", "end"]
    assert Decimal(made["left"]) == Decimal("25.5")
    assert isinstance(made["spent"], str)
    address = f"/budgets/{made['id']}"
    assert send(finance, address, {"limit": "30"}, method="patch")[0] == 428
    status, changed = send(
        finance, address, {"limit": "30", "on_exhausted": "stop"}, method="patch", **{"If-Match": '"1"'}
    )
    assert (status, changed["limit"], changed["on_exhausted"], changed["version"]) == (200, "30.00", "stop", 2)
    assert send(finance, f"{address}/end")[0] == 202
    status, refused = send(finance, f"{address}/end")
    assert (status, refused["code"]) == (409, "illegal-transition")
    assert send(finance, "/budgets?is_open=true", method="get")[1]["results"] == []


def test_an_owner_sets_budgets_of_projects_and_only_these(estate: Estate) -> None:
    owner = as_role(estate, Role.TENANT_OWNER)
    whole = budgets.create(
        by=SYSTEM, tenant=estate.tenant, project=None, limit=Decimal(100), currency="CNY", policy=policy()
    )
    body = {"tenant": str(estate.tenant.pk), "limit": "10"}
    assert send(owner, "/budgets", body)[0] == 403
    status, made = send(owner, "/budgets", {**body, "project": str(estate.project.pk)})
    assert status == 201
    if_match = {"If-Match": '"1"'}
    assert send(owner, f"/budgets/{whole.pk}", {"limit": "999"}, method="patch", **if_match)[0] == 403
    assert send(owner, f"/budgets/{whole.pk}/end")[0] == 403
    assert send(owner, f"/budgets/{made['id']}", {"limit": "20"}, method="patch", **if_match)[0] == 200
    seen = {b["id"]: b["actions"] for b in send(owner, "/budgets", method="get")[1]["results"]}
    assert seen == {str(whole.pk): [], made["id"]: ["change", "end"]}
    other = factories.project()
    foreign = {"tenant": str(estate.tenant.pk), "project": str(other.pk), "limit": "1"}
    assert send(owner, "/budgets", foreign)[0] == 404
    status, refused = send(as_role(estate, Role.PLATFORM_FINANCE), "/budgets", foreign)
    assert (status, refused["errors"][0]["code"]) == (422, "other-tenant")


def test_work_beyond_a_budget_is_refused_in_words_and_nothing_is_left_of_it(estate: Estate) -> None:
    budgets.create(
        by=SYSTEM, tenant=estate.tenant, project=estate.project, limit=Decimal(30), currency="CNY", policy=policy()
    )
    member = as_role(estate, Role.PROJECT_MEMBER)
    status, told = send(member, "/estimates", asked(estate))
    assert status == 200
    assert (Decimal(told["per_hour"]), told["worst_case"], told["seconds"]) == (20, "20.00", 3600)
    assert [(b["project_name"], b["cost"], b["is_enough"]) for b in told["budgets"]] == [
        (estate.project.name, "20.00", True)
    ]
    assert send(member, "/workloads", asked(estate), **{"Idempotency-Key": "one"})[0] == 201
    assert send(member, "/workloads", asked(estate), **{"Idempotency-Key": "one"})[0] == 201
    told = send(member, "/estimates", asked(estate))[1]
    assert [(Decimal(b["left"]), b["is_enough"]) for b in told["budgets"]] == [(10, False)]
    status, refused = send(member, "/workloads", asked(estate), **{"Idempotency-Key": "two"})
    assert (status, refused["code"]) == (409, "over-budget")
    assert "10.00 of 30.00 CNY is left" in refused["detail"]
    assert Workload.objects.filter(project=estate.project).count() == 1


def test_a_budget_says_for_which_work_it_holds_something_the_most_first(estate: Estate) -> None:
    mine = budgets.create(
        by=SYSTEM, tenant=estate.tenant, project=None, limit=Decimal(1000), currency="CNY", policy=policy()
    )
    member, finance = as_role(estate, Role.PROJECT_MEMBER), as_role(estate, Role.TENANT_FINANCE)
    for name, cards in (("small", 1), ("large", 5), ("middle", 2)):
        assert send(member, "/workloads", asked(estate, name=name, accelerators=cards))[0] == 201
    address = f"/budgets/{mine.pk}/holds"
    assert send(member, address, method="get")[0] in (403, 404)
    told = send(finance, address, method="get")[1]["results"]
    assert [(h["name"], Decimal(h["held"])) for h in told] == [("large", 50), ("middle", 20), ("small", 10)]
    assert {(h["state"], h["project_name"]) for h in told} == {("queued", estate.project.name)}
    assert [Decimal(h["per_hour"]) for h in told] == [50, 20, 10]
    mine.refresh_from_db()
    assert sum(Decimal(h["held"]) for h in told) == mine.held
    page = send(finance, f"{address}?limit=2", method="get")[1]
    assert [h["name"] for h in page["results"]] == ["large", "middle"]
    rest = finance.get(page["next"]).json()
    assert ([h["name"] for h in rest["results"]], rest["next"]) == (["small"], None)
    large = Workload.objects.get(name="large", project=estate.project)
    workloads.cancel(by=SYSTEM, workload=large)
    spending.settle(tenant_id=estate.tenant.pk, policy=policy())
    assert [h["name"] for h in send(finance, address, method="get")[1]["results"]] == ["middle", "small"]


def test_an_estimate_makes_nothing_and_says_where_there_is_no_price() -> None:
    estate = Estate()
    member = as_role(estate, Role.PROJECT_MEMBER)
    status, told = send(member, "/estimates", asked(estate, max_seconds=None))
    assert (status, told["is_priced"], told["worst_case"], told["has_time_limit"]) == (200, False, "0.00", False)
    assert told["budgets"] == []
    assert not Workload.objects.exists()
    assert send(as_role(estate, Role.TENANT_VIEWER), "/estimates", asked(estate))[0] == 403


def test_a_wallet_is_filled_and_its_invoice_says_what_it_paid(estate: Estate) -> None:
    finance, owner = as_role(estate, Role.PLATFORM_FINANCE), as_role(estate, Role.TENANT_OWNER)
    body = {"tenant": str(estate.tenant.pk), "kind": "top-up", "amount": "4.00"}
    assert send(owner, "/credits", body)[0] == 403
    status, made = send(finance, "/credits", body, **{"Idempotency-Key": "one"})
    assert (status, made["left"], made["currency"]) == (201, "4.00", "CNY")
    assert send(finance, "/credits", body, **{"Idempotency-Key": "one"})[1]["id"] == made["id"]
    assert send(finance, "/credits", {**body, "kind": "returned"})[0] == 422
    assert send(finance, "/credits", {**body, "amount": "0"})[0] == 422
    assert send(finance, "/credits", {**body, "expires_at": "2020-01-01T00:00:00Z"})[0] == 422
    estate.ended(at(0), at(60))
    invoice = issue(estate)
    shown = send(owner, f"/invoices/{invoice.pk}", method="get")[1]
    assert (shown["payable"], shown["from_wallet"]) == ("10.00", "4.00")
    (wallet,) = send(owner, "/wallets", method="get")[1]["results"]
    assert (wallet["balance"], wallet["overdraft"]) == ("0.00", "0.00")
    change = ({"overdraft": "50"}, {"If-Match": '"1"'})
    assert send(owner, f"/wallets/{wallet['id']}", change[0], method="patch", **change[1])[0] == 403
    assert send(finance, f"/wallets/{wallet['id']}", change[0], method="patch", **change[1])[1]["overdraft"] == "50.00"
    assert send(owner, f"/credits?wallet={wallet['id']}", method="get")[1]["results"][0]["left"] == "0.00"


@pytest.mark.parametrize("noun", ["budgets", "wallets", "credits"])
def test_lists_take_as_many_queries_for_many_as_for_one(noun: str) -> None:
    def more() -> None:
        estate = Estate()
        budgets.create(
            by=SYSTEM, tenant=estate.tenant, project=None, limit=Decimal(30), currency="CNY", policy=policy()
        )
        wallets.add(by=SYSTEM, tenant=estate.tenant, currency="CNY", kind="grant", amount=Decimal(3))

    admin = client_of(factories.user())

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            assert admin.get(f"{V1}/{noun}").status_code == 200
        return len(seen)

    more()
    queries()
    one = queries()
    for _ in range(4):
        more()
    assert queries() == one


def test_letting_in_and_settling_take_as_many_queries_for_many_as_for_one(estate: Estate) -> None:
    from federation.actions import arrays

    budgets.create(by=SYSTEM, tenant=estate.tenant, project=None, limit=Decimal(10**6), currency="CNY", policy=policy())
    spec = {k: v for k, v in asked(estate).items() if k not in ("project", "pool")}

    def let_in(count: int) -> int:
        with CaptureQueriesContext(connection) as seen:
            arrays.submit_many(by=SYSTEM, project=estate.project, pool=estate.pool, count=count, **spec)
        return len(seen)

    def settle() -> int:
        with CaptureQueriesContext(connection) as seen:
            spending.settle(tenant_id=estate.tenant.pk, policy=policy())
        return len(seen)

    let_in(1)
    one, settled = let_in(1), settle()
    assert let_in(40) == one
    Workload.objects.update(attempt=2)  # each reserves anew
    settle()
    Workload.objects.update(attempt=3)
    assert settle() <= settled + 8
    assert Budget.objects.get().held > 0
