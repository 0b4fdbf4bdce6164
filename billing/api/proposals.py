"""Re-rating: what a tenant's period would cost by other prices; posted when approved."""

from typing import Any

import django_filters
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing.actions import rerating
from billing.api.books import book_named
from billing.models import Proposal
from billing.policy import policy
from billing.states import ProposalState
from portal.http.filters import FilterSet
from portal.http.scope import tenant_here
from portal.http.viewsets import ReadViewSet, allowed_verbs

_VERBS: dict[str, tuple[str, frozenset[str]]] = {
    verb: ("invoice.issue", frozenset({ProposalState.OPEN})) for verb in ("approve", "drop")
}
_EXACT: dict[str, Any] = {"max_digits": 38, "decimal_places": 15}


class DifferenceSerializer(serializers.Serializer[Any]):
    project = serializers.CharField()
    flavor = serializers.CharField()
    site = serializers.CharField()
    meter = serializers.CharField()
    was = serializers.DecimalField(**_EXACT)
    would_be = serializers.DecimalField(**_EXACT)
    difference = serializers.DecimalField(**_EXACT)


class ProposalSerializer(serializers.ModelSerializer[Proposal]):
    """`lines` say what differs. Nothing is posted while it is open; `posted_as` is the transaction that did."""

    tenant = serializers.UUIDField(source="tenant_id")
    book = serializers.CharField(source="book.slug")
    posted_as = serializers.UUIDField(source="posted_as_id", allow_null=True)
    lines = serializers.SerializerMethodField()
    actions = serializers.SerializerMethodField()

    class Meta:
        model = Proposal
        fields = [
            "id", "tenant", "book", "period_start", "period_end", "currency", "state", "state_since", "charges", "was",
            "would_be", "lines", "posted_as", "created_at", "version", "actions",
        ]  # fmt: skip

    @extend_schema_field(DifferenceSerializer(many=True))
    def get_lines(self, proposal: Proposal) -> Any:
        return proposal.lines

    def get_actions(self, proposal: Proposal) -> list[str]:
        return allowed_verbs(self.context["request"].user, proposal, _VERBS)


class NewProposalSerializer(serializers.Serializer[Any]):
    tenant = serializers.UUIDField()
    book = serializers.CharField(max_length=63)
    period_start = serializers.DateTimeField(help_text="On a whole hour, or where a month begins.")
    period_end = serializers.DateTimeField(help_text="On a whole hour, or where a month ends.")


class ProposalFilter(FilterSet):
    tenant = django_filters.UUIDFilter(field_name="tenant_id")

    class Meta:
        model = Proposal
        fields = ["state"]


class ProposalViewSet(ReadViewSet):
    queryset = Proposal.objects.select_related("book")
    serializer_class = ProposalSerializer
    filterset_class = ProposalFilter
    permissions = dict.fromkeys(["list", "retrieve", "create", "approve", "drop"], "invoice.issue")

    @extend_schema(request=NewProposalSerializer, responses={201: ProposalSerializer})
    def create(self, request: Request) -> Response:
        """What a tenant's charges between two instants would be by a book's prices. Nothing is posted."""
        data = self.valid(NewProposalSerializer)
        tenant = tenant_here(self.user, data["tenant"])
        self.require(tenant=tenant.pk)
        book = book_named(data["book"])
        return self.created(
            lambda: rerating.propose(
                by=self.user, tenant=tenant, book=book, start=data["period_start"], end=data["period_end"],
                policy=policy(),
            )
        )  # fmt: skip

    @extend_schema(request=None, responses={202: ProposalSerializer})
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: str) -> Response:
        """Post just what was shown. Refused when usage or prices have changed since."""
        return self.verb(lambda proposal: rerating.approve(by=self.user, proposal=proposal, policy=policy()))

    @extend_schema(request=None, responses={202: ProposalSerializer})
    @action(detail=True, methods=["post"])
    def drop(self, request: Request, pk: str) -> Response:
        """Leave all as it is."""
        return self.verb(lambda proposal: rerating.drop(by=self.user, proposal=proposal))
