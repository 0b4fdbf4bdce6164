"""Showback beyond sums of charges: what stood idle, what an hour costs, who borrowed, what a month will come to."""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from billing.actions.charges import closed_before
from billing.api.asking import EXACT, BetweenSerializer, asked, charges_of
from billing.api.filters import MONTH, period_named
from billing.models import Commitment
from billing.periods import month_of
from billing.policy import policy
from billing.showback import borrowing, idle, projection, units
from billing.showback.costs import Measure
from billing.showback.idle import Rule
from billing.showback.names import names_of
from billing.showback.units import UnitBy
from portal.permissions import scope_of

LONGEST = timedelta(days=93)  # that lending is worked out for, hour by hour
_HOURS: dict[str, Any] = {"max_digits": 38, "decimal_places": 9}
_MONEY: dict[str, Any] = {"max_digits": 60, "decimal_places": 2}


class IdleQuerySerializer(BetweenSerializer):
    rule = serializers.ChoiceField(
        choices=[r.value for r in Rule],
        default=Rule.USE,
        help_text="Spread in proportion to what tenants used there in that time, or to their quotas as they are now.",
    )
    site = serializers.CharField(required=False)
    flavor = serializers.CharField(required=False)


class IdlePlaceSerializer(serializers.Serializer[Any]):
    """Hours of one flavor at one site: `capacity` = `work` + `reserved` + `idle`, each hour rounded as usage is."""

    site = serializers.CharField()
    flavor = serializers.CharField()
    capacity = serializers.DecimalField(**_HOURS)
    work = serializers.DecimalField(**_HOURS)
    reserved = serializers.DecimalField(**_HOURS)
    idle = serializers.DecimalField(**_HOURS)
    unpriced = serializers.DecimalField(help_text="Idle hours for which there was no list price.", **_HOURS)
    idle_cost = serializers.DecimalField(**EXACT)
    reserved_cost = serializers.DecimalField(**EXACT)


class IdleShareSerializer(serializers.Serializer[Any]):
    tenant = serializers.UUIDField(source="tenant_id")
    tenant_name = serializers.CharField(source="tenant")
    cost = serializers.DecimalField(**EXACT)


class IdleSerializer(serializers.Serializer[Any]):
    """`shares` and `unallocated` add up to `cost`, to the last digit. A tenant sees its own share and nothing else."""

    currency = serializers.CharField()
    rule = serializers.ChoiceField(choices=[r.value for r in Rule])
    cost = serializers.DecimalField(allow_null=True, **EXACT)
    unallocated = serializers.DecimalField(
        allow_null=True, help_text="Of places that nobody used, or is promised any of.", **EXACT
    )
    places = IdlePlaceSerializer(many=True)
    shares = IdleShareSerializer(many=True)


class UnitQuerySerializer(BetweenSerializer):
    by = serializers.ChoiceField(choices=[u.value for u in UnitBy], default=UnitBy.MODEL)
    tenant = serializers.UUIDField(required=False)
    project = serializers.UUIDField(required=False)


class UnitCostSerializer(serializers.Serializer[Any]):
    """What is per hour is rounded. Reserved hours that nobody used cost, and are no card-hours."""

    key = serializers.CharField(help_text="A tenant's id; otherwise the name.")
    name = serializers.CharField()
    currency = serializers.CharField()
    cost = serializers.DecimalField(help_text="Effective, of cards alone.", **EXACT)
    card_hours = serializers.DecimalField(**_HOURS)
    per_card_hour = serializers.DecimalField(max_digits=38, decimal_places=6, allow_null=True)
    busy_share = serializers.DecimalField(
        max_digits=10,
        decimal_places=4,
        allow_null=True,
        help_text="How busy cards that are held at this moment are, where there are figures of the last five minutes.",
    )
    per_busy_card_hour = serializers.DecimalField(
        max_digits=38, decimal_places=6, allow_null=True, help_text="If they had been as busy all the time as now."
    )


class UnitCostsSerializer(serializers.Serializer[Any]):
    by = serializers.ChoiceField(choices=[u.value for u in UnitBy])
    units = UnitCostSerializer(many=True)


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


class LoansQuerySerializer(BetweenSerializer):
    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        is_month = "period" in attrs
        attrs = super().validate(attrs)
        for name, at in attrs.items():
            if is_month:  # where months begin at half an hour, that hour is in both
                attrs[name] = _hour(at) if name == "start" else _hour(at + timedelta(minutes=59, seconds=59))
            elif at != _hour(at):
                raise serializers.ValidationError({name: "Promises are compared by the hour."}, code="not-an-hour")
        end = attrs.setdefault("end", _hour(timezone.now()) + timedelta(hours=1))
        start = attrs.setdefault("start", end - timedelta(days=31))
        if end - start > LONGEST:
            raise serializers.ValidationError({"start": f"Ask for {LONGEST.days} days at most."}, code="too-long")
        return attrs


class LoanSerializer(serializers.Serializer[Any]):
    """Names of other tenants are for the platform's people: others see that it was somebody else."""

    flavor = serializers.CharField()
    site = serializers.CharField()
    borrower = serializers.UUIDField(allow_null=True)
    borrower_name = serializers.CharField()
    lender = serializers.UUIDField(allow_null=True)
    lender_name = serializers.CharField()
    is_promised = serializers.BooleanField(help_text="False: nobody had been promised what was borrowed.")
    milli_seconds = serializers.IntegerField()


class LoansSerializer(serializers.Serializer[Any]):
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    loans = LoanSerializer(many=True)


class ForecastQuerySerializer(serializers.Serializer[Any]):
    period = serializers.RegexField(MONTH, required=False, help_text="A month, as 2026-11; left out: this one.")
    by = serializers.ChoiceField(choices=["tenant", "project"], default="tenant")
    measure = serializers.ChoiceField(choices=[m.value for m in Measure], default=Measure.BILLED)
    tenant = serializers.UUIDField(required=False)
    top = serializers.IntegerField(min_value=1, max_value=500, default=100)


class ForecastSerializer(serializers.Serializer[Any]):
    """Without tax. `spent` is exact; what is foretold is rounded. `low` and `high`: eight of ten months should end
    between them, if days go on to differ as they did; null without two whole days to go by."""

    tenant = serializers.UUIDField(source="tenant_id")
    tenant_name = serializers.CharField(source="tenant")
    project = serializers.UUIDField(source="project_id", allow_null=True)
    project_name = serializers.CharField(source="project")
    currency = serializers.CharField()
    spent = serializers.DecimalField(**EXACT)
    known = serializers.DecimalField(help_text="Reservations that begin later in the month.", **EXACT)
    days = serializers.IntegerField(help_text="Whole days that it goes by.")
    daily = serializers.DecimalField(source="forecast.daily", help_text="What one of them cost on average.", **_MONEY)
    expected = serializers.DecimalField(source="forecast.expected", **_MONEY)
    low = serializers.DecimalField(source="forecast.low", allow_null=True, **_MONEY)
    high = serializers.DecimalField(source="forecast.high", allow_null=True, **_MONEY)


class ForecastsSerializer(serializers.Serializer[Any]):
    period = serializers.CharField()
    charged_until = serializers.DateTimeField(help_text="Up to then usage is charged.")
    assumption = serializers.CharField()
    left_off = serializers.IntegerField(help_text="How many more there are.")
    forecasts = ForecastSerializer(many=True)


ASSUMPTION = (
    "Each day that is left costs what the last whole days did on average, seven at most; reservations that begin later"
    " come on top."
)


class ShowbackViewSet(ViewSet):
    """Who may see invoices may see these, each of their own."""

    permissions = dict.fromkeys(["idle", "units", "loans", "forecast"], "invoice.view")

    @extend_schema(parameters=[IdleQuerySerializer], responses=IdleSerializer)
    @action(detail=False, methods=["get"])
    def idle(self, request: Request) -> Response:
        """What stood idle, at list prices, and which tenants bear it by one of two rules."""
        query, scope = asked(request, IdleQuerySerializer), scope_of(request.user, "invoice.view")
        found = idle.idle(
            policy().currency, Rule(query["rule"]), query.get("start"), query.get("end"),
            site=query.get("site", ""), flavor=query.get("flavor", ""),
        )  # fmt: skip
        whole = scope.is_everything
        return Response(
            IdleSerializer(
                {
                    "currency": found.currency,
                    "rule": query["rule"],
                    "cost": found.cost if whole else None,
                    "unallocated": found.unallocated if whole else None,
                    "places": found.places if whole else [],
                    "shares": [share for share in found.shares if scope.covers(share.tenant_id)],
                }
            ).data
        )

    @extend_schema(parameters=[UnitQuerySerializer], responses=UnitCostsSerializer)
    @action(detail=False, methods=["get"])
    def units(self, request: Request) -> Response:
        """What an hour of a card cost, with reservations spread; and an hour of a busy one."""
        query, scope = asked(request, UnitQuerySerializer), scope_of(request.user, "invoice.view")
        found = units.unit_costs(charges_of(request.user, query), UnitBy(query["by"]), scope, timezone.now())
        return Response(UnitCostsSerializer({"by": query["by"], "units": found}).data)

    @extend_schema(parameters=[LoansQuerySerializer], responses=LoansSerializer)
    @action(detail=False, methods=["get"])
    def loans(self, request: Request) -> Response:
        """Who used more than was promised, and whose unused promise that was. The last 31 days, if nothing is said."""
        query, scope = asked(request, LoansQuerySerializer), scope_of(request.user, "invoice.view")
        found = borrowing.loans(query["start"], query["end"])
        names = names_of({pk for loan in found for pk in (loan.borrower, loan.lender) if pk and scope.covers(pk)})
        sums: dict[tuple[Any, ...], int] = defaultdict(int)
        for loan in found:  # other tenants, that the caller may not know of, are one to it
            pair = [pk if pk in names else None for pk in (loan.borrower, loan.lender)]
            if any(pair):
                sums[loan.flavor, loan.site, *pair, loan.lender is not None] += loan.milli_seconds
        columns = ("flavor", "site", "borrower", "lender", "is_promised")
        rows = [
            {
                **dict(zip(columns, key, strict=True)),
                "borrower_name": names.get(key[2], ""),
                "lender_name": names.get(key[3], ""),
                "milli_seconds": amount,
            }
            for key, amount in sums.items()
        ]
        return Response(LoansSerializer({"start": query["start"], "end": query["end"], "loans": rows}).data)

    @extend_schema(parameters=[ForecastQuerySerializer], responses=ForecastsSerializer)
    @action(detail=False, methods=["get"])
    def forecast(self, request: Request) -> Response:
        """What the month will come to, by what was spent and by the last whole days."""
        query, scope = asked(request, ForecastQuerySerializer), scope_of(request.user, "invoice.view")
        now, rules = timezone.now(), policy()
        period = period_named(query["period"]) if "period" in query else month_of(now, rules.zone)
        commitments = Commitment.objects.in_scope(scope).filter(Q(start_at__gte=now), start_at__lt=period.end)
        if "tenant" in query:
            commitments = commitments.filter(tenant_id=query["tenant"])
        found = projection.projected(
            charges_of(request.user, {"tenant": query.get("tenant")}), list(commitments.select_related("tenant")),
            by_project=query["by"] == "project", period=period, measure=Measure(query["measure"]), policy=rules,
            now=now, charged_until=min(closed_before(now), period.end),
        )  # fmt: skip
        return Response(
            ForecastsSerializer(
                {
                    "period": period.label,
                    "charged_until": closed_before(now),
                    "assumption": ASSUMPTION,
                    "left_off": max(0, len(found) - query["top"]),
                    "forecasts": found[: query["top"]],
                }
            ).data
        )
