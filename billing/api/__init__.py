"""Routes of billing."""

from typing import Any

from billing.api.books import BillingTermViewSet, CommitmentViewSet, PriceBookViewSet, TaxRuleViewSet
from billing.api.budgets import BudgetViewSet, EstimateViewSet
from billing.api.charges import ChargeViewSet
from billing.api.costs import CostsViewSet
from billing.api.exports import ExportScheduleViewSet, ExportTargetViewSet, ExportViewSet
from billing.api.invoices import InvoiceViewSet
from billing.api.metering import CapacityHourViewSet, UsageGapViewSet
from billing.api.months import MonthViewSet
from billing.api.payments import PaymentViewSet
from billing.api.prices import PriceViewSet
from billing.api.profiles import BillingProfileViewSet
from billing.api.proposals import ProposalViewSet
from billing.api.settlements import SettlementViewSet
from billing.api.usage import UsageRecordViewSet
from billing.api.wallets import CreditViewSet, WalletViewSet


def routes(router: Any) -> None:
    router.register("prices", PriceViewSet, "prices")
    router.register("price-books", PriceBookViewSet, "price_books")
    router.register("tax-rules", TaxRuleViewSet, "tax_rules")
    router.register("billing-terms", BillingTermViewSet, "billing_terms")
    router.register("commitments", CommitmentViewSet, "commitments")
    router.register("usage-records", UsageRecordViewSet, "usage_records")
    router.register("usage-gaps", UsageGapViewSet, "usage_gaps")
    router.register("capacity-hours", CapacityHourViewSet, "capacity_hours")
    router.register("costs", CostsViewSet, "costs")
    router.register("charges", ChargeViewSet, "charges")
    router.register("proposals", ProposalViewSet, "proposals")
    router.register("exports", ExportViewSet, "exports")
    router.register("export-targets", ExportTargetViewSet, "export_targets")
    router.register("export-schedules", ExportScheduleViewSet, "export_schedules")
    router.register("invoices", InvoiceViewSet, "invoices")
    router.register("budgets", BudgetViewSet, "budgets")
    router.register("estimates", EstimateViewSet, "estimates")
    router.register("wallets", WalletViewSet, "wallets")
    router.register("credits", CreditViewSet, "credits")
    router.register("billing-profiles", BillingProfileViewSet, "billing_profiles")
    router.register("payments", PaymentViewSet, "payments")
    router.register("months", MonthViewSet, "months")
    router.register("settlements", SettlementViewSet, "settlements")
