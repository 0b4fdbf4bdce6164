"""An invoice on paper, in English and 中文: what it says was fixed when the invoice was issued."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby

from billing.exports.capitals import in_capitals
from billing.exports.paper import Language, Paper, Words, amount
from billing.rating import total_of
from billing.rating.money import less


@dataclass(frozen=True, slots=True)
class Item:
    """A line of an invoice. `kind` is its category."""

    kind: str
    project: str
    site: str
    name: str
    meter: str
    unit: str
    quantity: Decimal
    unit_price: Decimal | None
    cost: Decimal


@dataclass(frozen=True, slots=True)
class Party:
    name: str
    tax_id: str = ""
    address: str = ""
    bank: str = ""
    contact: str = ""


@dataclass(frozen=True, slots=True)
class Bill:
    number: str  # empty: a draft
    refers_to: str  # a credit note: the number of what it takes back
    period: str
    issued_on: date | None
    due_on: date | None
    made_at: datetime
    currency: str
    total: Decimal
    issuer: Party
    bill_to: Party
    items: Sequence[Item]


_WORDS: Words = {
    "invoice": ("Invoice", "结算账单"),
    "note": ("Credit note", "红字账单"),
    "draft": ("Draft of an invoice", "账单草稿"),
    "number": ("Number", "编号"),
    "refers_to": ("Takes back", "冲销账单"),
    "period": ("Period", "账期"),
    "issued_on": ("Issued on", "开具日期"),
    "due_on": ("Due on", "到期日"),
    "currency": ("Currency", "币种"),
    "issuer": ("From", "开具方"),
    "bill_to": ("Bill to", "付款方"),
    "tax_id": ("Tax id", "纳税人识别号"),
    "address": ("Address", "地址、电话"),
    "bank": ("Bank", "开户行及账号"),
    "contact": ("E-mail", "电子邮箱"),
    "by_project": ("By project", "按项目"),
    "lines": ("Lines", "明细"),
    "project": ("Project", "项目"),
    "site": ("Site", "站点"),
    "item": ("Item", "计费项"),
    "quantity": ("Quantity", "数量"),
    "unit": ("Unit", "单位"),
    "unit_price": ("Unit price", "单价"),
    "cost": ("Amount", "金额"),
    "net": ("Amount before tax", "不含税金额"),
    "tax": ("Tax", "税额"),
    "adjustment": ("Rounding", "尾差"),
    "total": ("Total", "价税合计"),
    "capitals": ("In capitals", "价税合计（大写）"),
    "none": ("(no project)", "（无项目）"),
    "unrated": ("no price", "未定价"),
    "purchase": ("Reservation: {}", "预留：{}"),
    "credit": ("Credit: {}", "抵扣：{}"),
    "no_fapiao": ("This is not a tax invoice (fapiao).", "本账单不是发票。"),
    "device": ("card-hours", "卡时"),
    "core": ("core-hours", "核时"),
    "gib": ("GiB-hours", "GiB·时"),
    "kwh": ("kWh", "千瓦时"),
    "cpu": ("cores", "CPU 核"),
    "memory": ("memory", "内存"),
    "energy": ("energy", "电能"),
}


def write(bill: Bill, language: Language) -> bytes:
    return _Paper(bill, language).made()


class _Paper(Paper):
    words = _WORDS

    def __init__(self, bill: Bill, language: Language) -> None:
        super().__init__(language, made_at=bill.made_at, author=bill.issuer.name)
        self.bill = bill
        self.set_title(f"{self.word(self.heading)} {bill.number}".strip())
        self.foot = f"{bill.number}  {self.word('no_fapiao')}".strip()

    @property
    def heading(self) -> str:
        if self.bill.refers_to:
            return "note"
        return "invoice" if self.bill.number else "draft"

    def made(self) -> bytes:
        self.begin(self.heading)
        self._facts()
        self._parties()
        priced = [item for item in self.bill.items if item.kind not in ("tax", "adjustment")]
        self._projects(priced)
        self._lines(priced)
        self._sums(total_of(item.cost for item in priced))
        return bytes(self.output())

    def _facts(self) -> None:
        bill = self.bill
        facts = [
            ("number", bill.number),
            ("refers_to", bill.refers_to),
            ("period", bill.period),
            ("issued_on", str(bill.issued_on or "")),
            ("due_on", str(bill.due_on or "")),
            ("currency", bill.currency),
        ]
        self.rows([[self.word(name), value] for name, value in facts if value], (35, 145), borders=False)

    def _parties(self) -> None:
        rows = [[self.word("issuer"), self.word("bill_to")], [self.bill.issuer.name, self.bill.bill_to.name]]
        for name in ("tax_id", "address", "bank", "contact"):
            pair = [getattr(party, name) for party in (self.bill.issuer, self.bill.bill_to)]
            if any(pair):
                rows.append([f"{self.word(name)}: {value}" if value else "" for value in pair])
        self.ln(4)
        self.rows(rows, (90, 90), is_headed=True)

    def _projects(self, items: Sequence[Item]) -> None:
        rows = [
            [project or self.word("none"), amount(total_of(item.cost for item in some))]
            for project, some in groupby(sorted(items, key=lambda i: i.project), lambda i: i.project)
        ]
        self.section("by_project")
        self.rows([[self.word("project"), self.word("cost")], *rows], (130, 50), "LR", is_headed=True)

    def _lines(self, items: Sequence[Item]) -> None:
        heads = ["", "project", "site", "item", "quantity", "unit", "unit_price", "cost"]
        rows = [
            [
                str(number), item.project, item.site, self._named(item), amount(item.quantity), self.word(item.unit),
                self.word("unrated") if item.unit_price is None and item.kind == "usage" else _price(item.unit_price),
                amount(item.cost),
            ]
            for number, item in enumerate(items, 1)
        ]  # fmt: skip
        self.section("lines")
        widths = (7, 26, 22, 35, 24, 17, 18, 31)
        self.rows([[self.word(head) for head in heads], *rows], widths, "RLLLRLRR", is_headed=True)

    def _named(self, item: Item) -> str:
        name = f"{item.name} {self.word(item.meter)}" if item.meter else item.name
        return self.word(item.kind).format(name) if item.kind in ("purchase", "credit") else name

    def _sums(self, net: Decimal) -> None:
        bill = self.bill
        rows = [[self.word("net"), amount(net)]]
        rows += [[f"{self.word('tax')} {item.name}", amount(item.cost)] for item in bill.items if item.kind == "tax"]
        rounding = total_of(item.cost for item in bill.items if item.kind == "adjustment")
        if rounding:
            rows.append([self.word("adjustment"), amount(rounding)])
        rows.append([f"{self.word('total')} ({bill.currency})", amount(bill.total)])
        if self.column and bill.currency == "CNY" and bill.number:
            rows.append([self.word("capitals"), in_capitals(bill.total)])
        self.ln(4)
        self.rows(rows, (90, 90), "LR")


def _price(value: Decimal | None) -> str:
    return "" if value is None else amount(value)


def net_of(bill: Bill) -> Decimal:
    """Without taxes, and with what rounding added: what a fapiao is asked for."""
    return less(bill.total, total_of(item.cost for item in bill.items if item.kind == "tax"))
