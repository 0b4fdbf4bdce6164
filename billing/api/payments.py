"""Payments: what came in for invoices."""

from typing import Any

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing.actions import payments
from billing.models import Invoice, Payment
from portal.errors import NotFound
from portal.http.filters import FilterSet
from portal.http.viewsets import ReadViewSet
from portal.permissions import can, scope_of


class PaymentSerializer(serializers.ModelSerializer[Payment]):
    """`reverses` is the payment that this one takes back; `posted_in` the transaction of the ledger."""

    tenant = serializers.UUIDField(source="tenant_id")
    invoice = serializers.UUIDField(source="invoice_id")
    reverses = serializers.UUIDField(source="reverses_id", allow_null=True)
    reversal = serializers.UUIDField(source="reversal.pk", default=None, allow_null=True)
    posted_in = serializers.UUIDField(source="posted_in_id")
    actions = serializers.SerializerMethodField()

    class Meta:
        model = Payment
        fields = [
            "id", "tenant", "invoice", "amount", "currency", "received_on", "reference", "reverses", "reversal",
            "posted_in", "by", "created_at", "version", "actions",
        ]  # fmt: skip

    def get_actions(self, payment: Payment) -> list[str]:
        is_live = payment.reverses_id is None and not hasattr(payment, "reversal")
        may = can(self.context["request"].user, "invoice.issue", tenant=payment.tenant_id)
        return ["reverse"] if is_live and may else []


class NewPaymentSerializer(serializers.Serializer[Any]):
    invoice = serializers.UUIDField()
    amount = serializers.DecimalField(max_digits=20, decimal_places=2)
    received_on = serializers.DateField()
    reference = serializers.CharField(max_length=200)


class ReversePaymentSerializer(serializers.Serializer[Any]):
    message = serializers.CharField(required=False, allow_blank=True, max_length=300, help_text="Why.")


class PaymentFilter(FilterSet):
    tenant = django_filters.UUIDFilter(field_name="tenant_id")

    class Meta:
        model = Payment
        fields = ["invoice", "received_on"]


class PaymentViewSet(ReadViewSet):
    queryset = Payment.objects.select_related("reversal", "invoice")
    serializer_class = PaymentSerializer
    filterset_class = PaymentFilter
    permissions = {
        "list": "invoice.view", "retrieve": "invoice.view", "create": "invoice.issue", "reverse": "invoice.issue",
    }  # fmt: skip

    @extend_schema(request=NewPaymentSerializer, responses={201: PaymentSerializer})
    def create(self, request: Request) -> Response:
        """What came in for an issued invoice, or a part of it. The rest of it makes the invoice paid."""
        data = self.valid(NewPaymentSerializer)
        seen = Invoice.objects.in_scope(scope_of(self.user, "invoice.view"))
        invoice = seen.filter(pk=data.pop("invoice")).first()
        if invoice is None:
            raise NotFound("There is no such invoice.")
        self.require(invoice)
        return self.created(lambda: payments.receive(by=self.user, invoice=invoice, **data))

    @extend_schema(request=ReversePaymentSerializer, responses={202: PaymentSerializer})
    @action(detail=True, methods=["post"])
    def reverse(self, request: Request, pk: str) -> Response:
        """It did not come in, or went back: the invoice asks for it again."""
        data = self.valid(ReversePaymentSerializer)
        return self.verb(lambda payment: payments.reverse(by=self.user, payment=payment, **data))
