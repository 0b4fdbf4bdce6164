"""Forecasts of the end of a month against what it came to, beside the naive one, on the same days of the same months.

    manage.py bench forecast --trace openb_pod_list_default.csv --trace trace1.csv.gz --json

A trace is a table of runs; each second of a card costs the same, so a day's cost is its card-hours. Its columns
are creation_time, deletion_time (seconds), num_gpu and gpu_milli, or submit_time, duration (milli-seconds) and num_gpu.
Without a trace days are drawn: weeks with quiet weekends, growth, noise, and jumps when somebody comes or leaves.
Months are of 30 days, the first beginning with the second week; each is foretold on its days 8 to 27. No database.
"""

import csv
import gzip
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np

from billing.rating.forecast import LOOK_BACK, MOST_DAYS, forecast, naive
from billing.rating.money import total_of
from federation.bench.figures import BenchError

HELP = "foretell months, and compare with what they came to"
MONTH = 30
FIRST, LAST = 8, 27  # days of it that are over when it is foretold
_DAY = 86_400
_CENT = Decimal("0.01")


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--trace", type=Path, action="append", default=[], help="a table of runs; may be given often")
    parser.add_argument("--series", type=int, default=200, help="how many are drawn when there is no trace")
    parser.add_argument("--days", type=int, default=100, help="of each that is drawn")
    parser.add_argument("--seed", type=int, default=1)


def run(options: dict[str, Any]) -> dict[str, Any]:
    if options["trace"]:
        sources = {path.name: [daily(path)] for path in options["trace"]}
    else:
        sources = {"drawn": list(drawn(options["series"], options["days"], options["seed"]))}
    found: dict[str, Any] = {}
    for name, many in sources.items():
        tried = [attempt for days in many for attempt in attempts(days)]
        if not tried:
            raise BenchError(f"{name} has no month of {MONTH} days after its first {LOOK_BACK}.")
        found[name] = {
            "months": len(tried) // (LAST - FIRST + 1),
            "forecasts": len(tried),
            "error_percent": round(fmean(t[0] for t in tried), 2),
            "median_error_percent": round(median(t[0] for t in tried), 2),
            "naive_error_percent": round(fmean(t[1] for t in tried), 2),
            "naive_median_error_percent": round(median(t[1] for t in tried), 2),
            "in_range_percent": round(100 * fmean(t[2] for t in tried), 1),
        }
    return found


def attempts(days: Sequence[Decimal]) -> Iterator[tuple[float, float, bool]]:
    """Of each month and each day of it: the error in percent, that of the naive, and whether it was in the range."""
    for first in range(LOOK_BACK, len(days) - MONTH + 1, MONTH):
        month = days[first : first + MONTH]
        actual = total_of(month)
        if not actual:
            continue
        for gone in range(FIRST, LAST + 1):
            spent, left = total_of(month[:gone]), Decimal(MONTH - gone)
            found = forecast(spent, days[: first + gone][-MOST_DAYS:], left)
            guessed = naive(spent, Decimal(gone), left)
            is_in = (
                found.low is not None and found.high is not None and found.low - _CENT <= actual <= found.high + _CENT
            )
            yield _percent(found.expected, actual), _percent(guessed, actual), is_in


def _percent(guess: Decimal, actual: Decimal) -> float:
    return float(abs(guess - actual) / actual * 100)


def daily(path: Path) -> list[Decimal]:
    """Card-hours of each day, to the cent. The last day is left out: it is not whole."""
    runs = list(_runs(path))
    if not runs:
        raise BenchError(f"{path} has no runs of cards.")
    last = max(end for _, end, _ in runs) // _DAY
    seconds = [0] * int(last + 1)  # in 1/1000 of a card
    for start, end, milli in runs:
        while start < end:
            stop = min(end, (start // _DAY + 1) * _DAY)
            seconds[start // _DAY] += (stop - start) * milli
            start = stop
    return [(Decimal(day) / 3_600_000).quantize(_CENT) for day in seconds[:-1]]


def _runs(path: Path) -> Iterator[tuple[int, int, int]]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            try:
                if "creation_time" in row:
                    start, end = int(row["creation_time"]), int(row["deletion_time"])
                    milli = int(row["num_gpu"]) * int(row["gpu_milli"])
                else:
                    start = int(float(row["submit_time"])) // 1000
                    end = start + int(float(row["duration"])) // 1000
                    milli = int(row["num_gpu"]) * 1000
            except (KeyError, TypeError, ValueError) as error:
                raise BenchError(f"{path} is not a table of runs: {error}") from error
            if milli and end > start >= 0:
                yield start, end, milli


def drawn(count: int, days: int, seed: int) -> Iterator[list[Decimal]]:
    chance = np.random.default_rng(seed)
    for _ in range(count):
        level = float(chance.lognormal(6, 1))
        weekend = float(chance.uniform(0.3, 1))
        growth = float(chance.normal(0, 0.004))
        found = []
        for day in range(days):
            if chance.random() < 0.02:
                level *= float(chance.uniform(0.4, 2))
            amount = level * (1 + growth) ** day * (weekend if day % 7 >= 5 else 1) * float(chance.lognormal(0, 0.15))
            found.append(Decimal(str(round(amount, 2))))
        yield found
