"""The power that work is billed for: measured where it was measured."""


def drawn(millijoules: int, milliseconds: int, seconds: int, nominal: int) -> int:
    """Mean draw in milliwatts of work that ran `seconds` of an hour, of which `milliseconds` were measured.

    What was not measured counts as the mean of what was, when that is at least half of the time; else at `nominal`
    (milliwatts). Rounded once, halves up, to whole milliwatts: 3.6 J in an hour at most.
    """
    ran = 1000 * seconds
    if milliseconds <= 0 or ran <= 0:
        return nominal
    if 2 * milliseconds >= ran:
        return _divided(1000 * millijoules, milliseconds)
    # nominal mW x ms / 1000 = microjoules; the sums are in millijoules
    return _divided(1000 * millijoules + nominal * (ran - milliseconds), ran)


def _divided(a: int, b: int) -> int:
    return (2 * a + b) // (2 * b)
