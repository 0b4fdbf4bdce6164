"""Prices, metered usage, the ledger and invoices. Imported as `from billing.models import Invoice`."""

from billing.models.books import BillingTerm, PriceBook, TaxRule, TenantClass
from billing.models.budgets import Budget, BudgetAlert, BudgetHold, OnExhausted
from billing.models.capacity import CapacityHour
from billing.models.charges import Charge, ChargeCategory
from billing.models.commitments import Commitment
from billing.models.exports import Every, Export, ExportKind, ExportSchedule, ExportTarget
from billing.models.gaps import UsageGap
from billing.models.invoices import Invoice, InvoicedCharge, InvoiceLine, NumberSeries
from billing.models.ledger import AccountKind, LedgerAccount, LedgerEntry, LedgerTransaction, TransactionKind
from billing.models.marks import Mark
from billing.models.months import Month, SettlementLine
from billing.models.payments import Payment
from billing.models.prices import PriceVersion
from billing.models.profiles import BillingProfile
from billing.models.proposals import Proposal
from billing.models.usage import UsageRecord
from billing.models.wallets import Credit, CreditUse, Wallet

__all__ = [
    "AccountKind", "BillingProfile", "BillingTerm", "Budget", "BudgetAlert", "BudgetHold", "CapacityHour", "Charge",
    "ChargeCategory", "Commitment", "Credit", "CreditUse", "Every", "Export", "ExportKind", "ExportSchedule",
    "ExportTarget", "Invoice", "InvoiceLine", "InvoicedCharge", "LedgerAccount", "LedgerEntry", "LedgerTransaction",
    "Mark", "Month", "NumberSeries", "OnExhausted", "Payment", "PriceBook", "PriceVersion", "Proposal",
    "SettlementLine", "TaxRule", "TenantClass", "TransactionKind", "UsageGap", "UsageRecord", "Wallet",
]  # fmt: skip
