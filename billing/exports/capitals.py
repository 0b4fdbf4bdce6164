"""金额大写: an amount of yuan as bills and invoices in China write it out, by the rules for notes of its central bank.

Runs of zeros are read as one 零; 角 that is zero before 分 is read as 零; amounts without 分 end in 整.
"""

from decimal import Decimal

from billing.rating import payable_of

_DIGITS = "零壹贰叁肆伍陆柒捌玖"
_TENS = ((1000, "仟"), (100, "佰"), (10, "拾"))
_GROUPS = ((10**8, "亿"), (10**4, "万"))


def in_capitals(amount: Decimal) -> str:
    """Of an amount in whole 分; ValueError for one that is not."""
    if not amount.is_finite() or payable_of(amount) != amount:
        raise ValueError(f"{amount} is not in whole cents.")
    yuan, cents = divmod(int(abs(amount) * 100), 100)
    jiao, fen = divmod(cents, 10)
    words = f"{_read(yuan)}元" if yuan or not cents else ""
    if jiao:
        words += f"{_DIGITS[jiao]}角"
    elif fen and yuan:
        words += "零"
    words += f"{_DIGITS[fen]}分" if fen else "整"
    return f"负{words}" if amount < 0 else words


def _read(number: int) -> str:
    if number < 10:
        return _DIGITS[number]
    for unit, name in (*_GROUPS, *_TENS):
        if number >= unit:
            head, rest = divmod(number, unit)
            words = f"{_read(head)}{name}"
            if not rest:
                return words
            return words + ("零" if rest < unit // 10 else "") + _read(rest)
    raise AssertionError(number)
