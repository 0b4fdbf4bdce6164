"""Columns of Cost and Usage, of FOCUS 1.2 and 1.4.

FOCUS 1.4 drops two names of 1.2 and adds ten columns. We write neither split costs (`Allocated...`: a charge is for
one project and one resource already) nor which commitments a charge could have had.
"""

from billing.exports.focus.columns import Column, Dataset, Form
from billing.exports.focus.columns import Kind as K
from billing.exports.focus.columns import Level as L
from billing.exports.focus.services import PARENTS, SUBCATEGORIES

_BOTH = (
    Column("AvailabilityZone", K.TEXT, L.RECOMMENDED, True, "the pool, `pool-...`", Form.ID),
    Column(
        "BilledCost",
        K.DECIMAL,
        L.MANDATORY,
        False,
        "what is owed for the line; 0 where a reservation covers it; adds up to the payable amount of the invoice",
    ),
    Column("BillingAccountId", K.TEXT, L.MANDATORY, False, "who pays, `org-...`", Form.ID),
    Column("BillingAccountName", K.TEXT, L.MANDATORY, True, "its name when the charge arose"),
    Column("BillingAccountType", K.TEXT, L.CONDITIONAL, False, "Organisation"),
    Column("BillingCurrency", K.TEXT, L.MANDATORY, False, "one per invoice", Form.CURRENCY),
    Column("BillingPeriodEnd", K.TIME, L.MANDATORY, False, "first instant after the local month, in UTC"),
    Column("BillingPeriodStart", K.TIME, L.MANDATORY, False, "first instant of the local month, in UTC"),
    Column("CapacityReservationId", K.TEXT, L.CONDITIONAL, True, "the reservation, `res-...`", Form.ID),
    Column(
        "CapacityReservationStatus",
        K.TEXT,
        L.CONDITIONAL,
        True,
        "Used or Unused, on usage under a reservation",
        Form.ONE_OF,
        frozenset({"Used", "Unused"}),
    ),
    Column(
        "ChargeCategory",
        K.TEXT,
        L.MANDATORY,
        False,
        "by the kind of charge",
        Form.ONE_OF,
        frozenset({"Usage", "Purchase", "Tax", "Credit", "Adjustment"}),
    ),
    Column(
        "ChargeClass",
        K.TEXT,
        L.MANDATORY,
        True,
        "Correction where an invoiced period is corrected",
        Form.ONE_OF,
        frozenset({"Correction"}),
    ),
    Column("ChargeDescription", K.TEXT, L.MANDATORY, True, "the charge in words"),
    Column(
        "ChargeFrequency",
        K.TEXT,
        L.RECOMMENDED,
        False,
        "Usage-Based, Recurring or One-Time",
        Form.ONE_OF,
        frozenset({"One-Time", "Recurring", "Usage-Based"}),
    ),
    Column("ChargePeriodEnd", K.TIME, L.MANDATORY, False, "end of the slice, exclusive"),
    Column("ChargePeriodStart", K.TIME, L.MANDATORY, False, "start of the slice"),
    Column(
        "CommitmentDiscountCategory",
        K.TEXT,
        L.CONDITIONAL,
        True,
        "Usage: card-hours are committed, not money",
        Form.ONE_OF,
        frozenset({"Spend", "Usage"}),
    ),
    Column("CommitmentDiscountId", K.TEXT, L.CONDITIONAL, True, "the reservation, `res-...`", Form.ID),
    Column("CommitmentDiscountName", K.TEXT, L.CONDITIONAL, True, "its name"),
    Column("CommitmentDiscountQuantity", K.DECIMAL, L.CONDITIONAL, True, "committed hours bought, used or unused"),
    Column(
        "CommitmentDiscountStatus",
        K.TEXT,
        L.CONDITIONAL,
        True,
        "Used or Unused, on usage under a reservation",
        Form.ONE_OF,
        frozenset({"Used", "Unused"}),
    ),
    Column("CommitmentDiscountType", K.TEXT, L.CONDITIONAL, True, "Reservation"),
    Column("CommitmentDiscountUnit", K.TEXT, L.CONDITIONAL, True, "as PricingUnit", Form.UNIT),
    Column("ConsumedQuantity", K.DECIMAL, L.CONDITIONAL, True, "metered seconds times units"),
    Column("ConsumedUnit", K.TEXT, L.CONDITIONAL, True, "Accelerator-Seconds or Core-Seconds", Form.UNIT),
    Column("ContractedCost", K.DECIMAL, L.MANDATORY, False, "agreed price times quantity, exact"),
    Column("ContractedUnitPrice", K.DECIMAL, L.CONDITIONAL, True, "agreed price", Form.NOT_NEGATIVE),
    Column(
        "EffectiveCost",
        K.DECIMAL,
        L.MANDATORY,
        False,
        "as BilledCost; under a reservation its cost spread over the hours; 0 on its purchase",
    ),
    Column("InvoiceId", K.TEXT, L.CONDITIONAL, True, "number of the invoice, once it has one", Form.ID),
    Column("InvoiceIssuerName", K.TEXT, L.MANDATORY, False, "who writes the invoice"),
    Column("ListCost", K.DECIMAL, L.MANDATORY, False, "list price times quantity, exact"),
    Column("ListUnitPrice", K.DECIMAL, L.CONDITIONAL, True, "list price", Form.NOT_NEGATIVE),
    Column(
        "PricingCategory",
        K.TEXT,
        L.CONDITIONAL,
        True,
        "Standard on demand, Dynamic spot and over quota, Committed under a reservation",
        Form.ONE_OF,
        frozenset({"Standard", "Dynamic", "Committed", "Other"}),
    ),
    Column("PricingCurrency", K.TEXT, L.CONDITIONAL, False, "as BillingCurrency", Form.CURRENCY),
    Column(
        "PricingCurrencyContractedUnitPrice",
        K.DECIMAL,
        L.CONDITIONAL,
        True,
        "as ContractedUnitPrice",
        Form.NOT_NEGATIVE,
    ),
    Column("PricingCurrencyEffectiveCost", K.DECIMAL, L.CONDITIONAL, False, "as EffectiveCost"),
    Column("PricingCurrencyListUnitPrice", K.DECIMAL, L.CONDITIONAL, True, "as ListUnitPrice", Form.NOT_NEGATIVE),
    Column("PricingQuantity", K.DECIMAL, L.MANDATORY, True, "hours at nine decimals"),
    Column("PricingUnit", K.TEXT, L.MANDATORY, True, "Accelerator-Hours or Core-Hours", Form.UNIT),
    Column("RegionId", K.TEXT, L.CONDITIONAL, True, "the site, `site-...`", Form.ID),
    Column("RegionName", K.TEXT, L.CONDITIONAL, True, "its name"),
    Column("ResourceId", K.TEXT, L.CONDITIONAL, True, "job, notebook or lease, `job-...`", Form.ID),
    Column("ResourceName", K.TEXT, L.CONDITIONAL, True, "its name"),
    Column("ResourceType", K.TEXT, L.CONDITIONAL, True, "what it is"),
    Column(
        "ServiceCategory",
        K.TEXT,
        L.MANDATORY,
        False,
        "Compute; inference: AI and Machine Learning",
        Form.ONE_OF,
        frozenset(SUBCATEGORIES),
    ),
    Column("ServiceName", K.TEXT, L.MANDATORY, False, "Accelerator Compute or Model Inference"),
    Column("ServiceSubcategory", K.TEXT, L.RECOMMENDED, False, "by the service", Form.ONE_OF, frozenset(PARENTS)),
    Column("SkuId", K.TEXT, L.CONDITIONAL, True, "what is sold, `sku-...`", Form.ID),
    Column("SkuMeter", K.TEXT, L.CONDITIONAL, True, "how it is metered"),
    Column("SkuPriceDetails", K.JSON, L.CONDITIONAL, True, "model, cards, how it is shared", Form.PAIRS),
    Column("SkuPriceId", K.TEXT, L.CONDITIONAL, True, "the version of its price, `price-...`", Form.ID),
    Column("SubAccountId", K.TEXT, L.CONDITIONAL, True, "the project, `proj-...`", Form.ID),
    Column("SubAccountName", K.TEXT, L.CONDITIONAL, True, "its name"),
    Column("SubAccountType", K.TEXT, L.CONDITIONAL, True, "Project"),
    Column("Tags", K.JSON, L.CONDITIONAL, True, "tags of project and workload", Form.PAIRS),
)

_ONLY_1_2 = (
    Column("ProviderName", K.TEXT, L.MANDATORY, False, "the hub"),
    Column("PublisherName", K.TEXT, L.MANDATORY, False, "the member whose cards they are"),
)

_FROM_1_3 = (
    Column("AllocatedMethodDetails", K.JSON, L.RECOMMENDED, True, "", Form.OBJECT),
    Column("AllocatedMethodId", K.TEXT, L.CONDITIONAL, True, ""),
    Column("AllocatedResourceId", K.TEXT, L.CONDITIONAL, True, ""),
    Column("AllocatedResourceName", K.TEXT, L.CONDITIONAL, True, ""),
    Column("AllocatedTags", K.JSON, L.CONDITIONAL, True, "", Form.PAIRS),
    Column("CommitmentProgramEligibilityDetails", K.JSON, L.CONDITIONAL, True, "", Form.OBJECT),
    Column(
        "ContractApplied", K.JSON, L.CONDITIONAL, True, "which commitment covered it, and how many hours", Form.OBJECT
    ),
    Column("HostProviderName", K.TEXT, L.MANDATORY, True, "the member whose cards they are"),
    Column("InvoiceDetailId", K.TEXT, L.CONDITIONAL, True, "line of the invoice", Form.ID),
    Column("ServiceProviderName", K.TEXT, L.MANDATORY, False, "the hub"),
)

_OURS = (
    Column("x_LineId", K.TEXT, L.OURS, False, "line of the ledger, `line-...`", Form.ID),
    Column("x_CorrectsLineId", K.TEXT, L.OURS, True, "line that this one corrects", Form.ID),
    Column(
        "x_HostId", K.TEXT, L.OURS, True, "the member whose cards they are, `org-...`: what members settle by", Form.ID
    ),
    Column("x_PriceBook", K.TEXT, L.OURS, True, "hash of the price book that rated it"),
    Column("x_TaxName", K.TEXT, L.OURS, True, "which tax"),
    Column("x_TaxRate", K.DECIMAL, L.OURS, True, "its rate, 0.06 for 6 %", Form.NOT_NEGATIVE),
)


def _sorted(*groups: tuple[Column, ...]) -> tuple[Column, ...]:
    return (*sorted((column for group in groups for column in group), key=lambda column: column.name), *_OURS)


COST_AND_USAGE_1_2 = Dataset("CostAndUsage", "1.2", _sorted(_BOTH, _ONLY_1_2))
COST_AND_USAGE_1_4 = Dataset("CostAndUsage", "1.4", _sorted(_BOTH, _FROM_1_3))
