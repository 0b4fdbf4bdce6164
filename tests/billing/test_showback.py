"""Idle cost and who bears it, what an hour costs, who borrowed of whom, and what a month will come to."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models import Sum
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing.actions import commitments
from billing.models import CapacityHour, Charge, Commitment, UsageRecord
from billing.policy import policy
from billing.rating import quantity_of
from billing.showback.costs import Measure
from billing.showback.projection import Projected, projected
from federation.models import Figures
from portal.audit import SYSTEM
from portal.models import Quota, Tenant
from portal.permissions import Role
from tests.billing.invoicing import draft
from tests.billing.rows import NOVEMBER, TEN, Estate, at
from tests.billing.test_api_ledger import client_of
from tests.factories import user

pytestmark = pytest.mark.django_db
HOUR = 3_600_000  # milli-seconds of a card


def used(
    estate: Estate, tenant: Tenant, milli_seconds: int, *, service_class: str = "guaranteed", site: str = "",
    start: datetime = TEN,
) -> UsageRecord:  # fmt: skip
    """A record of usage, as metering leaves it."""
    held, seconds = milli_seconds // 100, 100
    made: UsageRecord = UsageRecord.objects.create(
        allocation_id=uuid4(), workload_id=uuid4(), workload="w", tenant_id=tenant.pk, tenant=tenant.name,
        project_id=uuid4(), project="p", flavor_id=estate.flavor.pk, flavor=estate.flavor.name, unit="device",
        site=site or estate.site.slug, cluster="c", node="n", service_class=service_class, start_at=start,
        end_at=start + timedelta(seconds=seconds), seconds=seconds, held_milli=held,
        milli_seconds=held * seconds, quantity=quantity_of(held * seconds),
    )  # fmt: skip
    return made


def ask(client: Any, what: str, **query: Any) -> dict[str, Any]:
    answer = client.get(f"/api/v1/costs/{what}", query)
    assert answer.status_code == 200, answer.json()
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
def finance() -> Any:
    return client_of(user(Role.PLATFORM_FINANCE))


def other_tenant(name: str) -> Tenant:
    return Tenant.objects.create(slug=f"t-{uuid4().hex[:8]}", name=name)


# -- idle ---------------------------------------------------------------------------------------------------


class Yard:
    """Three hours of one flavor at two sites, at a price that changes after the first; nobody used the second site."""

    def __init__(self) -> None:
        self.estate = Estate("Alpha")
        self.beta = other_tenant("Beta")
        self.estate.price("1.234567", valid_to=at(60))
        self.estate.price("2", valid_from=at(60))
        for site, idle in ((self.estate.site.slug, (1001, 1, HOUR)), ("yonder", (7, 0, 0))):
            for n, milli_seconds in enumerate(idle):
                CapacityHour.objects.create(
                    site=site, flavor_id=self.estate.flavor.pk, flavor=self.estate.flavor.name, hour=at(60 * n),
                    capacity=milli_seconds + 30, work=20, reserved=10, idle=milli_seconds,
                )  # fmt: skip
        used(self.estate, self.estate.tenant, 200_000)
        used(self.estate, self.beta, 100_000, start=at(60))

    @property
    def cost(self) -> Decimal:
        first = quantity_of(1001) + quantity_of(7)
        return first * Decimal("1.234567") + (quantity_of(1) + quantity_of(HOUR)) * 2


def test_idle_cost_is_spread_by_use_to_the_last_digit(finance: Any) -> None:
    yard = Yard()
    found = ask(finance, "idle", rule="use")
    assert Decimal(found["cost"]) == yard.cost
    shares = {share["tenant_name"]: Decimal(share["cost"]) for share in found["shares"]}
    assert sum(shares.values()) + Decimal(found["unallocated"]) == yard.cost
    here = yard.cost - quantity_of(7) * Decimal("1.234567")
    assert Decimal(found["unallocated"]) == yard.cost - here, "nobody used the other site"
    assert abs(shares["Alpha"] - here * 2 / 3) < Decimal("0.000000000000001")
    places = {place["site"]: place for place in found["places"]}
    there = places[yard.estate.site.slug]
    assert Decimal(there["idle"]) == quantity_of(1001) + quantity_of(1) + quantity_of(HOUR)
    assert Decimal(there["capacity"]) == sum(quantity_of(n + 30) for n in (1001, 1, HOUR))
    assert Decimal(there["reserved_cost"]) == quantity_of(10) * (Decimal("1.234567") + 4)


def test_days_of_idle_cost_add_up_to_the_whole(finance: Any) -> None:
    yard = Yard()
    parts = [ask(finance, "idle", start=at(60 * n).isoformat(), end=at(60 * n + 60).isoformat()) for n in range(3)]
    assert sum(Decimal(part["cost"]) for part in parts) == yard.cost


def test_only_use_of_that_time_bears_its_idle_cost(finance: Any) -> None:
    Yard()  # Alpha used in the first hour, Beta in the second
    first = ask(finance, "idle", start=at(0).isoformat(), end=at(60).isoformat())
    second = ask(finance, "idle", start=at(60).isoformat(), end=at(120).isoformat())
    assert [[share["tenant_name"] for share in part["shares"]] for part in (first, second)] == [["Alpha"], ["Beta"]]


def test_by_quota_it_is_borne_by_those_who_were_promised(finance: Any) -> None:
    yard = Yard()
    Quota.objects.filter(tenant=yard.estate.tenant).update(nominal_milli=1000)
    Quota.objects.create(tenant=yard.beta, flavor=yard.estate.flavor, nominal_milli=3000)
    found = ask(finance, "idle", rule="quota")
    shares = {share["tenant_name"]: Decimal(share["cost"]) for share in found["shares"]}
    assert sum(shares.values()) == yard.cost == Decimal(found["cost"])
    assert Decimal(found["unallocated"]) == 0
    assert abs(shares["Beta"] - yard.cost * 3 / 4) < Decimal("0.00000000000001")


def test_a_tenant_sees_what_it_bears_and_nothing_of_the_estate(finance: Any) -> None:
    yard = Yard()
    whole = {share["tenant"]: share["cost"] for share in ask(finance, "idle")["shares"]}
    mine = ask(client_of(user(Role.TENANT_FINANCE, yard.beta)), "idle")
    assert [(s["tenant"], s["cost"]) for s in mine["shares"]] == [(str(yard.beta.pk), whole[str(yard.beta.pk)])]
    assert (mine["cost"], mine["unallocated"], mine["places"]) == (None, None, [])


def test_idle_hours_without_a_list_price_are_told_apart(finance: Any) -> None:
    estate = Estate()
    CapacityHour.objects.create(
        site="s", flavor_id=estate.flavor.pk, flavor=estate.flavor.name, hour=at(0), capacity=HOUR, work=0, reserved=0,
        idle=HOUR,
    )  # fmt: skip
    estate.price("9", tenant=estate.tenant)
    (place,) = ask(finance, "idle")["places"]
    assert (place["unpriced"], place["idle_cost"]) == ("1.000000000", "0.000000000000000")


# -- what an hour costs -------------------------------------------------------------------------------------


def test_an_hour_costs_what_was_reserved_for_it_too(finance: Any) -> None:
    estate = Estate()
    estate.price("10")
    commitments.buy(
        by=SYSTEM, tenant=estate.tenant, flavor=estate.flavor, held_milli=1000, unit_price=Decimal(4), currency="CNY",
        start=at(0), end=at(0, hours=2),
    )  # fmt: skip
    estate.ended(at(0), at(90), milli=1000)
    draft(estate)
    (unit,) = ask(finance, "units", by="model")["units"]
    assert (unit["key"], unit["card_hours"], unit["busy_share"]) == (estate.flavor.model, "1.500000000", None)
    assert Decimal(unit["cost"]) == 8, "two reserved hours at 4, of which half of one was not used"
    assert (unit["per_card_hour"], unit["per_busy_card_hour"]) == ("5.333333", None)
    assert ask(client_of(user(Role.TENANT_FINANCE, Estate().tenant)), "units")["units"] == []


def test_an_hour_of_a_busy_card_costs_more(finance: Any) -> None:
    estate = Estate()
    estate.price("10")
    estate.ended(at(0), at(60))
    draft(estate)
    estate.running(at(60), at(70), milli=250, device=0)
    estate.running(at(60), at(70), milli=750, device=1)
    for device, busy, age in ((0, 100.0, 0), (1, 20.0, 1), (2, 99.0, 0)):
        Figures.objects.create(
            accelerator=estate.devices[device], busy_percent=busy, at=timezone.now() - timedelta(minutes=age)
        )
    for by in ("model", "site", "tenant"):
        (unit,) = ask(finance, "units", by=by)["units"]
        assert (unit["per_card_hour"], unit["busy_share"], unit["per_busy_card_hour"]) == (
            "10.000000", "0.4000", "25.000000",
        ), by  # fmt: skip
    Figures.objects.update(at=timezone.now() - timedelta(hours=1))
    assert ask(finance, "units")["units"][0]["busy_share"] is None


# -- who borrowed of whom -----------------------------------------------------------------------------------


class Neighbours:
    """Three tenants with promises of 1, 2 and 1 cards, and one without any, in one hour."""

    def __init__(self) -> None:
        self.estate = Estate("A")
        self.a = self.estate.tenant
        Quota.objects.filter(tenant=self.a).update(nominal_milli=1000)
        self.b, self.c, self.d = (other_tenant(name) for name in "BCD")
        for tenant, milli in ((self.b, 2000), (self.c, 1000)):
            Quota.objects.create(tenant=tenant, flavor=self.estate.flavor, nominal_milli=milli)

    def use(self, tenant: Tenant, amount: int, **more: Any) -> None:
        used(self.estate, tenant, amount, **more)

    def ask(self, client: Any) -> dict[tuple[str, str], int]:
        found = ask(client, "loans", start=at(0).isoformat(), end=at(120).isoformat())
        sums: dict[tuple[str, str], int] = defaultdict(int)
        for loan in found["loans"]:
            lender = loan["lender_name"] or ("somebody" if loan["is_promised"] else "nobody")
            sums[loan["borrower_name"], lender] += loan["milli_seconds"]
        return dict(sums)


def test_what_is_beyond_a_promise_is_of_those_who_left_theirs(finance: Any) -> None:
    there = Neighbours()
    there.use(there.a, HOUR)
    there.use(there.a, HOUR // 2, service_class="over-quota")
    there.use(there.b, HOUR)  # leaves one of two; C leaves one of one
    assert there.ask(finance) == {("A", "B"): HOUR // 4, ("A", "C"): HOUR // 4}


def test_a_project_has_of_its_own_tenants_first_and_nobody_lends_what_it_has_not(finance: Any) -> None:
    there = Neighbours()
    there.use(there.a, HOUR // 2)
    there.use(there.a, HOUR, service_class="over-quota")  # half of it was left by A itself
    there.use(there.b, 2 * HOUR)
    there.use(there.c, HOUR // 2)
    there.use(there.d, HOUR, service_class="over-quota", site="yonder")
    found = there.ask(finance)
    assert found[("A", "A")] == HOUR // 2
    assert found[("A", "C")] + found[("D", "C")] == HOUR // 2
    assert found[("A", "nobody")] + found[("D", "nobody")] == HOUR
    assert found[("D", "C")] == 2 * found[("A", "C")], "D asked for twice as much"
    beyond = UsageRecord.objects.filter(service_class="over-quota").aggregate(sum=Sum("milli_seconds"))["sum"]
    assert sum(found.values()) == beyond


def test_hours_are_settled_one_by_one(finance: Any) -> None:
    there = Neighbours()
    there.use(there.d, HOUR, service_class="over-quota")
    there.use(there.d, HOUR, service_class="over-quota", start=at(60))
    there.use(there.a, HOUR)
    there.use(there.b, 2 * HOUR)
    there.use(there.b, 2 * HOUR, start=at(60))
    assert there.ask(finance) == {("D", "C"): HOUR + HOUR // 2, ("D", "A"): HOUR // 2}


def test_tenants_see_their_own_side_and_no_names(finance: Any) -> None:
    there = Neighbours()
    there.use(there.a, HOUR)
    there.use(there.a, HOUR // 2, service_class="over-quota")
    there.use(there.d, HOUR // 2, service_class="over-quota")
    theirs = {t.name: there.ask(client_of(user(Role.TENANT_FINANCE, t))) for t in (there.a, there.b, there.d)}
    whole = there.ask(finance)
    assert theirs["A"] == {("A", "somebody"): HOUR // 2}
    assert theirs["B"] == {("", "B"): whole[("A", "B")] + whole[("D", "B")]}
    assert theirs["D"] == {("D", "somebody"): HOUR // 2}
    found = ask(client_of(user(Role.TENANT_FINANCE, there.a)), "loans", start=at(0).isoformat(), end=at(60).isoformat())
    assert len(found["loans"]) == 1, "nor how many others there were"


def test_lending_is_asked_for_a_quarter_at_most(finance: Any) -> None:
    answer = finance.get("/api/v1/costs/loans", {"start": "2026-01-01T00:00:00Z", "end": "2026-11-01T00:00:00Z"})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "too-long")
    answer = finance.get("/api/v1/costs/loans", {"start": "2026-11-01T00:30:00Z"})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/start")
    assert ask(finance, "loans", period="2026-11")["end"] == "2026-11-30T16:00:00Z"


# -- what a month will come to -----------------------------------------------------------------------------


def foretold(now: datetime, *, by_project: bool = False, measure: Measure = Measure.BILLED) -> list[Projected]:
    return projected(
        Charge.objects.all(), list(Commitment.objects.select_related("tenant")), by_project=by_project,
        period=NOVEMBER, measure=measure, policy=policy(), now=now, charged_until=now,
    )  # fmt: skip


def test_a_month_goes_on_as_its_last_days_went() -> None:
    estate = Estate()
    estate.price("10")
    for day in range(10):  # an hour on each of ten days, from the 10th of November on
        estate.ended(at(0, days=day), at(60, days=day))
    draft(estate)
    now = datetime(2026, 11, 19, 16, tzinfo=UTC)  # the 20th begins in Shanghai
    (found,) = foretold(now)
    assert (found.spent, found.days, found.forecast.daily) == (100, 7, 10)
    assert found.forecast.expected == 100 + 11 * 10
    assert (found.forecast.low, found.forecast.high) == (210, 210)
    (half,) = foretold(now + timedelta(hours=12))
    assert half.forecast.expected == 205
    assert foretold(NOVEMBER.end)[0].forecast.expected == 100, "a month that is over is what it was"


def test_days_of_no_cost_count_and_days_before_the_first_cost_do_not() -> None:
    estate = Estate()
    estate.price("10")
    for day in (0, 2):
        estate.ended(at(0, days=day), at(60, days=day))
    draft(estate)
    (found,) = foretold(datetime(2026, 11, 13, 16, tzinfo=UTC))
    assert (found.days, found.forecast.daily) == (4, 5)
    assert found.forecast.low is not None
    assert found.forecast.high is not None
    assert found.spent <= found.forecast.low < found.forecast.expected < found.forecast.high


def test_one_who_began_today_goes_on_as_today() -> None:
    estate = Estate()
    estate.price("10")
    estate.ended(at(0), at(60))
    draft(estate)
    (found,) = foretold(datetime(2026, 11, 10, 4, tzinfo=UTC))  # noon in Shanghai
    assert (found.days, found.forecast.daily, found.forecast.low) == (0, 20, None)
    assert found.forecast.expected == 10 + 20 * Decimal("20.5")


def test_reservations_to_come_are_added_and_tax_is_not() -> None:
    estate = Estate()
    estate.price("10")
    estate.ended(at(0), at(60))
    draft(estate)
    start = datetime(2026, 11, 29, 16, tzinfo=UTC)
    commitments.buy(
        by=SYSTEM, tenant=estate.tenant, flavor=estate.flavor, held_milli=2000, unit_price=Decimal(3), currency="CNY",
        start=start, end=start + timedelta(days=30),
    )  # fmt: skip
    commitments.buy(
        by=SYSTEM, tenant=estate.tenant, flavor=estate.flavor, held_milli=9000, unit_price=Decimal(7), currency="CNY",
        start=NOVEMBER.end + timedelta(days=1), end=NOVEMBER.end + timedelta(days=2),
    )  # fmt: skip
    now = datetime(2026, 11, 10, 16, tzinfo=UTC)
    (found,) = foretold(now)
    assert found.known == 24 * 2 * 3, "until the month ends"
    assert found.forecast.expected == 10 + 20 * 10 + 144
    rows = {row.project: row for row in foretold(now, by_project=True)}
    assert {name: (row.spent, row.known) for name, row in rows.items()} == {"Vision": (10, 0), "": (0, 144)}


def test_the_forecast_of_a_month_is_asked_for_by_its_name(finance: Any) -> None:
    estate = Estate()
    estate.price("10")
    estate.ended(at(0), at(60))
    draft(estate)
    found = ask(finance, "forecast", period="2026-11", tenant=estate.tenant.pk, by="project")
    (row,) = found["forecasts"]
    assert (row["spent"], row["project_name"], row["tenant"]) == (
        "10.000000000000000", "Vision", str(estate.tenant.pk),
    )  # fmt: skip
    assert ask(client_of(user(Role.TENANT_FINANCE, Estate().tenant)), "forecast", period="2026-11")["forecasts"] == []


def test_no_question_takes_more_queries_when_there_is_more(finance: Any) -> None:
    def queries() -> dict[str, int]:
        counts = {}
        for what in ("idle", "units", "loans", "forecast"):
            with CaptureQueriesContext(connection) as seen:
                ask(
                    finance,
                    what,
                    **({"start": at(0).isoformat(), "end": at(600).isoformat()} if what == "loans" else {}),
                )
            counts[what] = len(seen)
        return counts

    Yard()
    there = Neighbours()
    there.use(there.d, HOUR, service_class="over-quota")
    queries()
    before = queries()
    for n in range(3):
        Yard()
        more = Neighbours()
        more.use(more.d, HOUR, service_class="over-quota", start=at(60 * n))
    assert queries() == before
