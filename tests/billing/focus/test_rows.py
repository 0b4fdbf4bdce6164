"""From charges to rows: each kind as FOCUS wants it, products exact, and nothing our checker could object to."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.exports.focus.charges import (
    COMMITTED,
    METERED,
    PRICED,
    Charge,
    ChargeKind,
    Commitment,
    InvalidCharge,
    Party,
    Pricing,
    Resource,
    Tax,
    Unit,
)
from billing.exports.focus.check import DATASETS, check_rows
from billing.exports.focus.columns import Level
from billing.exports.focus.cost_and_usage import COST_AND_USAGE_1_2, COST_AND_USAGE_1_4
from billing.exports.focus.money import product
from billing.exports.focus.rows import cost_and_usage
from tests.billing.focus import estate
from tests.billing.focus.estate import OCTOBER, PHYSICS, SEPTEMBER, SITE, TRAINING, charge, priced, texts

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
NAME = TEXT.filter(str.strip)
PRICE = st.decimals(0, 10_000, places=6)


@st.composite
def charges(draw: st.DrawFn) -> Charge:
    kind = draw(st.sampled_from(ChargeKind))
    corrects = draw(st.none() | st.just("0-1"))
    seconds = draw(st.integers(-3600 if corrects else 1, 3600 * 744))
    fields: dict[str, Any] = {"corrects": corrects, "description": draw(TEXT), "is_inference": draw(st.booleans())}
    if kind in PRICED:
        fields["pricing"] = Pricing(
            draw(NAME), draw(NAME), draw(NAME), draw(st.sampled_from(Unit)), estate.hours(seconds), draw(PRICE),
            draw(PRICE), (("Model", draw(TEXT)),),
        )  # fmt: skip
    else:
        smallest = {ChargeKind.ADJUSTMENT: "-0.005", ChargeKind.CREDIT: "-100000"}.get(kind, "0")
        largest = {ChargeKind.ADJUSTMENT: "0.005", ChargeKind.CREDIT: "0"}.get(kind, "100000")
        fields["cost"] = draw(st.decimals(smallest, largest, places=15))
    if kind in METERED:
        fields["seconds"] = Decimal(seconds)
        fields["resource"] = Resource("job", draw(NAME), draw(TEXT))
    if kind in COMMITTED:
        fields["commitment"] = Commitment(draw(NAME), draw(NAME), draw(NAME))
    if kind is ChargeKind.TAX:
        fields["tax"] = Tax(draw(NAME), draw(st.decimals(0, 1, places=4)))
    if draw(st.booleans()):
        fields.update(site=Party(draw(NAME), draw(NAME)), pool_id=draw(st.none() | NAME))
    if draw(st.booleans()):
        fields["project"] = Party(draw(NAME), draw(NAME))
    if draw(st.booleans()):
        fields.update(invoice_id=None, invoice_line_id=None)
    fields["tags"] = tuple(draw(st.dictionaries(NAME, TEXT, max_size=3)).items())
    return charge("1", kind, payer=Party(draw(NAME), draw(NAME)), **fields)


@settings(max_examples=150, deadline=None)
@given(one=charges())
def test_whatever_the_ledger_may_say_the_checker_has_nothing_against_the_row(one: Charge) -> None:
    row = cost_and_usage(one)
    for dataset in (COST_AND_USAGE_1_2, COST_AND_USAGE_1_4):
        assert [str(found) for found in check_rows([(dataset, texts(dataset, [row]))], is_whole=False)] == []


@given(one=charges())
def test_costs_are_products_to_the_last_digit(one: Charge) -> None:
    row = cost_and_usage(one)
    if one.pricing is not None:
        assert row["ListCost"] == product(one.pricing.list_price, one.pricing.quantity)
        assert row["ContractedCost"] == product(one.pricing.agreed_price, one.pricing.quantity)
    else:
        assert row["ListCost"] == row["ContractedCost"] == row["BilledCost"] == one.cost


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (1, ("Usage", "Standard", "Usage-Based", None, "10", "10")),
        (3, ("Usage", "Dynamic", "Usage-Based", None, "9.963700292", "9.963700292")),
        (4, ("Purchase", "Committed", "One-Time", None, "80", "0")),
        (5, ("Usage", "Committed", "Usage-Based", "Used", "0", "56")),
        (6, ("Usage", "Committed", "Usage-Based", "Unused", "0", "24")),
        (7, ("Credit", None, "One-Time", None, "-5.000000000000001", "-5.000000000000001")),
        (9, ("Tax", None, "One-Time", None, "6.7812345", "6.7812345")),
    ],
)
def test_each_kind_says_what_it_is(line: int, words: tuple[str | None, ...]) -> None:
    row = next(row for row in estate.bundle().cost_and_usage if row["x_LineId"] == f"line-{line}")
    names = ("ChargeCategory", "PricingCategory", "ChargeFrequency", "CommitmentDiscountStatus")
    assert tuple(row.get(name) for name in names) == words[:4]
    billed, effective = row["BilledCost"], row["EffectiveCost"]
    assert isinstance(billed, Decimal) and isinstance(effective, Decimal)
    expected = product(Decimal("5.123457"), estate.hours(7001)) if line == 3 else Decimal(str(words[4]))
    assert billed == expected
    assert effective == (expected if line == 3 else Decimal(str(words[5])))


def test_who_sells_and_who_hosts_is_named_by_the_words_of_each_version() -> None:
    row = cost_and_usage(charge("1", ChargeKind.ON_DEMAND, pricing=priced(60), seconds=Decimal(60)))
    assert row["ProviderName"] == row["ServiceProviderName"] == "Federation Hub"
    assert row["PublisherName"] == row["HostProviderName"] == "Member Site A"
    assert {"ProviderName", "PublisherName"} <= set(COST_AND_USAGE_1_2.names) - set(COST_AND_USAGE_1_4.names)
    assert {"ServiceProviderName", "HostProviderName"} <= set(COST_AND_USAGE_1_4.names) - set(COST_AND_USAGE_1_2.names)


def test_identifiers_never_become_one_another() -> None:
    def project(name: str) -> object:
        return cost_and_usage(charge("1", ChargeKind.CREDIT, cost=Decimal(-1), project=Party(name, "a")))[
            "SubAccountId"
        ]

    assert project("1") == "proj-1"
    assert project("proj-1") == "proj-proj-1"


def test_an_invoice_number_of_digits_is_refused() -> None:
    with pytest.raises(InvalidCharge, match="20261001"):
        cost_and_usage(charge("1", ChargeKind.CREDIT, cost=Decimal(-1), invoice_id="20261001"))


GOOD = charge("1", ChargeKind.ON_DEMAND, pricing=priced(3600), seconds=Decimal(3600), project=TRAINING, site=SITE)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pricing": None}, "needs price and quantity"),
        ({"seconds": None}, "needs metered seconds"),
        ({"commitment": Commitment("r", "r", "c")}, "has no reservation"),
        ({"tax": Tax("VAT", Decimal(0))}, "tax is named"),
        ({"end": GOOD.start}, "ends before it has begun"),
        ({"start": SEPTEMBER.start}, "outside the billing period"),
        ({"end": OCTOBER.end + timedelta(seconds=1)}, "outside the billing period"),
        ({"corrects": "1"}, "corrects itself"),
        ({"cost": Decimal("10.01")}, "not the agreed price times the quantity"),
    ],
)
def test_a_charge_that_contradicts_itself_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidCharge, match=f"Line 1: .*{says}"):
        replace(GOOD, **change)


def test_money_never_loses_a_digit() -> None:
    assert product(Decimal("999999999999.999999"), Decimal("999999.999999999")) == Decimal(
        "999999999999998999.000000000000001"
    )


# -- the tables


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: f"{dataset.name}-{dataset.version}")
def test_what_is_mandatory_or_recommended_is_filled(dataset: Any) -> None:
    left_out = {column.name for column in dataset.known if not column.fill}
    needed = {column.name for column in dataset.known if column.level in (Level.MANDATORY, Level.RECOMMENDED)}
    assert left_out & needed <= {"AllocatedMethodDetails"}
    assert len(set(dataset.names)) == len(dataset.names)
    ours = [column.level is Level.OURS for column in dataset.columns]
    assert ours == sorted(ours)  # FOCUS first


def test_the_tables_have_as_many_columns_as_focus() -> None:
    counts = {
        (dataset.name, dataset.version): sum(column.level is not Level.OURS for column in dataset.known)
        for dataset in DATASETS
    }
    assert counts == {
        ("CostAndUsage", "1.2"): 57,
        ("CostAndUsage", "1.4"): 65,
        ("BillingPeriod", "1.4"): 6,
        ("InvoiceDetail", "1.4"): 22,
        ("ContractCommitment", "1.4"): 30,
    }


def test_names_stay_those_of_the_time_of_the_charge() -> None:
    renamed = replace(GOOD, payer=Party(PHYSICS.id, "Institute of Quantum Physics"))
    assert cost_and_usage(GOOD)["BillingAccountName"] == "Institute of Physics"
    assert cost_and_usage(renamed)["BillingAccountId"] == cost_and_usage(GOOD)["BillingAccountId"]
