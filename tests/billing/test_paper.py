"""Invoices on paper and requests for fapiao: what they say is what the ledger says."""

import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from billing.actions import books, invoices, prices, profiles
from billing.exports import bills, pdf
from billing.exports.capitals import in_capitals
from billing.exports.pdf import Language
from billing.models import Invoice
from billing.policy import policy
from billing.rating import total_of
from portal.audit import SYSTEM
from portal.errors import Conflict
from tests.billing.invoicing import draft, issue
from tests.billing.rows import Estate, at
from tests.paper import Read

CAPITALS = {
    "0": "零元整",
    "0.01": "壹分",
    "0.10": "壹角整",
    "0.56": "伍角陆分",
    "1": "壹元整",
    "10": "壹拾元整",
    "101": "壹佰零壹元整",
    "1010": "壹仟零壹拾元整",
    "325.04": "叁佰贰拾伍元零肆分",
    "1001.20": "壹仟零壹元贰角整",
    "1680.32": "壹仟陆佰捌拾元叁角贰分",
    "6007.14": "陆仟零柒元壹角肆分",
    "16409.02": "壹万陆仟肆佰零玖元零贰分",
    "107000.53": "壹拾万柒仟元伍角叁分",
    "20000001": "贰仟万零壹元整",
    "100010000": "壹亿零壹万元整",
    "123456789.01": "壹亿贰仟叁佰肆拾伍万陆仟柒佰捌拾玖元零壹分",
    "1000000000000": "壹万亿元整",
    "-5.60": "负伍元陆角整",
}


@pytest.mark.parametrize("amount", CAPITALS)
def test_amounts_in_capitals(amount: str) -> None:
    assert in_capitals(Decimal(amount)) == CAPITALS[amount]


def read(words: str) -> Decimal:
    """An amount in capitals as a number, by another way: units met from the left."""
    sign = -1 if words.startswith("负") else 1
    digits = {name: value for value, name in enumerate("零壹贰叁肆伍陆柒捌玖")}
    units = {"拾": 10, "佰": 100, "仟": 1000}
    whole = group = digit = cents = 0
    for letter in words.removeprefix("负").removesuffix("整"):
        if letter in digits:
            digit = digits[letter]
        elif letter in units:
            group, digit = group + digit * units[letter], 0
        elif letter == "万":
            group, digit = (group + digit) * 10**4, 0
        elif letter == "亿":
            whole, group, digit = (whole + group + digit) * 10**8, 0, 0
        elif letter == "元":
            whole, group, digit = whole + group + digit, 0, 0
        else:
            cents, digit = cents + digit * {"角": 10, "分": 1}[letter], 0
    return Decimal(sign * (whole * 100 + cents)) / 100


@examples(max_examples=2000, deadline=None)
@given(cents=st.integers(-(10**18), 10**18) | st.integers(0, 10**5))
def test_capitals_read_back_as_what_they_are(cents: int) -> None:
    words = in_capitals(Decimal(cents) / 100)
    assert read(words) == Decimal(cents) / 100
    assert "零零" not in words
    assert (words[-1] == "整") == (cents % 10 == 0)


@pytest.mark.parametrize("amount", ["0.001", "NaN", "Infinity"])
def test_capitals_are_of_whole_cents(amount: str) -> None:
    with pytest.raises((ValueError, ArithmeticError)):
        in_capitals(Decimal(amount))


ITEMS = st.lists(st.decimals(-(10**6), 10**6, places=12), min_size=1, max_size=8)


@examples(max_examples=2000, deadline=None)
@given(costs=ITEMS, rate=st.sampled_from(["0", "0.06", "0.13"]))
def test_lines_of_a_fapiao_add_up_and_none_is_off_by_more_than_a_cent(costs: list[Decimal], rate: str) -> None:
    items = [pdf.Item("usage", "", "", "card", "", "device", Decimal(1), cost, cost) for cost in costs]
    exact = total_of(costs)
    tax = bills.payable_of(exact * Decimal(rate))
    net = bills.payable_of(exact + tax) - tax
    lines = bills.fapiao_lines(items, net, tax)
    assert sum(line.amount for line in lines) == net
    assert sum(line.tax for line in lines) == tax
    for line, cost in zip(lines, costs, strict=True):
        assert line.amount == round(line.amount, 2)
        assert abs(line.amount - cost) <= Decimal("0.01")


# -- what is printed ------------------------------------------------------------------------------------------


def paper(invoice: Invoice, language: Language) -> Read:
    return Read(pdf.write(bills.bill_of(invoice, policy()), language))


@pytest.fixture
def invoice(db: Any) -> Invoice:
    estate = Estate("East China Computing")
    estate.price("12.345678")
    book = prices.default_book("CNY")
    books.set_tax(by=SYSTEM, book=book, name="VAT", rate=Decimal("0.06"), valid_from=at(0))
    books.set_terms(by=SYSTEM, tenant=estate.tenant, book=book, valid_from=at(-600))
    profiles.create(
        by=SYSTEM, tenant=estate.tenant, legal_name="华东计算研究所", tax_id="91110000600037341L", bank="工商银行"
    )
    estate.ended(at(0), at(61, seconds=7))
    estate.ended(at(0), at(0, seconds=7), project=estate.project_named("语音识别"))
    return issue(estate)


@pytest.mark.parametrize(("language", "total"), [("en", "Total (CNY)"), ("zh", "价税合计 (CNY)")])
def test_the_paper_says_what_the_invoice_does(invoice: Invoice, language: str, total: str) -> None:
    read = paper(invoice, Language(language))
    assert read.is_embedded
    assert read.amount(total) == invoice.total
    for line in invoice.lines.all():
        assert pdf.amount(line.cost) in read.text, line.category
    for words in (invoice.number, "华东计算研究所", "91110000600037341L", "语音识别", "Vision", str(invoice.due_on)):
        assert words is not None
        assert words in read.text
    assert (in_capitals(invoice.total) in read.text) == (language == "zh")


def test_the_paper_is_the_same_each_time(invoice: Invoice, settings: Any) -> None:
    first = {language: pdf.write(bills.bill_of(invoice, policy()), language) for language in Language}
    settings.BILLING_ISSUER = {"name": "Somebody else"}
    for language, content in first.items():
        again = pdf.write(bills.bill_of(Invoice.objects.get(pk=invoice.pk), policy()), language)
        assert again == content
    assert first[Language.ENGLISH] != first[Language.CHINESE]


def test_many_lines_take_many_pages(invoice: Invoice) -> None:
    bill = bills.bill_of(invoice, policy())
    many = pdf.Bill(**{**{name: getattr(bill, name) for name in bill.__slots__}, "items": list(bill.items) * 60})
    read = Read(pdf.write(many, Language.CHINESE))
    assert read.pages > 2
    assert f"第{read.pages}页，共{read.pages}页" in re.sub(r"\s", "", read.text)


def test_drafts_and_credit_notes_say_that_they_are(invoice: Invoice) -> None:
    invoices.cancel(by=SYSTEM, invoice=invoice)
    note = Invoice.objects.get(refers_to=invoice)
    read = paper(note, Language.CHINESE)
    assert "红字账单" in read.text
    assert in_capitals(-invoice.total) in read.text
    assert invoice.number is not None
    assert invoice.number in read.text
    estate = Estate()
    estate.ended(at(0), at(60))
    unrated = paper(draft(estate), Language.ENGLISH)
    assert "Draft of an invoice" in unrated.text
    assert "no price" in unrated.text


def test_a_request_for_a_fapiao(invoice: Invoice) -> None:
    asked = bills.fapiao(invoice, policy())
    assert asked["购方"]["购方名称"] == "华东计算研究所"
    assert asked["购方"]["纳税人识别号"] == "91110000600037341L"
    assert Decimal(asked["价税合计小写"]) == invoice.total
    assert asked["价税合计大写"] == in_capitals(invoice.total)
    assert Decimal(asked["合计金额"]) + Decimal(asked["合计税额"]) == invoice.total
    for field, total in (("金额", "合计金额"), ("税额", "合计税额")):
        assert sum(Decimal(line[field]) for line in asked["明细"]) == Decimal(asked[total])
    assert {(line["单位"], line["税率"]) for line in asked["明细"]} == {("卡时", "0.060000")}


def test_a_fapiao_is_of_what_is_issued(db: Any) -> None:
    estate = Estate()
    estate.ended(at(0), at(60))
    with pytest.raises(Conflict, match="issued"):
        bills.fapiao(draft(estate), policy())
