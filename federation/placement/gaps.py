"""What a gap of a device is worth, given what is likely to be asked: prices of a fluid packing problem. Compiled.

Pack the expected demand into what is free, to the most 1/1000 of devices used: the dual of this linear program has a
rent u_i for each size of request (what one more of it would bring) and a value V(r) for each gap r, with
V(r) = max(0, V(r - s_i) + s_i - u_i). The rents are found by subgradient descent, the values by dynamic programming;
compare Gilmore and Gomory, "A Linear Programming Approach to the Cutting-Stock Problem", Operations Research 9 (1961).
"""

import numpy as np

from federation.placement.columns import F64, I64
from federation.placement.compiled import compiled

WHOLE = 1000
STEPS = 1000  # of the descent
PRESSURE = 1.05  # 1/1000 that are asked to 1/1000 that are free, in the packing that is priced


@compiled
def fill_values(sizes: I64, gains: F64, value: F64, choice: I64) -> None:
    """V(r) for r from 0 to 1000, and which size is best put there next (-1: none). `gains` are s_i - u_i."""
    value[0] = 0.0
    choice[0] = -1
    for r in range(1, WHOLE + 1):
        best, which = value[r - 1], -2  # at least what a smaller gap is worth
        for i in range(sizes.shape[0]):
            if sizes[i] <= r:
                worth = gains[i] + value[r - sizes[i]]
                if worth > best + 1e-9:
                    best, which = worth, i
        value[r], choice[r] = best, which


@compiled
def descend(sizes: I64, demand: F64, stock: F64, rents: F64, best: F64, value: F64, choice: I64, used: F64,
            steps: int) -> None:  # fmt: skip
    """Rents that make the dual small: sum of demand_i u_i + sum of stock_r V(r). The best found is left in `best`."""
    least = 1e300
    total = 1.0
    for i in range(sizes.shape[0]):
        total = max(total, demand[i])
    for step in range(steps):
        gains = used  # the same room, before it is needed
        for i in range(sizes.shape[0]):
            gains[i] = sizes[i] - rents[i]
        fill_values(sizes, gains, value, choice)
        for i in range(sizes.shape[0]):
            used[i] = 0.0
        objective = 0.0
        for r in range(1, WHOLE + 1):
            if stock[r] > 0.0:
                objective += stock[r] * value[r]
                at = r
                while at > 0 and choice[at] != -1:
                    if choice[at] == -2:
                        at -= 1
                        continue
                    used[choice[at]] += stock[r]
                    at -= sizes[choice[at]]
        for i in range(sizes.shape[0]):
            objective += demand[i] * rents[i]
        if objective < least:
            least = objective
            for i in range(sizes.shape[0]):
                best[i] = rents[i]
        norm = 0.0
        for i in range(sizes.shape[0]):
            norm += (demand[i] - used[i]) ** 2
        rate = 200.0 / (1.0 + 0.05 * step) / np.sqrt(norm + 1e-9)
        for i in range(sizes.shape[0]):
            rents[i] = min(max(rents[i] - rate * (demand[i] - used[i]), 0.0), 1.0 * sizes[i])


@compiled
def fill_table(sizes: I64, gains: F64, parts: F64, value: F64, choice: I64, some: F64) -> None:
    """V for each kind of device and step of CPU. Where only a part of a size runs it brings that part of its gain."""
    for k in range(value.shape[0]):
        for b in range(value.shape[1]):
            for i in range(sizes.shape[0]):
                some[i] = gains[i] * parts[k, b, i]
            fill_values(sizes, some, value[k, b], choice)


def fill(sizes: I64, asked: F64, stock: F64, parts: F64, value: F64) -> None:
    """Fill `value` (K, B, 1001) with what gaps are worth, in 1/1000 of devices.

    `sizes` (S,) in 1/1000, `asked` (S,) the devices asked of each, in any unit; `stock` (1001,) the devices by what
    is free on them; `parts` (K, B, S) the part of what is asked that runs on such a device with so much CPU.
    """
    free = float((stock * np.arange(WHOLE + 1)).sum())
    demand = asked * (PRESSURE * free / float((asked * sizes).sum()))
    rents, best, used = np.zeros(len(sizes)), np.zeros(len(sizes)), np.zeros(len(sizes))
    scratch, choice = np.zeros(WHOLE + 1), np.zeros(WHOLE + 1, np.int64)
    descend(sizes, demand, stock, rents, best, scratch, choice, used, STEPS)
    fill_table(sizes, sizes - best, np.ascontiguousarray(parts), value, choice, used)
