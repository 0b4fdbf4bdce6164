"""The random numbers of the published openb experiment, so that its arrivals are drawn again one for one.

Its simulator takes them from Go's generator: an additive lagged Fibonacci sequence, x[n] = x[n - 607] + x[n - 273]
modulo 2**64, whose beginning for a seed is a multiplicative one mixed with the state that the sequence from seed 1 has
after 7.8e12 steps. That state is not kept here: it follows from the rule, by powers of x modulo x**607 - x**334 - 1.
"""

from functools import cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")
U64 = npt.NDArray[np.uint64]
_LONG, _SHORT = 607, 273
_STEPS = 7_800_000_000_000
_BITS = 0xFFFFFFFFFFFFFFFF


class Draws:
    """Whole numbers by chance, the same for the same seed as the published experiment had."""

    def __init__(self, seed: int) -> None:
        self._state = [a ^ b for a, b in zip(_begun(seed, 40, 20), _mixed_in(), strict=True)]
        self._at = _LONG - _SHORT

    def number(self) -> int:
        """From 0 to 2**63 - 1."""
        self._at -= 1
        state, at = self._state, self._at % _LONG
        state[at] = (state[at] + state[(at + _SHORT) % _LONG]) & _BITS
        return state[at] & (_BITS >> 1)

    def below(self, end: int) -> int:
        """From 0 to `end` - 1, for an end of at most 2**31 - 1."""
        most = 2**31 - 1 - 2**31 % end
        while (found := self.number() >> 32) > most:
            pass
        return found % end

    def shuffle(self, items: list[T]) -> None:
        for last in range(len(items) - 1, 0, -1):
            other = self._quickly_below(last + 1)
            items[last], items[other] = items[other], items[last]

    def _quickly_below(self, end: int) -> int:
        """As `below`, by the way that shuffling takes: the upper half of a product."""
        least = -end % 2**32 % end
        while True:
            product = (self.number() >> 31) * end
            if product % 2**32 >= least:
                return product >> 32


def _begun(seed: int, first: int, second: int) -> list[int]:
    """The state for a seed: three numbers of a multiplicative sequence in each, shifted and mixed."""
    value = seed % (2**31 - 1) or 89_482_311
    found: list[int] = []
    for place in range(-20, _LONG):
        value = value * 48_271 % (2**31 - 1)
        if place < 0:
            continue
        mixed = value << first
        value = value * 48_271 % (2**31 - 1)
        mixed ^= value << second
        value = value * 48_271 % (2**31 - 1)
        found.append((mixed ^ value) & _BITS)
    return found


@cache
def _mixed_in() -> list[int]:
    # Place p of a state holds the term at (334 - p) modulo 607 of those so far; put them in order, oldest first.
    begun = _begun(1, 20, 10)
    terms = [begun[(_LONG - _SHORT - n) % _LONG] for n in range(1, _LONG + 1)]
    for n in range(_LONG, 2 * _LONG):
        terms.append((terms[n - _LONG] + terms[n - _SHORT]) & _BITS)
    row = np.array(terms, np.uint64)
    power = _power(_STEPS)
    later = [int((power * row[n : n + _LONG]).sum(dtype=np.uint64)) for n in range(_LONG)]
    # `later[n]` is the term so many steps after terms[n].
    found = [0] * _LONG
    for n, term in enumerate(later, 1):
        found[(_LONG - _SHORT - n - _STEPS) % _LONG] = term
    return found


def _power(exponent: int) -> U64:
    """x ** exponent modulo the rule's polynomial, lowest first; numbers modulo 2**64."""
    found = np.zeros(_LONG, np.uint64)
    found[0] = 1
    for bit in f"{exponent:b}":
        found = _reduced(np.convolve(found, found))
        if bit == "1":
            found = _reduced(np.concatenate([np.zeros(1, np.uint64), found]))
    return found


def _reduced(powers: U64) -> U64:
    """x ** 607 is x ** 334 + 1."""
    while (end := len(powers)) > _LONG:
        first = max(_LONG, end - _SHORT)  # so few at a time that none is added to what is taken
        top = powers[first:]
        powers[first - _SHORT : end - _SHORT] += top
        powers[first - _LONG : end - _LONG] += top
        powers = powers[:first]
    return powers
