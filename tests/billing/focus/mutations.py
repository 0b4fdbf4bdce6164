"""Ways to spoil an export that is right, one at a time. Each names the rule that has to notice.

A mutation gets all datasets of FOCUS 1.4 as texts, and changes them in place. Lines of the estate: 1 and 2 on demand,
3 spot, 4 purchase, 5 used, 6 unused, 7 credit, 8 correction, 9 tax, 10 rounding, 11 of another organisation.
"""

from collections.abc import Callable

from billing.exports.focus.check_values import TextRow

Datasets = dict[str, list[TextRow]]
Mutation = Callable[[Datasets], None]
MUTATIONS: list[tuple[str, Mutation]] = []


def noticed_by(rule: str) -> Callable[[Mutation], Mutation]:
    def add(mutation: Mutation) -> Mutation:
        MUTATIONS.append((rule, mutation))
        return mutation

    return add


def line(data: Datasets, number: int) -> TextRow:
    return next(row for row in data["CostAndUsage"] if row["x_LineId"] == f"line-{number}")


def detail(data: Datasets, name: str) -> TextRow:
    return next(row for row in data["InvoiceDetail"] if row["InvoiceDetailId"] == f"line-1-{name}")


def simple(rule: str, name: str, number: int, column: str, value: str | None) -> None:
    """One value of one charge."""

    def mutation(data: Datasets) -> None:
        assert line(data, number)[column] != value
        line(data, number)[column] = value

    mutation.__name__ = name
    MUTATIONS.append((rule, mutation))


# -- values
simple("currency", "currency_that_is_no_code", 1, "BillingCurrency", "RMB")
simple("currency", "currency_of_offshore_trading", 1, "BillingCurrency", "CNH")
simple("currency", "currency_in_lower_case", 1, "BillingCurrency", "cny")
simple("allowed", "category_that_does_not_exist", 1, "ChargeCategory", "Banana")
simple("allowed", "class_that_does_not_exist", 8, "ChargeClass", "Amendment")
simple("allowed", "frequency_that_does_not_exist", 1, "ChargeFrequency", "Hourly")
simple("allowed", "pricing_category_that_does_not_exist", 3, "PricingCategory", "Spot")
simple("allowed", "service_category_that_does_not_exist", 1, "ServiceCategory", "GPU")
simple("allowed", "service_subcategory_that_does_not_exist", 1, "ServiceSubcategory", "GPU")
simple("allowed", "status_in_lower_case", 5, "CommitmentDiscountStatus", "used")
simple("null", "billed_cost_missing", 1, "BilledCost", None)
simple("null", "effective_cost_missing", 9, "EffectiveCost", None)
simple("null", "service_name_missing", 1, "ServiceName", None)
simple("null", "account_missing", 1, "BillingAccountId", None)
simple("null", "issuer_missing", 1, "InvoiceIssuerName", None)
simple("null", "period_end_missing", 1, "BillingPeriodEnd", None)
simple("blank", "service_name_blank", 1, "ServiceName", "  ")
simple("blank", "text_empty_instead_of_null", 1, "ChargeDescription", "")
simple("number", "thousands_commas", 1, "BilledCost", "1,000.00")
simple("number", "plus_before_a_number", 1, "BilledCost", "+10.00")
simple("number", "exponent", 1, "BilledCost", "1E1")
simple("number", "currency_sign", 1, "BilledCost", "¥10.00")
simple("number", "not_a_number", 1, "BilledCost", "NaN")
simple("number", "point_without_a_digit", 1, "BilledCost", "10.")
simple("number", "wide_digits", 1, "BilledCost", "１０.００")
simple("digits", "sixteen_decimals", 7, "BilledCost", "-5.0000000000000001")
simple("scale", "quantity_finer_than_nine_decimals", 1, "PricingQuantity", "1.0000000001")
simple("scale", "price_finer_than_six_decimals", 1, "ListUnitPrice", "12.5000001")
simple("negative", "price_below_zero", 1, "ListUnitPrice", "-12.50")
simple("time", "offset_instead_of_z", 1, "ChargePeriodStart", "2026-10-01T12:00:00+08:00")
simple("time", "local_time_without_zone", 1, "ChargePeriodStart", "2026-10-01T04:00:00")
simple("time", "date_without_time", 1, "BillingPeriodStart", "2026-10-01")
simple("time", "day_that_does_not_exist", 1, "ChargePeriodStart", "2026-02-30T00:00:00Z")
simple("unit", "unit_that_is_not_ours", 1, "PricingUnit", "gpu hrs")
simple("unit", "hours_where_seconds_are_metered", 1, "ConsumedUnit", "Accelerator-Hours")
simple("digits-only", "account_of_digits", 1, "BillingAccountId", "1234567")
simple("digits-only", "invoice_of_digits", 1, "InvoiceId", "20261001")
simple("prefix", "account_without_prefix", 1, "BillingAccountId", "11111111-1111-4111-8111-111111111111")
simple("prefix", "project_with_the_prefix_of_an_organisation", 1, "SubAccountId", "org-55555555")
simple("json", "tags_that_are_no_json", 1, "Tags", "team=llm")
simple("json", "tags_as_a_list", 1, "Tags", '["llm"]')
simple("json", "a_tag_twice", 1, "Tags", '{"team":"a","team":"b"}')
simple("json", "a_tag_that_is_no_number", 1, "Tags", '{"team":NaN}')
simple("json-plain", "tags_within_tags", 1, "Tags", '{"team":{"name":"llm"}}')
simple("json-keys", "details_without_our_prefix", 1, "SkuPriceDetails", '{"Model":"a100"}')
simple("unicode", "half_a_letter", 1, "ChargeDescription", "a\ud800")

# -- within a row
simple("product", "list_cost_that_is_no_product", 1, "ListCost", "12.51")
simple("product", "list_cost_off_by_the_last_digit", 2, "ListCost", "4.284722225000001")
simple("product", "contracted_cost_of_a_correction", 8, "ContractedCost", "-1.60")
simple("product", "price_changed_alone", 6, "ListUnitPrice", "13.00")
simple("charge-period", "charge_turned_round", 1, "ChargePeriodEnd", "2026-10-01T03:00:00Z")
simple("charge-period", "charge_of_no_time", 1, "ChargePeriodEnd", "2026-10-01T04:00:00Z")
simple("outside-period", "charge_before_the_period", 1, "ChargePeriodStart", "2026-09-30T15:59:59Z")
simple("outside-period", "charge_after_the_period", 11, "ChargePeriodEnd", "2026-10-31T16:00:01Z")
simple("together", "project_without_a_name", 1, "SubAccountName", None)
simple("together", "project_name_without_a_project", 11, "SubAccountName", "training")
simple("together", "site_without_a_name", 1, "RegionName", None)
simple("together", "resource_without_a_type", 1, "ResourceType", None)
simple("together", "resource_name_without_a_resource", 6, "ResourceName", "train-llm")
simple("together", "quantity_without_a_unit", 1, "PricingUnit", None)
simple("together", "seconds_without_a_unit", 1, "ConsumedUnit", None)
simple("subcategory", "subcategory_of_another_category", 1, "ServiceSubcategory", "Generative AI")
simple("correction", "correction_of_nothing", 8, "x_CorrectsLineId", None)
simple("correction", "correction_of_itself", 8, "x_CorrectsLineId", "line-8")
simple("correction", "correction_that_does_not_say_so", 8, "ChargeClass", None)
simple("correction", "usage_that_corrects", 1, "x_CorrectsLineId", "line-0-17")
simple("pricing-currency", "prices_in_another_currency", 1, "PricingCurrency", "USD")
simple("pricing-currency", "effective_cost_told_twice", 1, "PricingCurrencyEffectiveCost", "9.00")
simple("usage-frequency", "usage_that_recurs", 1, "ChargeFrequency", "Recurring")
simple("usage-priced", "usage_without_a_sku", 1, "SkuId", None)
simple("usage-priced", "usage_without_a_price_version", 3, "SkuPriceId", None)
simple("usage-priced", "usage_without_a_pricing_category", 1, "PricingCategory", None)
simple("usage-metered", "usage_without_seconds", 1, "ConsumedQuantity", None)
simple("hours", "seconds_that_are_not_the_hours", 1, "ConsumedQuantity", "3601.00")
simple("on-demand", "on_demand_covered_by_nothing", 1, "BilledCost", "0.00")
simple("on-demand", "spot_with_another_effective_cost", 3, "EffectiveCost", "0.00")
simple("unused", "unused_that_consumed", 6, "ConsumedQuantity", "10800.00")
simple("purchase", "purchase_worth_something", 4, "EffectiveCost", "80.00")
simple("purchase", "purchase_by_usage", 4, "ChargeFrequency", "Usage-Based")
simple("not-usage", "purchase_that_consumed", 4, "ConsumedQuantity", "36000.00")
simple("not-usage", "purchase_that_is_used", 4, "CommitmentDiscountStatus", "Used")
simple("commitment", "purchase_billed_otherwise_on_usage", 5, "BilledCost", "56.00")
simple("commitment", "used_without_status", 5, "CommitmentDiscountStatus", None)
simple("commitment", "reservation_without_status", 5, "CapacityReservationStatus", None)
simple("commitment", "reservation_of_another", 5, "CapacityReservationId", "res-r2")
simple("commitment", "committed_hours_of_another_number", 6, "CommitmentDiscountQuantity", "4.00")
simple("commitment", "committed_without_a_type", 5, "CommitmentDiscountType", None)
simple("commitment", "committed_at_the_standard_price", 5, "PricingCategory", "Standard")
simple("no-commitment", "committed_to_nothing", 3, "PricingCategory", "Committed")
simple("no-commitment", "status_without_a_commitment", 1, "CommitmentDiscountStatus", "Used")
simple("unpriced", "sku_on_tax", 9, "SkuId", "sku-a100")
simple("unpriced", "quantity_on_tax", 9, "PricingQuantity", "1.00")
simple("unpriced", "tax_worth_less_than_billed", 9, "EffectiveCost", "1.00")
simple("unpriced", "credit_with_a_price", 7, "ListUnitPrice", "1.00")
simple("unpriced", "credit_of_another_list_cost", 7, "ListCost", "0.00")
simple("unpriced", "rounding_by_usage", 10, "ChargeFrequency", "Usage-Based")
simple("tax", "tax_without_a_name", 9, "x_TaxName", None)
simple("tax", "usage_that_is_taxed", 1, "x_TaxName", "VAT")
simple("contract", "used_without_a_contract", 5, "ContractApplied", None)
simple("contract", "contract_on_demand", 1, "ContractApplied", '{"Elements":[]}')


@noticed_by("contract")
def contract_of_another_commitment(data: Datasets) -> None:
    row = line(data, 5)
    row["ContractApplied"] = str(row["ContractApplied"]).replace("res-r1", "res-r2")


@noticed_by("contract")
def contract_with_other_hours(data: Datasets) -> None:
    row = line(data, 5)
    row["ContractApplied"] = str(row["ContractApplied"]).replace(":7.00,", ":7.01,")


@noticed_by("billing-period")
def billing_period_turned_round(data: Datasets) -> None:
    row = line(data, 1)
    row["BillingPeriodStart"], row["BillingPeriodEnd"] = row["BillingPeriodEnd"], row["BillingPeriodStart"]


@noticed_by("charge-period")
def charge_turned_round_and_outside(data: Datasets) -> None:
    line(data, 1).update(ChargePeriodStart="2026-12-02T00:00:00Z", ChargePeriodEnd="2026-12-01T00:00:00Z")


@noticed_by("credit")
def credit_that_costs(data: Datasets) -> None:
    for name in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "PricingCurrencyEffectiveCost"):
        line(data, 7)[name] = "5.00"


@noticed_by("rounding")
def rounding_of_a_whole_yuan(data: Datasets) -> None:
    for name in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "PricingCurrencyEffectiveCost"):
        line(data, 10)[name] = "1.00"


@noticed_by("usage-negative")
def usage_that_takes_back(data: Datasets) -> None:
    row = line(data, 1)
    for name in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "PricingQuantity", "ConsumedQuantity"):
        row[name] = f"-{row[name]}"
    row["PricingCurrencyEffectiveCost"] = row["EffectiveCost"]


# -- between rows
@noticed_by("one-currency")
def two_currencies_in_one_invoice(data: Datasets) -> None:
    line(data, 1).update(BillingCurrency="USD", PricingCurrency="USD")


@noticed_by("one-account")
def two_payers_of_one_invoice(data: Datasets) -> None:
    line(data, 1)["BillingAccountId"] = "org-22222222-2222-4222-8222-222222222222"


@noticed_by("one-issuer")
def two_issuers_of_one_invoice(data: Datasets) -> None:
    line(data, 2)["InvoiceIssuerName"] = "Member Site A"


@noticed_by("one-period")
def two_periods_in_one_invoice(data: Datasets) -> None:
    line(data, 2)["BillingPeriodEnd"] = "2026-11-30T16:00:00Z"


@noticed_by("one-sku")
def one_price_of_two_skus(data: Datasets) -> None:
    line(data, 1)["SkuId"] = "sku-h100"


@noticed_by("one-category")
def one_service_in_two_categories(data: Datasets) -> None:
    line(data, 2).update(ServiceCategory="AI and Machine Learning", ServiceSubcategory="Machine Learning")


@noticed_by("double-line")
def a_line_twice(data: Datasets) -> None:
    data["CostAndUsage"].append(dict(line(data, 1)))


@noticed_by("one-rounding")
def rounded_twice(data: Datasets) -> None:
    data["CostAndUsage"].append({**line(data, 10), "x_LineId": "line-12"})


@noticed_by("payable")
def rounding_left_out(data: Datasets) -> None:
    data["CostAndUsage"].remove(line(data, 10))


@noticed_by("reconcile")
def a_line_left_out(data: Datasets) -> None:
    data["CostAndUsage"].remove(line(data, 1))


@noticed_by("one-detail")
def a_charge_on_the_line_of_another_category(data: Datasets) -> None:
    line(data, 9)["InvoiceDetailId"] = "line-1-credit"


# -- between datasets
@noticed_by("reconcile")
def invoice_off_by_a_cent(data: Datasets) -> None:
    detail(data, "spot")["BilledCost"] = "9.98"


@noticed_by("reconcile")
def invoice_line_without_charges(data: Datasets) -> None:
    data["InvoiceDetail"].append({**detail(data, "spot"), "InvoiceDetailId": "line-1-other"})


@noticed_by("no-detail")
def charges_without_an_invoice_line(data: Datasets) -> None:
    data["InvoiceDetail"].remove(detail(data, "tax"))


@noticed_by("detail-differs")
def invoice_line_of_another_payer(data: Datasets) -> None:
    detail(data, "tax")["BillingAccountId"] = "org-22222222-2222-4222-8222-222222222222"


@noticed_by("double-detail")
def invoice_line_twice(data: Datasets) -> None:
    data["InvoiceDetail"].append(dict(detail(data, "tax")))


@noticed_by("issued")
def issued_without_a_date(data: Datasets) -> None:
    detail(data, "tax")["InvoiceIssueDate"] = None


@noticed_by("issued")
def open_with_a_date(data: Datasets) -> None:
    detail(data, "tax")["InvoiceIssueStatus"] = "Open"


@noticed_by("due")
def due_before_it_was_issued(data: Datasets) -> None:
    detail(data, "tax")["PaymentDueDate"] = "2026-10-01T00:00:00Z"


@noticed_by("one-head")
def one_invoice_due_twice(data: Datasets) -> None:
    detail(data, "tax")["PaymentDueDate"] = "2027-01-01T00:00:00Z"


@noticed_by("no-period")
def charges_without_a_period(data: Datasets) -> None:
    data["BillingPeriod"][0]["InvoiceIssuerName"] = "Somebody else"


@noticed_by("closed-period")
def closed_with_a_charge_on_no_invoice(data: Datasets) -> None:
    line(data, 11).update(InvoiceId=None, InvoiceDetailId=None)


@noticed_by("double-period")
def a_period_twice(data: Datasets) -> None:
    data["BillingPeriod"].append(dict(data["BillingPeriod"][0]))


@noticed_by("updated")
def changed_before_it_was_made(data: Datasets) -> None:
    data["BillingPeriod"][0]["BillingPeriodLastUpdated"] = "2026-01-01T00:00:00Z"


@noticed_by("no-commitment-row")
def reservation_that_nobody_knows(data: Datasets) -> None:
    data["ContractCommitment"][0]["ContractCommitmentId"] = "res-r2"


@noticed_by("double-commitment")
def reservation_twice(data: Datasets) -> None:
    data["ContractCommitment"].append(dict(data["ContractCommitment"][0]))


@noticed_by("spread")
def reservation_spread_wrongly(data: Datasets) -> None:
    for name in ("EffectiveCost", "PricingCurrencyEffectiveCost"):
        line(data, 6)[name] = "23.00"


@noticed_by("spread")
def reservation_of_another_price(data: Datasets) -> None:
    data["ContractCommitment"][0]["ContractCommitmentCost"] = "81.00"


@noticed_by("term")
def term_turned_round(data: Datasets) -> None:
    data["ContractCommitment"][0]["ContractCommitmentPeriodEnd"] = "2026-09-01T00:00:00Z"


@noticed_by("committed")
def nothing_committed(data: Datasets) -> None:
    data["ContractCommitment"][0].update(ContractCommitmentQuantity=None, ContractCommitmentUnit=None)


@noticed_by("upfront")
def paid_at_once_and_not(data: Datasets) -> None:
    data["ContractCommitment"][0]["ContractCommitmentPaymentModel"] = "No Upfront"


@noticed_by("share")
def discount_of_more_than_all(data: Datasets) -> None:
    data["ContractCommitment"][0]["ContractCommitmentDiscountPercentage"] = "36.00"


@noticed_by("applicability")
def for_nothing_in_particular(data: Datasets) -> None:
    data["ContractCommitment"][0]["ContractCommitmentApplicability"] = "{}"


# -- the file
def _column(data: Datasets, dataset: str, old: str, new: str | None) -> None:
    for row in data[dataset]:
        value = row.pop(old)
        if new is not None:
            row[new] = value


@noticed_by("missing-column")
def mandatory_column_left_out(data: Datasets) -> None:
    _column(data, "CostAndUsage", "HostProviderName", None)


@noticed_by("missing-column")
def recommended_column_left_out(data: Datasets) -> None:
    _column(data, "CostAndUsage", "ChargeFrequency", None)


@noticed_by("unknown-column")
def column_of_ours_without_x(data: Datasets) -> None:
    _column(data, "CostAndUsage", "x_LineId", "LineId")


@noticed_by("missing-column")
def invoice_detail_without_terms(data: Datasets) -> None:
    _column(data, "InvoiceDetail", "PaymentTerms", None)
