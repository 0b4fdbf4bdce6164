"""Quantities as Kubernetes writes them ("100m", "1.5Gi", "2e3", "12E"), without a rounding nobody asked for.

What work asks for is rounded up, as the scheduler does; what a node has is rounded down. All raise ValueError on
garbage, and on amounts below nothing or beyond 80 bits: no object of a healthy cluster has them.
"""

import re
from fractions import Fraction
from functools import lru_cache

_SHAPE = re.compile(r"\+?(\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d{1,2}))?", re.ASCII)
_SUFFIXES = {
    "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000),
    "k": Fraction(10**3), "M": Fraction(10**6), "G": Fraction(10**9), "T": Fraction(10**12), "P": Fraction(10**15),
    "E": Fraction(10**18), "Ki": Fraction(1 << 10), "Mi": Fraction(1 << 20), "Gi": Fraction(1 << 30),
    "Ti": Fraction(1 << 40), "Pi": Fraction(1 << 50), "Ei": Fraction(1 << 60),
}  # fmt: skip
_MOST = 1 << 80
_MIB = 1 << 20


@lru_cache(maxsize=8192)  # a cluster says the same few amounts again and again
def _parse(text: str) -> Fraction:
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise ValueError(f"not a quantity: {text[:40]!r}")
    digits, suffix, exponent = found.groups()
    value = Fraction(digits if digits[-1] != "." else digits[:-1])
    if suffix:
        value *= _SUFFIXES[suffix]
    elif exponent:
        value *= Fraction(10) ** int(exponent)
    if value >= _MOST:
        raise ValueError(f"beyond any machine: {text[:40]!r}")
    return value


def exact(given: object) -> Fraction:
    """The amount itself. JSON numbers are accepted as well as strings: some tools write them."""
    if isinstance(given, str):
        return _parse(given)
    if isinstance(given, int) and not isinstance(given, bool):
        return _parse(str(given))
    raise ValueError(f"not a quantity: {str(given)[:40]!r}")


def whole(given: object) -> int:
    """Units that cannot be divided: devices, pods. A part of one is a ValueError."""
    value = exact(given)
    if value.denominator != 1:
        raise ValueError(f"not a whole number: {str(given)[:40]!r}")
    return value.numerator


def milli(given: object, *, up: bool = False) -> int:
    """Thousandths of a core."""
    return _scaled(given, 1000, 1, up) if isinstance(given, str) else _rounded(exact(given) * 1000, up)


def mib(given: object, *, up: bool = False) -> int:
    """Bytes as MiB."""
    return _scaled(given, 1, _MIB, up) if isinstance(given, str) else _rounded(exact(given) / _MIB, up)


@lru_cache(maxsize=8192)
def _scaled(text: str, times: int, over: int, up: bool) -> int:
    return _rounded(_parse(text) * times / over, up)


def _rounded(value: Fraction, up: bool) -> int:
    return -(-value.numerator // value.denominator) if up else value.numerator // value.denominator
