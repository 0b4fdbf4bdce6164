"""The settlement of a month on paper (内部结算单): who owes whom, what is left of it, and where it is signed."""

from collections.abc import Sequence
from datetime import datetime

from billing.exports.paper import Language, Paper, Words, amount
from billing.exports.statements import Statement
from billing.rating import total_of

_WORDS: Words = {
    "sites": ("Settlement between sites", "站点间结算单"),
    "departments": ("Settlement between departments", "部门间内部结算单"),
    "nothing": ("Settlement", "内部结算单"),
    "empty": ("Nobody owes anybody anything.", "无应付款项。"),
    "month": ("Closed month", "结算月份"),
    "tenant": ("Tenant", "租户"),
    "closed_at": ("Closed at", "关账时间"),
    "parties": ("Net positions", "净额"),
    "party": ("Party", "结算方"),
    "currency": ("Currency", "币种"),
    "owes": ("Owes", "应付"),
    "is_owed": ("Is owed", "应收"),
    "net": ("Net", "净额"),
    "sum": ("Sum", "合计"),
    "lines": ("Lines", "明细"),
    "debtor": ("Owes", "应付方"),
    "creditor": ("Is owed", "应收方"),
    "period": ("Month of usage", "用量月份"),
    "amount": ("Amount", "金额"),
    "hub": ("the hub", "枢纽"),
    "centre": ("the centre", "租户本部"),
    "prepared": ("Prepared by", "经办人"),
    "checked": ("Checked by", "审核人"),
    "approved": ("For the parties", "结算方签章"),
    "date": ("Date", "日期"),
}


def write(statements: Sequence[Statement], month: str, closed_at: datetime, language: Language) -> bytes:
    """One after the other, each on a page of its own. The same content gives the same bytes."""
    return _Sheets(statements, month, closed_at, language).made()


class _Sheets(Paper):
    words = _WORDS

    def __init__(self, statements: Sequence[Statement], month: str, closed_at: datetime, language: Language) -> None:
        super().__init__(language, made_at=closed_at, author="Aquifer")
        self.statements, self.month, self.closed_at = statements, month, closed_at
        self.set_title(f"{self.word('nothing')} {month}")
        self.foot = month

    def made(self) -> bytes:
        if not self.statements:
            self.begin("nothing")
            self.rows([[self.word("empty")]], (180,), borders=False)
        for statement in self.statements:
            self._statement(statement)
        return bytes(self.output())

    def _statement(self, of: Statement) -> None:
        self.begin("departments" if of.tenant else "sites")
        facts = [("month", self.month), ("tenant", of.tenant), ("closed_at", f"{self.closed_at:%Y-%m-%d %H:%M} UTC")]
        self.rows([[self.word(name), value] for name, value in facts if value], (35, 145), borders=False)
        self._parties(of)
        self._lines(of)
        self.ln(10)
        blank = "_" * 18
        signed = [[f"{self.word(name)}: {blank}" for name in ("prepared", "checked", "approved")]]
        self.rows([*signed, [f"{self.word('date')}: {blank}"] * 3], (60, 60, 60), borders=False)

    def _named(self, of: Statement, party: str) -> str:
        return party or self.word("centre" if of.tenant else "hub")

    def _parties(self, of: Statement) -> None:
        self.section("parties")
        heads = ["party", "currency", "owes", "is_owed", "net"]
        rows = [
            [self._named(of, p.name), p.currency, amount(p.owes), amount(p.is_owed), amount(p.net)] for p in of.parties
        ]
        for currency in sorted({p.currency for p in of.parties}):
            mine = [p for p in of.parties if p.currency == currency]
            sums = (total_of(getattr(p, name) for p in mine) for name in ("owes", "is_owed", "net"))
            rows.append([self.word("sum"), currency, *map(amount, sums)])
        self.rows([[self.word(head) for head in heads], *rows], (60, 18, 34, 34, 34), "LLRRR", is_headed=True)

    def _lines(self, of: Statement) -> None:
        self.section("lines")
        heads = ["debtor", "creditor", "period", "currency", "amount"]
        rows = [
            [self._named(of, n.debtor), self._named(of, n.creditor), n.period, n.currency, amount(n.amount)]
            for n in of.lines
        ]
        self.rows([[self.word(head) for head in heads], *rows], (50, 50, 28, 18, 34), "LLLLR", is_headed=True)
