"""Prices, metered usage and invoices. Imported as `from billing.models import Invoice`."""

from billing.models.invoices import Invoice, InvoiceLine, NumberSeries
from billing.models.prices import Price
from billing.models.usage import Mark, UsageRecord

__all__ = ["Invoice", "InvoiceLine", "Mark", "NumberSeries", "Price", "UsageRecord"]
