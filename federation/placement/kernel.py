"""One decision after the other, each on what the earlier ones left. Compiled; `plan.py` calls it."""

from typing import NamedTuple

from federation.placement.columns import F64, I32, I64
from federation.placement.compiled import compiled
from federation.placement.fit import Wishes, fit, has_room
from federation.placement.modes import ANY, NO_SITES, RANDOM
from federation.placement.ranks import FITS, Log, Rows, catch_up, filter_of, top
from federation.placement.scores import Fleet, Rule, device_for
from federation.placement.sites import Sites, add_worth, mixed
from federation.placement.tables import Table
from federation.placement.waste import refresh


class Seats(NamedTuple):
    """Which wish has which row: rows are few where the fleet is large, and the longest unused is given on."""

    row: I32  # by wish; -1: none
    wish: I32  # by row; -1: free
    used: I64  # by row
    clock: I64  # [0]: decisions made so far


class Room(NamedTuple):
    """Space to work in, and what a policy adds for sites."""

    worth: F64  # by block
    site_of_block: I32
    heads: I32
    sites: Sites
    site_mode: int
    site_scale: float
    shed: float
    seed: int


class Answers(NamedTuple):
    """By decision. `parts` of a placed one begin at `first_part`."""

    node: I32  # -1: refused
    filter: I32  # the last filter that any node reached; 0 when placed
    near: I32  # the nearest miss, when refused
    amount: I64  # what it has
    counts: I32  # (M, FILTERS)
    candidate: I32  # (M, BEST)
    value: F64  # (M, BEST): scores of candidates
    added: F64  # (M, BEST, 2): what of them is the site's part, and shedding; 0 where a policy has neither
    candidates: I32
    held: I32  # `kinds_held` of the node before
    first_part: I64
    device: I32  # parts: place in NodeFree.devices
    milli: I32
    memory: I64


@compiled
def seat(w: int, seats: Seats, rows: Rows) -> int:
    """The row of a wish."""
    r = seats.row[w]
    if r < 0:
        r = 0
        for other in range(seats.wish.shape[0]):
            if seats.wish[other] < 0:
                r = other
                break
            if seats.used[other] < seats.used[r]:
                r = other
        if seats.wish[r] >= 0:
            seats.row[seats.wish[r]] = -1
        seats.wish[r] = w
        seats.row[w] = r
        rows.read[r] = -1
    seats.used[r] = seats.clock[0]
    return r


@compiled
def one_of_all(r: int, draw: int, rows: Rows) -> int:
    """Any node that fits, each as likely."""
    wanted = draw % rows.counts[r, 0]
    for n in range(rows.key.shape[1]):
        if rows.key[r, n] > FITS:
            if wanted == 0:
                return n
            wanted -= 1
    return -1


@compiled
def touch(n: int, fleet: Fleet, log: Log, table: Table) -> None:
    """After a change of a node: its fragmentation, and word to all rows."""
    refresh(n, fleet.nodes, fleet.groups, fleet.devices, table, fleet.partly)
    end = log.end[0]
    log.touched[end] = n
    log.last[n] = end
    log.end[0] = end + 1


@compiled
def touch_all(changed: I32, fleet: Fleet, log: Log, table: Table) -> None:
    for i in range(changed.shape[0]):
        touch(changed[i], fleet, log, table)


@compiled
def take(n: int, w: int, m: int, draw: int, fleet: Fleet, wishes: Wishes, table: Table, rule: Rule, log: Log,
         room: Room, answers: Answers) -> None:  # fmt: skip
    """Hold what the wish gets on a node that fits, and write it down as decision m."""
    nodes, devices = fleet.nodes, fleet.devices
    _, _, g = fit(n, w, nodes, fleet.groups, devices, wishes)
    at = answers.first_part[m]
    if g >= 0:
        first, last, wanted = fleet.groups.first_device[g], fleet.groups.first_device[g + 1], wishes.devices[w]
        if wishes.milli[w] < 1000:
            first = device_for(n, w, g, fleet, wishes, table, rule, draw)
            last = first + 1
        for d in range(first, last):
            if wanted == 0 or not has_room(d, w, devices, wishes):
                continue
            kind = devices.kind[d]
            answers.device[at] = devices.slot[d]
            answers.milli[at] = wishes.takes[w, kind]
            answers.memory[at] = wishes.needs[w, kind]
            devices.free[d] -= wishes.takes[w, kind]
            devices.memory[d] -= wishes.needs[w, kind]
            devices.seats[d] -= 1
            wanted -= 1
            at += 1
    answers.first_part[m + 1] = at
    nodes.cpu[n] -= wishes.cpu[w]
    nodes.memory[n] -= wishes.memory[w]
    answers.held[m] = nodes.kinds_held[n]
    nodes.kinds_held[n] |= wishes.size[w]
    sites, s = room.sites, nodes.site[n]
    for part in range(answers.first_part[m], at):
        sites.used[s] += answers.milli[part]
    sites.given[s] += 1
    sites.turn[s] = log.end[0]
    touch(n, fleet, log, table)


@compiled
def give_back(n: int, w: int, held: int, slots: I32, milli: I32, memory: I64, fleet: Fleet, wishes: Wishes,
              table: Table, log: Log, room: Room) -> None:  # fmt: skip
    """Undo `take`. `held` is the node's `kinds_held` before it; `slots`, `milli`, `memory` are its parts."""
    nodes, devices = fleet.nodes, fleet.devices
    nodes.cpu[n] += wishes.cpu[w]
    nodes.memory[n] += wishes.memory[w]
    nodes.kinds_held[n] = held
    groups = fleet.groups
    first, last = groups.first_device[nodes.first_group[n]], groups.first_device[nodes.first_group[n + 1]]
    for part in range(slots.shape[0]):
        room.sites.used[nodes.site[n]] -= milli[part]
        for d in range(first, last):
            if devices.slot[d] == slots[part]:
                devices.free[d] += milli[part]
                devices.memory[d] += memory[part]
                devices.seats[d] += 1
    room.sites.given[nodes.site[n]] -= 1
    touch(n, fleet, log, table)


@compiled
def name_added(m: int, found: int, fleet: Fleet, room: Room, answers: Answers) -> None:
    """Write down what was added to the scores of the candidates for their sites."""
    for i in range(found):
        s = fleet.nodes.site[answers.candidate[m, i]]
        answers.added[m, i, 0], answers.added[m, i, 1] = room.sites.added[s, 0], room.sites.added[s, 1]


@compiled
def decide(which: I32, keys: I64, fleet: Fleet, wishes: Wishes, table: Table, rule: Rule, rows: Rows, seats: Seats,
           log: Log, room: Room, answers: Answers) -> None:  # fmt: skip
    """Each wish of `which` in turn. `keys` are what policies that hash or draw know of the request."""
    has_worth = room.site_mode != NO_SITES or room.shed > 0.0
    for m in range(which.shape[0]):
        w = which[m]
        r = seat(w, seats, rows)
        seats.clock[0] += 1
        catch_up(r, w, rows, log, fleet, wishes, table, rule)
        if has_worth:
            add_worth(room.worth, room.site_of_block, keys[m], room.sites, room.site_mode, room.site_scale, room.shed)
        chosen, values = answers.candidate[m], answers.value[m]
        found = top(r, rows, fleet.nodes.rank, room.worth, chosen, values, room.heads)
        if values[0] <= FITS:
            refused = filter_of(values[0])
            answers.node[m] = -1
            answers.filter[m] = refused
            answers.near[m] = chosen[0]
            answers.amount[m] = miss_amount(values[0], refused)
            answers.candidates[m] = 0
            for f in range(rows.counts.shape[1]):
                answers.counts[m, f] = rows.counts[r, f]
            answers.first_part[m + 1] = answers.first_part[m]
            continue
        draw = 0
        if rule.mode == RANDOM or rule.device == ANY:
            draw = mixed(room.seed ^ mixed(seats.clock[0])) & 0x3FFFFFFFFFFFFFFF
        if rule.mode == RANDOM:
            one = one_of_all(r, draw, rows)
            at = 0  # the drawn node comes first among those named, the others follow
            while at < found - 1 and chosen[at] != one:
                at += 1
            while at > 0:
                chosen[at] = chosen[at - 1]
                at -= 1
            chosen[0] = one
        answers.node[m] = chosen[0]
        answers.filter[m] = 0
        answers.candidates[m] = found
        if has_worth:
            name_added(m, found, fleet, room, answers)
        take(chosen[0], w, m, draw >> 20, fleet, wishes, table, rule, log, room, answers)


@compiled
def miss_amount(key: float, refused: int) -> int:
    from_band = key - (-1e15 + 1e13 * refused)
    return int(from_band + 0.5)
