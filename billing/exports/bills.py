"""Invoices as paper and as requests for fapiao show them: read from what was fixed when they were issued."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from billing.exports.capitals import in_capitals
from billing.exports.pdf import Bill, Item, Party, net_of
from billing.models import Invoice, InvoiceLine, TaxRule
from billing.policy import Policy
from billing.rating import ZERO, payable_of, total_of
from billing.rating.money import less, plus
from portal.errors import Conflict

_SERVICE = "*信息技术服务*算力服务"  # as the tax office classes it
_UNITS = {"device": "卡时", "core": "核时", "gib": "GiB·时", "kwh": "千瓦时"}


def bill_of(invoice: Invoice, policy: Policy) -> Bill:
    lines = InvoiceLine.objects.filter(invoice=invoice).order_by("position")
    issued_on = invoice.issued_at.astimezone(policy.zone).date() if invoice.issued_at else None
    by, to = invoice.issuer, invoice.bill_to
    return Bill(
        number=invoice.number or "",
        refers_to=(invoice.refers_to.number or "") if invoice.refers_to else "",
        period=invoice.period,
        issued_on=issued_on,
        due_on=invoice.due_on,
        made_at=invoice.issued_at or invoice.created_at,
        currency=invoice.currency,
        total=invoice.total,
        issuer=Party(
            by.get("name", policy.issuer.name), by.get("tax_id", ""), by.get("address", ""), by.get("bank", "")
        ),
        bill_to=Party(
            to.get("legal_name", invoice.tenant),
            to.get("tax_id", ""),
            _joined(to, "address", "phone"),
            _joined(to, "bank", "bank_account"),
            to.get("email", ""),
        ),
        items=[_item(line) for line in lines],
    )


def _item(line: InvoiceLine) -> Item:
    return Item(
        line.category, line.project, line.site, line.flavor, line.meter, line.unit, line.quantity, line.unit_price,
        line.cost,
    )  # fmt: skip


def _joined(values: dict[str, str], *names: str) -> str:
    return " ".join(values[name] for name in names if values.get(name))


@dataclass(frozen=True, slots=True)
class FapiaoLine:
    name: str
    model: str
    unit: str
    quantity: Decimal
    price: Decimal | None
    amount: Decimal
    tax: Decimal


def fapiao_lines(items: list[Item], net: Decimal, tax: Decimal) -> list[FapiaoLine]:
    """Each line in whole 分, so that they add up to what the invoice asks for: what rounding leaves over of one line
    goes into the next, for amounts and taxes alike, so none is off by more than 0.01.
    """
    found: list[FapiaoLine] = []
    exact = asked = taxed = ZERO
    whole = total_of(item.cost for item in items)
    for item in items:
        exact = plus(exact, item.cost)
        is_last = len(found) == len(items) - 1
        upto = net if is_last else payable_of(exact)
        share = tax if is_last or not whole else payable_of(tax * exact / whole)
        found.append(
            FapiaoLine(
                _SERVICE, " ".join(filter(None, [item.name, item.meter])), _UNITS.get(item.unit, item.unit),
                item.quantity, item.unit_price, upto - asked, share - taxed,
            )
        )  # fmt: skip
        asked, taxed = upto, share
    return found


def fapiao(invoice: Invoice, policy: Policy) -> dict[str, Any]:
    """A request for a fapiao (发票), as the forms of tax offices name its fields."""
    if invoice.number is None:
        raise Conflict("A fapiao is asked for once the invoice is issued.")
    if invoice.currency != "CNY":
        raise Conflict("A fapiao is in yuan.")
    bill = bill_of(invoice, policy)
    priced = [item for item in bill.items if item.kind not in ("tax", "adjustment")]
    taxed = InvoiceLine.objects.filter(invoice=invoice, category="tax")
    rates = list(TaxRule.objects.filter(pk__in=taxed.values("price_id")).values_list("rate", flat=True))
    if len(rates) > 1:
        raise Conflict("A fapiao has one rate of tax; this invoice has several.")
    rate = rates[0] if rates else ZERO
    net = net_of(bill)
    tax = less(bill.total, net)
    return {
        "账单编号": bill.number,
        "红字": bool(bill.refers_to),
        "对应蓝字账单编号": bill.refers_to,
        "账期": bill.period,
        "开具日期": str(bill.issued_on),
        "币种": bill.currency,
        "购方": _party("购方", bill.bill_to),
        "销方": _party("销方", bill.issuer),
        "明细": [
            {
                "行号": number,
                "项目名称": line.name,
                "规格型号": line.model,
                "单位": line.unit,
                "数量": f"{line.quantity:f}",
                "单价": None if line.price is None else f"{line.price:f}",
                "金额": f"{line.amount:.2f}",
                "税率": f"{rate:f}",
                "税额": f"{line.tax:.2f}",
            }
            for number, line in enumerate(fapiao_lines(priced, net, tax), 1)
        ],
        "合计金额": f"{net:.2f}",
        "合计税额": f"{tax:.2f}",
        "价税合计小写": f"{bill.total:.2f}",
        "价税合计大写": in_capitals(bill.total),
    }


def _party(side: str, party: Party) -> dict[str, str]:
    return {
        f"{side}名称": party.name,
        "纳税人识别号": party.tax_id,
        "地址电话": party.address,
        "开户行及账号": party.bank,
        "电子邮箱": party.contact,
    }
