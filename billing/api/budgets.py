"""Budgets, and what work would cost before it is sent."""

from decimal import Decimal
from typing import Any

import django_filters
from django.db.models import F, OuterRef, Prefetch, Subquery
from django.db.models.functions import Greatest
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing.actions import budgets
from billing.actions.estimates import Estimator
from billing.actions.holds import drawn_on
from billing.models import Budget, BudgetAlert, BudgetHold, OnExhausted
from billing.models.budgets import THRESHOLDS
from billing.periods import month_of
from billing.policy import policy
from federation.actions import workloads
from federation.api.workloads import AskingMixin, NewWorkloadSerializer
from federation.models import Workload
from portal.errors import Invalid
from portal.http.filters import FilterSet
from portal.http.pagination import CursorPages
from portal.http.scope import project_here, tenant_here
from portal.http.viewsets import ReadViewSet, ResourceViewSet
from portal.permissions import can

_EXACT: dict[str, Any] = {"max_digits": 38, "decimal_places": 15}
_MONEY: dict[str, Any] = {"max_digits": 20, "decimal_places": 2}
_YEAR_HOURS = 366 * 24


class BudgetAlertSerializer(serializers.ModelSerializer[BudgetAlert]):
    """This month's spending reached `threshold` per cent of the limit of then."""

    class Meta:
        model = BudgetAlert
        fields = ["threshold", "spent", "limit", "created_at"]


class BudgetSerializer(serializers.ModelSerializer[Budget]):
    """`spent` is what the month has cost so far, `held` what work that was let in may still cost at worst, and `left`
    what new work may cost. Without a project it is for all of the tenant."""

    tenant = serializers.UUIDField(source="tenant_id")
    tenant_name = serializers.CharField(source="tenant.name")
    project = serializers.UUIDField(source="project_id", allow_null=True)
    project_name = serializers.CharField(source="project.name", default=None, allow_null=True)
    period = serializers.SerializerMethodField(help_text="The month, in the billing time zone.")
    left = serializers.DecimalField(**_EXACT)
    alerts = BudgetAlertSerializer(many=True)
    actions = serializers.SerializerMethodField()

    class Meta:
        model = Budget
        fields = [
            "id", "tenant", "tenant_name", "project", "project_name", "currency", "limit", "on_exhausted",
            "horizon_hours", "thresholds", "period", "spent", "held", "left", "alerts", "settled_at", "ended_at",
            "created_at", "version", "actions",
        ]  # fmt: skip

    def get_period(self, budget: Budget) -> str:
        return month_of(budget.period_start, policy().zone).label

    def get_actions(self, budget: Budget) -> list[str]:
        """`change` is a PATCH."""
        is_open = budget.ended_at is None and may_edit(self.context["request"].user, budget)
        return ["change", "end"] if is_open else []


def may_edit(user: Any, budget: Budget) -> bool:
    """A tenant's owner sets what its projects may spend, not what the tenant may."""
    if budget.project_id is None:
        return can(user, "budget.edit")
    return can(user, "budget.edit", tenant=budget.tenant_id, project=budget.project_id)


def _thresholds() -> serializers.ListField:
    return serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=1000), max_length=10, required=False,
        help_text=f"Alerts, in per cent of the limit. Left out: {', '.join(map(str, THRESHOLDS))}.",
    )  # fmt: skip


_HORIZON: dict[str, Any] = {
    "min_value": 1, "max_value": _YEAR_HOURS, "required": False, "allow_null": True,
    "help_text": "What work without a time limit reserves at once. Empty: until the month ends.",
}  # fmt: skip


class BudgetHoldSerializer(serializers.ModelSerializer[BudgetHold]):
    """What is held for one workload: `amount` at worst, less what it has `used` of it this month, leaves `held`."""

    workload = serializers.UUIDField(source="workload_id")
    name = serializers.CharField(source="work_name", allow_null=True, help_text="Null: it is gone.")
    state = serializers.CharField(source="work_state", allow_null=True)
    submitted_by = serializers.CharField(source="work_by", allow_null=True)
    project_name = serializers.CharField(source="work_project", allow_null=True)
    held = serializers.DecimalField(source="still", **_EXACT)
    per_hour = serializers.DecimalField(source="rate", help_text="What an hour of it costs at most.", **_EXACT)

    class Meta:
        model = BudgetHold
        fields = ["workload", "name", "state", "submitted_by", "project_name", "amount", "used", "held", "per_hour"]


class HoldPages(CursorPages):
    ordering = ("-still", "id")


def _holds(budget: Budget) -> Any:
    work = Workload.objects.filter(pk=OuterRef("workload_id"))
    return BudgetHold.objects.filter(budget=budget, released_at=None).annotate(
        still=Greatest(F("amount") - F("used"), Decimal(0)),
        work_name=Subquery(work.values("name")),
        work_state=Subquery(work.values("state")),
        work_by=Subquery(work.values("submitted_by")),
        work_project=Subquery(work.values("project__name")),
    )


class NewBudgetSerializer(serializers.Serializer[Any]):
    tenant = serializers.UUIDField()
    project = serializers.UUIDField(required=False, allow_null=True, help_text="Empty: all of the tenant.")
    limit = serializers.DecimalField(min_value=Decimal(0), help_text="For each month.", **_MONEY)
    currency = serializers.RegexField(r"^[A-Z]{3}$", required=False, help_text="Empty: that of the installation.")
    on_exhausted = serializers.ChoiceField(OnExhausted.choices, default=OnExhausted.REFUSE)
    horizon_hours = serializers.IntegerField(**_HORIZON)
    thresholds = _thresholds()


class BudgetChangeSerializer(serializers.Serializer[Any]):
    limit = serializers.DecimalField(min_value=Decimal(0), required=False, **_MONEY)
    on_exhausted = serializers.ChoiceField(OnExhausted.choices, required=False)
    horizon_hours = serializers.IntegerField(**_HORIZON)
    thresholds = _thresholds()


class BudgetFilter(FilterSet):
    tenant = django_filters.UUIDFilter(field_name="tenant_id")
    project = django_filters.UUIDFilter(field_name="project_id")
    is_open = django_filters.BooleanFilter(field_name="ended_at", lookup_expr="isnull")

    class Meta:
        model = Budget
        fields = ["currency", "on_exhausted"]


class BudgetViewSet(ReadViewSet):
    queryset = Budget.objects.select_related("tenant", "project").prefetch_related(
        Prefetch(
            "alerts",
            BudgetAlert.objects.filter(period_start=F("budget__period_start")).order_by("threshold"),
        )
    )
    serializer_class = BudgetSerializer
    filterset_class = BudgetFilter
    permissions = {
        **dict.fromkeys(["list", "retrieve", "holds"], "budget.view"),
        **dict.fromkeys(["create", "partial_update", "end"], "budget.edit"),
    }

    @extend_schema(request=NewBudgetSerializer, responses={201: BudgetSerializer})
    def create(self, request: Request) -> Response:
        """What a tenant, or one of its projects, may spend in each month from now on."""
        data = self.valid(NewBudgetSerializer)
        tenant = tenant_here(self.user, data.pop("tenant"))
        project_id = data.pop("project", None)
        project = project_here(self.user, project_id) if project_id else None
        if project is None:
            self.require()
        else:
            self.require(project)
            if project.tenant_id != tenant.pk:
                raise Invalid.field("project", "This project is not of this tenant.", "other-tenant")
        currency = data.pop("currency", policy().currency)
        return self.created(
            lambda: budgets.create(
                by=self.user, tenant=tenant, project=project, currency=currency, policy=policy(), **data
            )
        )

    @extend_schema(request=BudgetChangeSerializer, responses=BudgetSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Another limit, other thresholds, or another answer when it is spent. What was let in stays let in."""
        budget = self._editable()
        self.checked_version(budget)
        return self.answer(budgets.change(by=self.user, budget=budget, **self.valid(BudgetChangeSerializer)))

    @extend_schema(request=None, responses={202: BudgetSerializer})
    @action(detail=True, methods=["post"])
    def end(self, request: Request, pk: str) -> Response:
        """Nothing is refused by it any more. It stays to be read."""
        return self.answer(budgets.end(by=self.user, budget=self._editable()), 202)

    @extend_schema(responses=BudgetHoldSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], pagination_class=HoldPages)
    def holds(self, request: Request, pk: str) -> Response:
        """For which work the budget holds something back, the most first."""
        page = self.paginate_queryset(_holds(self.get_object()))
        return self.get_paginated_response(BudgetHoldSerializer(page, many=True).data)

    def _editable(self) -> Budget:
        budget: Budget = self.get_object()
        if budget.project_id is None:
            self.require()
        self.require(budget)
        return budget


class DrawnOnSerializer(serializers.Serializer[Any]):
    """A budget that the work would draw on."""

    budget = serializers.UUIDField()
    tenant_name = serializers.CharField()
    project_name = serializers.CharField(allow_null=True, help_text="Null: it is for all of the tenant.")
    limit = serializers.DecimalField(**_MONEY)
    left = serializers.DecimalField(**_EXACT)
    cost = serializers.DecimalField(help_text="What the work would reserve of it.", **_MONEY)
    is_enough = serializers.BooleanField()


class EstimateSerializer(serializers.Serializer[Any]):
    """At the dearest place and price that the work may meet this month. `worst_case` is until its time limit, with its
    retries, or else until the month ends."""

    currency = serializers.CharField()
    is_priced = serializers.BooleanField(help_text="False: nothing has a price yet.")
    per_hour = serializers.DecimalField(**_EXACT)
    has_time_limit = serializers.BooleanField()
    seconds = serializers.IntegerField(help_text="How long it may run this month, at most.")
    worst_case = serializers.DecimalField(**_MONEY)
    period = serializers.CharField(help_text="The month, in the billing time zone.")
    budgets = DrawnOnSerializer(many=True)


class EstimateViewSet(AskingMixin, ResourceViewSet):
    queryset = Workload.objects.none()
    serializer_class = EstimateSerializer
    permissions = {"create": "workload.create"}

    @extend_schema(request=NewWorkloadSerializer, responses=EstimateSerializer)
    def create(self, request: Request) -> Response:
        """What this work may cost if it were sent now, and whether its budgets have that much left. Nothing is made."""
        project, pool, data = self.asked()
        return Response(
            EstimateSerializer(_estimate(workloads.draft(by=self.user, project=project, pool=pool, **data))).data
        )


def _estimate(work: Workload) -> dict[str, Any]:
    now = timezone.now()
    month = month_of(now, policy().zone)
    found = Estimator(work.tenant_id, policy(), now).of(work)
    drawn = []
    for budget in drawn_on(work):
        if budget.currency != found.currency:
            continue
        cost = found.cost(budget, now, month.end)
        is_current = budget.period_start == month.start
        left = budget.left if is_current else budget.limit - budget.held
        drawn.append(
            {
                "budget": budget.pk,
                "tenant_name": budget.tenant.name,
                "project_name": budget.project.name if budget.project is not None else None,
                "limit": budget.limit,
                "left": left,
                "cost": cost,
                "is_enough": cost <= max(left, Decimal(0)),
            }
        )
    return {
        "currency": found.currency,
        "is_priced": found.is_priced,
        "per_hour": found.rate,
        "has_time_limit": found.run is not None,
        "seconds": found.seconds(None, now, month.end),
        "worst_case": found.cost(None, now, month.end),
        "period": month.label,
        "budgets": drawn,
    }
