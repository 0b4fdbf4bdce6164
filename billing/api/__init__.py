"""Routes of billing."""

from typing import Any

from billing.api.invoices import InvoiceViewSet
from billing.api.prices import PriceViewSet
from billing.api.usage import UsageRecordViewSet


def routes(router: Any) -> None:
    router.register("prices", PriceViewSet, "prices")
    router.register("usage-records", UsageRecordViewSet, "usage_records")
    router.register("invoices", InvoiceViewSet, "invoices")
