"""For each wish, every node with its score or its miss, kept up to date as the plan goes on. Compiled.

A row holds one key per node: a score, or for a node that does not fit a number below all scores that orders misses
by how late the filter is, then by how much there is. So one look finds the best node or, when none fits, the nearest
miss. Nodes are cut into blocks, each of one site, and the best of each block is kept.
"""

from typing import NamedTuple

from federation.placement.columns import F64, I32, I64
from federation.placement.compiled import compiled
from federation.placement.filters import Filter
from federation.placement.fit import Wishes, fit
from federation.placement.masks import MASKED
from federation.placement.scores import Fleet, Rule, score
from federation.placement.tables import Table

MISS = -1e15
FILTER = 1e13  # the width of one filter's band; amounts stay below
FITS = -5e14  # a key above this is a score
FILTERS = len(Filter) + 1  # 0: it fits
BEST = 6  # nodes named for a placement: the chosen one and the five next


class Rows(NamedTuple):
    """One row for each wish in memory; R rows, N nodes, B blocks."""

    key: F64  # (R, N)
    best: I32  # (R, B): the best node of each block
    peak: F64  # (R, B): its key
    counts: I32  # (R, FILTERS): nodes that each filter removed; at 0 those that fit
    read: I64  # (R,): how much of the log of touched nodes it knows
    block: I32  # (B + 1,): where blocks begin
    block_of: I32  # (N,)
    known: F64  # by `Nodes.alike`: the key of such a node in the row being made
    known_by: I64  # and for which row that was: rows are numbered as they are made
    made: I64  # [0]: rows made so far


class Log(NamedTuple):
    """Which nodes were touched, in order; `last[n]` is the newest entry about n, -1 for none. `end[0]` entries."""

    touched: I32
    last: I64
    end: I64


@compiled
def filter_of(key: float) -> int:
    """Which filter a key tells of; 0 for a score."""
    return 0 if key > FITS else int((key - MISS) // FILTER)


@compiled
def judge(n: int, w: int, fleet: Fleet, wishes: Wishes, table: Table, rule: Rule) -> float:
    found, amount, g = fit(n, w, fleet.nodes, fleet.groups, fleet.devices, wishes)
    if found:
        return MISS + FILTER * found + min(amount, int(FILTER) - 1)
    value = score(n, w, g, fleet, wishes, table, rule)
    first = wishes.prefer[w]
    return value + fleet.nodes.preferred[first - 1, n] if first else value


@compiled
def is_masked(n: int, w: int, fleet: Fleet, wishes: Wishes) -> bool:
    """Do its labels tell the node from others that are equal in all else?"""
    verdict = wishes.verdict[w, fleet.nodes.layout[n]]
    return verdict >= MASKED and wishes.masks[verdict // MASKED - 1, n] != 0


@compiled
def best_of_block(r: int, b: int, rows: Rows) -> None:
    first = rows.block[b]
    chosen = first
    for n in range(first + 1, rows.block[b + 1]):
        if rows.key[r, n] > rows.key[r, chosen]:
            chosen = n
    rows.best[r, b], rows.peak[r, b] = chosen, rows.key[r, chosen]


@compiled
def settle(r: int, n: int, key: float, rows: Rows) -> None:
    """A key that has changed: counts, and the best of the block."""
    old = rows.key[r, n]
    rows.key[r, n] = key
    rows.counts[r, filter_of(old)] -= 1
    rows.counts[r, filter_of(key)] += 1
    b = rows.block_of[n]
    chosen = rows.best[r, b]
    if chosen == n:
        if key < old:
            best_of_block(r, b, rows)
        else:
            rows.peak[r, b] = key
    elif key > rows.peak[r, b] or (key == rows.peak[r, b] and n < chosen):
        rows.best[r, b], rows.peak[r, b] = n, key


@compiled
def catch_up(r: int, w: int, rows: Rows, log: Log, fleet: Fleet, wishes: Wishes, table: Table, rule: Rule) -> None:
    """Judge again what was touched since the row was last used, each node once; all nodes of a new row."""
    start, end, nodes = rows.read[r], log.end[0], log.last.shape[0]
    if start == end:
        return
    is_new = start < 0
    by_log = not is_new and end - start < nodes
    stamp = rows.made[0]
    if is_new:
        rows.made[0] += 1
        for f in range(FILTERS):
            rows.counts[r, f] = 0
    for i in range(end - start if by_log else nodes):
        n = i
        if by_log:
            n = log.touched[start + i]
            if log.last[n] != start + i:
                continue  # it comes again
        elif log.last[n] < start:
            continue
        alike = fleet.nodes.alike[n]
        is_common = is_new and log.last[n] < 0 and not is_masked(n, w, fleet, wishes)
        if is_common and rows.known_by[alike] == stamp:
            key = rows.known[alike]
        else:
            key = judge(n, w, fleet, wishes, table, rule)
        if is_new:
            if is_common:
                rows.known[alike], rows.known_by[alike] = key, stamp
            rows.key[r, n] = key
            rows.counts[r, filter_of(key)] += 1
        elif key != rows.key[r, n]:
            settle(r, n, key, rows)
    if is_new:
        for b in range(rows.block.shape[0] - 1):
            best_of_block(r, b, rows)
    rows.read[r] = end


@compiled
def top(r: int, rows: Rows, rank: I32, worth: F64, chosen: I32, keys: F64, heads: I32) -> int:
    """The best nodes into `chosen` and their keys into `keys`; how many. `worth` is what a block adds to scores.

    When none fits the first is the nearest miss. Of equals the first in the drawn order.
    """
    size = chosen.shape[0]
    blocks = rows.best.shape[1]
    found = 0
    for b in range(blocks):  # the best of blocks: whatever is among the best lies in the blocks of these
        key = rows.peak[r, b]
        if key > FITS:
            key += worth[b]
        if found < size or key >= keys[size - 1]:
            found = put(rows.best[r, b], key, rank, chosen, keys, found, size)
    if keys[0] <= FITS:
        return found
    for i in range(found):
        heads[i] = rows.block_of[chosen[i]]
    total = found
    for i in range(total):
        b = heads[i]
        for n in range(rows.block[b], rows.block[b + 1]):
            if n == rows.best[r, b]:
                continue
            key = rows.key[r, n]
            if key > FITS:
                key += worth[b]
                if found < size or key >= keys[found - 1]:
                    found = put(n, key, rank, chosen, keys, found, size)
    while keys[found - 1] <= FITS:
        found -= 1
    return found


@compiled
def put(n: int, key: float, rank: I32, chosen: I32, keys: F64, found: int, size: int) -> int:
    """Into a short list in order, best first; the last falls out when it is full."""
    if found == size:
        last = size - 1
        if key < keys[last] or (key == keys[last] and rank[n] > rank[chosen[last]]):
            return found
        at = last
    else:
        at = found
        found += 1
    while at > 0 and (key > keys[at - 1] or (key == keys[at - 1] and rank[n] < rank[chosen[at - 1]])):
        keys[at], chosen[at] = keys[at - 1], chosen[at - 1]
        at -= 1
    keys[at], chosen[at] = key, n
    return found
