"""Price books, taxes on them, terms of tenants and reservations."""

from decimal import Decimal
from typing import Any

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing.actions import books, commitments
from billing.models import BillingTerm, Commitment, PriceBook, TaxRule, TenantClass
from billing.policy import policy
from federation.models import Site
from portal.errors import Invalid
from portal.http.filters import FilterSet
from portal.http.scope import tenant_here
from portal.http.viewsets import ReadViewSet
from portal.models import ResourceFlavor
from portal.models.tenants import slug_rule

_PRICE: dict[str, Any] = {"max_digits": 18, "decimal_places": 6}
_HOURS: dict[str, Any] = {"max_digits": 30, "decimal_places": 9}


def book_named(slug: str) -> PriceBook:
    found: PriceBook | None = PriceBook.objects.filter(slug=slug).first()
    if found is None:
        raise Invalid.field("book", "There is no such price book.", "unknown-book")
    return found


def check_site(slug: str) -> None:
    if slug and not Site.objects.filter(slug=slug).exists():
        raise Invalid.field("site", "There is no such site.", "unknown-site")


class PriceBookSerializer(serializers.ModelSerializer[PriceBook]):
    class Meta:
        model = PriceBook
        fields = ["id", "slug", "name", "currency", "is_default", "created_at", "version"]


class NewPriceBookSerializer(serializers.Serializer[Any]):
    slug = serializers.CharField(max_length=63, validators=[slug_rule])
    name = serializers.CharField(max_length=200)
    currency = serializers.RegexField(r"^[A-Z]{3}$", help_text="ISO 4217.")


class PriceBookFilter(FilterSet):
    class Meta:
        model = PriceBook
        fields = ["slug", "currency"]


class PriceBookViewSet(ReadViewSet):
    queryset = PriceBook.objects.all()
    serializer_class = PriceBookSerializer
    filterset_class = PriceBookFilter
    permissions = {"list": "price.edit", "retrieve": "price.edit", "create": "price.edit"}

    @extend_schema(request=NewPriceBookSerializer, responses={201: PriceBookSerializer})
    def create(self, request: Request) -> Response:
        """An empty book, for tenants whose terms name it."""
        self.require()
        data = self.valid(NewPriceBookSerializer)
        return self.created(lambda: books.create(by=self.user, **data))


class TaxRuleSerializer(serializers.ModelSerializer[TaxRule]):
    """`rate` 0.06 is six per cent. What holds when a month ends is what the month is taxed by."""

    book = serializers.CharField(source="book.slug")

    class Meta:
        model = TaxRule
        fields = ["id", "book", "name", "rate", "valid_from", "valid_to", "created_at", "version"]


class NewTaxRuleSerializer(serializers.Serializer[Any]):
    book = serializers.CharField(max_length=63)
    name = serializers.CharField(max_length=63)
    rate = serializers.DecimalField(max_digits=9, decimal_places=6, min_value=Decimal(0), max_value=Decimal(9))
    valid_from = serializers.DateTimeField(required=False, allow_null=True, help_text="Empty: now.")


class TaxRuleFilter(FilterSet):
    book = django_filters.CharFilter(field_name="book__slug")

    class Meta:
        model = TaxRule
        fields = ["name"]


class TaxRuleViewSet(ReadViewSet):
    queryset = TaxRule.objects.select_related("book")
    serializer_class = TaxRuleSerializer
    filterset_class = TaxRuleFilter
    permissions = {"list": "price.edit", "retrieve": "price.edit", "create": "price.edit"}

    @extend_schema(request=NewTaxRuleSerializer, responses={201: TaxRuleSerializer})
    def create(self, request: Request) -> Response:
        """A tax on all invoices by a book. The one of its name that holds ends where it begins."""
        self.require()
        data = self.valid(NewTaxRuleSerializer)
        book = book_named(data.pop("book"))
        return self.created(lambda: books.set_tax(by=self.user, book=book, **data))


class BillingTermSerializer(serializers.ModelSerializer[BillingTerm]):
    """By which book and as whom a tenant pays from `valid_from` until its next term begins."""

    tenant = serializers.UUIDField(source="tenant_id")
    book = serializers.CharField(source="book.slug")

    class Meta:
        model = BillingTerm
        fields = ["id", "tenant", "book", "tenant_class", "is_taxed", "valid_from", "created_at", "version"]


class NewBillingTermSerializer(serializers.Serializer[Any]):
    tenant = serializers.UUIDField()
    book = serializers.CharField(max_length=63)
    tenant_class = serializers.ChoiceField(TenantClass.choices, default=TenantClass.EXTERNAL)
    is_taxed = serializers.BooleanField(default=True)
    valid_from = serializers.DateTimeField(required=False, allow_null=True, help_text="Empty: now.")


class BillingTermFilter(FilterSet):
    tenant = django_filters.UUIDFilter(field_name="tenant_id")

    class Meta:
        model = BillingTerm
        fields = ["tenant_class"]


class BillingTermViewSet(ReadViewSet):
    queryset = BillingTerm.objects.select_related("book")
    serializer_class = BillingTermSerializer
    filterset_class = BillingTermFilter
    permissions = {"list": "invoice.view", "retrieve": "invoice.view", "create": "price.edit"}

    @extend_schema(request=NewBillingTermSerializer, responses={201: BillingTermSerializer})
    def create(self, request: Request) -> Response:
        """New terms of a tenant, from now or later."""
        data = self.valid(NewBillingTermSerializer)
        tenant = tenant_here(self.user, data.pop("tenant"))
        self.require(tenant=tenant.pk)
        book = book_named(data.pop("book"))
        return self.created(lambda: books.set_terms(by=self.user, tenant=tenant, book=book, **data))


class CommitmentSerializer(serializers.ModelSerializer[Commitment]):
    """So much of a flavor for a term, at `unit_price` for each hour of its whole unit, used or not."""

    tenant = serializers.UUIDField(source="tenant_id")
    flavor = serializers.CharField(source="flavor.name")

    class Meta:
        model = Commitment
        fields = [
            "id", "tenant", "flavor", "site", "held_milli", "unit_price", "currency", "start_at", "end_at",
            "created_at", "version",
        ]  # fmt: skip


class NewCommitmentSerializer(serializers.Serializer[Any]):
    tenant = serializers.UUIDField()
    flavor = serializers.CharField(max_length=63)
    site = serializers.CharField(max_length=63, required=False, allow_blank=True, help_text="Empty: any.")
    held_milli = serializers.IntegerField(min_value=1, max_value=10**9)
    unit_price = serializers.DecimalField(min_value=Decimal(0), **_PRICE)
    start_at = serializers.DateTimeField(help_text="On a whole hour.")
    end_at = serializers.DateTimeField(help_text="On a whole hour.")


class ReservedHoursSerializer(serializers.Serializer[Any]):
    """What became of the hours of its whole term, in hours of the flavor's whole unit. The rest is still open."""

    reserved = serializers.DecimalField(**_HOURS)
    used = serializers.DecimalField(**_HOURS, help_text="Covered usage.")
    unused = serializers.DecimalField(**_HOURS, help_text="Paid, and used by nobody.")


class CommitmentFilter(FilterSet):
    tenant = django_filters.UUIDFilter(field_name="tenant_id")
    flavor = django_filters.CharFilter(field_name="flavor__name")

    class Meta:
        model = Commitment
        fields = ["site"]


class CommitmentViewSet(ReadViewSet):
    queryset = Commitment.objects.select_related("flavor")
    serializer_class = CommitmentSerializer
    filterset_class = CommitmentFilter
    permissions = {"create": "price.edit"} | dict.fromkeys(["list", "retrieve", "hours"], "invoice.view")

    @extend_schema(responses=ReservedHoursSerializer, filters=False)
    @action(detail=True, methods=["get"], pagination_class=None)
    def hours(self, request: Request, pk: str) -> Response:
        """How much of it was used so far, and how much was not."""
        return Response(ReservedHoursSerializer(commitments.hours_of(self.get_object())).data)

    @extend_schema(request=NewCommitmentSerializer, responses={201: CommitmentSerializer})
    def create(self, request: Request) -> Response:
        """Sell a reservation. It is asked for month by month, and covers the tenant's usage hour by hour."""
        data = self.valid(NewCommitmentSerializer)
        tenant = tenant_here(self.user, data.pop("tenant"))
        self.require(tenant=tenant.pk)
        flavor = ResourceFlavor.objects.filter(name=data.pop("flavor")).first()
        if flavor is None:
            raise Invalid.field("flavor", "There is no such flavor.", "unknown-flavor")
        check_site(data.get("site", ""))
        start, end = data.pop("start_at"), data.pop("end_at")
        currency = commitments.currency_of(tenant=tenant, at=start, policy=policy())
        return self.created(
            lambda: commitments.buy(
                by=self.user, tenant=tenant, flavor=flavor, currency=currency, start=start, end=end, **data
            )
        )
