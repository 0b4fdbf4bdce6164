"""Costs by any dimension: to the last digit what the charges come to, and nobody else's."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.db.models import Sum
from django.test.utils import CaptureQueriesContext

from billing.models import Charge
from billing.showback.costs import Dimension, Measure, Step
from federation.models import Workload
from portal.actions import tenants
from portal.audit import SYSTEM
from portal.models import Project
from portal.permissions import Role
from tests.billing.invoicing import draft, issue
from tests.billing.rows import NOVEMBER, Estate, at
from tests.billing.test_api_ledger import client_of
from tests.factories import user

pytestmark = pytest.mark.django_db
MONTH = {"start": NOVEMBER.start.isoformat(), "end": NOVEMBER.end.isoformat()}


class Books:
    """Two tenants in two projects each, on a day and the day after; of one the invoice was issued, with its tax."""

    def __init__(self) -> None:
        self.estates = [Estate("Alpha"), Estate("Beta")]
        for n, estate in enumerate(self.estates):
            estate.price(f"{n + 1}.234567")
            other = estate.project_named("Other")
            for hours, milli, project in ((0, 1000, estate.project), (24, 333, other), (25, 250, estate.project)):
                estate.ended(at(7, hours=hours), at(50, hours=hours, seconds=n + 1), milli=milli, project=project)
        issue(self.estates[0])
        draft(self.estates[1])
        self.finance = client_of(user(Role.PLATFORM_FINANCE))

    def ask(self, client: Any = None, **query: Any) -> dict[str, Any]:
        answer = (client or self.finance).get("/api/v1/costs", {**MONTH, **query})
        assert answer.status_code == 200, answer.json()
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
def books() -> Books:
    return Books()


def posted(measure: Measure = Measure.BILLED, **which: Any) -> Decimal:
    amount: Decimal = Charge.objects.filter(**which).aggregate(sum=Sum(measure.column))["sum"]
    return amount


def of(found: dict[str, Any]) -> Decimal:
    return sum((Decimal(p["cost"]) for s in found["series"] for p in s["points"]), Decimal(0))


@pytest.mark.parametrize("by", Dimension)
def test_whatever_it_is_told_apart_by_the_sum_is_that_of_the_charges(by: Dimension, books: Books) -> None:
    found = books.ask(by=by, top=1)
    assert found["totals"] == [{"currency": "CNY", "cost": str(posted())}]
    assert of(found) == posted() > 0
    assert [len(s["keys"]) for s in found["series"]] in ([1], [1, 0]), "the greatest, and all the others together"


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("measure", Measure)
def test_over_any_steps_and_by_any_measure_it_is_the_same_sum(step: Step, measure: Measure, books: Books) -> None:
    found = books.ask(by="site,project", step=step, measure=measure)
    assert of(found) == posted(measure) > 0
    for one in found["series"]:
        assert sum(Decimal(p["cost"]) for p in one["points"]) == Decimal(one["total"])


def test_a_day_is_one_of_the_billing_time_zone(books: Books) -> None:
    beta = books.estates[1]
    found = books.ask(by="project", step="day", tenant=beta.tenant.pk)
    days = {s["keys"][0]["name"]: [p["start"] for p in s["points"]] for s in found["series"]}
    assert days == {
        "Vision": ["2026-11-09T16:00:00Z", "2026-11-10T16:00:00Z"], "Other": ["2026-11-10T16:00:00Z"],
    }  # fmt: skip
    hours = books.ask(by="project", step="hour", tenant=beta.tenant.pk, project=beta.project.pk)
    assert [p["start"] for p in hours["series"][0]["points"]] == ["2026-11-10T02:00:00Z", "2026-11-11T03:00:00Z"]


def test_the_greatest_come_first_and_all_others_are_one_series_with_one_point_a_step(books: Books) -> None:
    every = sorted((Decimal(s["total"]) for s in books.ask(by="project", top=50)["series"]), reverse=True)
    assert len(every) >= 4
    found = books.ask(by="project", top=2)["series"]
    assert [Decimal(s["total"]) for s in found] == [*every[:2], sum(every[2:])]
    assert [(len(s["keys"]), len(s["points"])) for s in found] == [(1, 1), (1, 1), (0, 1)]


def test_a_month_is_named_as_well_as_told_by_its_edges(books: Books) -> None:
    named = books.finance.get("/api/v1/costs", {"period": "2026-11", "step": "day"}).json()
    assert named == books.ask(step="day")
    assert books.finance.get("/api/v1/costs", {"period": "2026-10"}).json()["series"] == []
    assert books.finance.get("/api/v1/costs", {"period": "2026-13"}).status_code == 422


def test_a_department_is_that_of_the_project_and_what_has_none_says_so(books: Books) -> None:
    alpha = books.estates[0]
    research = tenants.add_department(by=SYSTEM, tenant=alpha.tenant, slug="research", name="Research")
    Project.objects.filter(pk=alpha.project.pk).update(department=research)
    found = {s["keys"][0]["name"]: s for s in books.ask(by="department")["series"]}
    assert Decimal(found["Research"]["total"]) == posted(project_id=alpha.project.pk)
    assert found["Research"]["keys"] == [{"dimension": "department", "id": str(research.pk), "name": "Research"}]
    assert Decimal(found[""]["total"]) == posted() - posted(project_id=alpha.project.pk)


def test_currencies_are_never_added_up(books: Books) -> None:
    was = Charge.objects.filter(tenant_id=books.estates[1].tenant.pk).first()
    assert was is not None
    was.pk, was.position, was.currency = Charge().pk, 99, "USD"
    was.save(force_insert=True)
    found = books.ask(by="category", top=1)
    assert {t["currency"]: Decimal(t["cost"]) for t in found["totals"]} == {
        "CNY": posted(currency="CNY"), "USD": posted(currency="USD"),
    }  # fmt: skip
    assert {s["share"] for s in found["series"] if s["currency"] == "USD"} == {"1.000000"}


def test_a_tenant_sees_its_own_and_names_are_kept_when_all_is_gone(books: Books) -> None:
    alpha, beta = books.estates
    theirs = client_of(user(Role.TENANT_FINANCE, beta.tenant))
    found = books.ask(theirs, by="tenant")
    assert [s["keys"][0]["id"] for s in found["series"]] == [str(beta.tenant.pk)]
    assert of(found) == posted(tenant_id=beta.tenant.pk)
    assert books.ask(theirs, tenant=alpha.tenant.pk)["series"] == []
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        for model in (Workload, Project):
            cursor.execute(f"DELETE FROM {model._meta.db_table}")  # noqa: S608
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")
    assert {s["keys"][0]["name"] for s in books.ask(by="workload")["series"]} >= {"train"}
    assert of(books.ask(by="department")) == posted()
    member = client_of(user(Role.TENANT_MEMBER, beta.tenant))
    assert member.get("/api/v1/costs").status_code == 403


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"by": "colour"}, "not-dimensions"),
        ({"by": "tenant,site,user"}, "not-dimensions"),
        ({"by": "site,site"}, "not-dimensions"),
        ({"step": "day", "start": ""}, "invalid"),
        ({"step": "hour", "end": "2030-01-01T00:00:00Z"}, "too-many-steps"),
        ({"end": NOVEMBER.start.isoformat()}, "ends-before-it-begins"),
        ({"period": "2026-11"}, "period-and-edges"),
        ({"measure": "guessed"}, "invalid_choice"),
        ({"top": "51"}, "max_value"),
    ],
)
def test_what_cannot_be_answered_is_refused(query: dict[str, str], code: str) -> None:
    answer = client_of(user(Role.PLATFORM_FINANCE)).get("/api/v1/costs", {**MONTH, **query})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, code), answer.json()
    bare = client_of(user(Role.PLATFORM_FINANCE)).get("/api/v1/costs", {"step": "day"})
    assert bare.json()["errors"][0]["code"] == "needs-start-and-end"


def test_it_is_one_query_however_much_there_is(books: Books) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            books.ask(by="project,site", step="day")
        return len(seen)

    books.ask()
    before = queries()
    more = Estate("Gamma")
    more.price("3")
    for n in range(5):
        more.ended(at(0) + timedelta(hours=n), at(30) + timedelta(hours=n), project=more.project_named(f"P{n}"))
    draft(more)
    assert queries() == before
