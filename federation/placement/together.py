"""Members of a gang in one place: which place could hold how many, and one member after the other there. Compiled."""

from federation.placement.columns import F64, I32, I64
from federation.placement.compiled import compiled
from federation.placement.fit import Wishes, fit, has_room
from federation.placement.kernel import Answers, Room, Seats, give_back, name_added, seat, take
from federation.placement.modes import NO_SITES, RANDOM
from federation.placement.ranks import BEST, FITS, MISS, Log, Rows, catch_up, judge, put
from federation.placement.scores import Fleet, Rule
from federation.placement.sites import add_worth, mixed
from federation.placement.tables import Table

CHUNK = 128  # nodes of which the best is kept, so that a large gang does not look at all nodes for each member
ENDLESS = 1 << 30  # members that want nothing
UNKNOWN = 1e300  # a key that is yet to be found: in one place, since all that is called is compiled where it is called


@compiled
def held_by_device(d: int, w: int, fleet: Fleet, wishes: Wishes) -> int:
    """How many shares of the wish a device holds; of a whole device one."""
    devices = fleet.devices
    if not has_room(d, w, devices, wishes):
        return 0
    takes, needs = wishes.takes[w, devices.kind[d]], wishes.needs[w, devices.kind[d]]
    found: int = min(devices.free[d] // takes, devices.seats[d])
    return min(found, devices.memory[d] // needs) if needs > 0 else found


@compiled
def held_by_cpu(n: int, w: int, fleet: Fleet, wishes: Wishes) -> int:
    """How many members a node holds as far as CPU and memory go."""
    found = ENDLESS
    if wishes.cpu[w] > 0:
        found = min(found, fleet.nodes.cpu[n] // wishes.cpu[w])
    if wishes.memory[w] > 0:
        found = min(found, fleet.nodes.memory[n] // wishes.memory[w])
    return found


@compiled
def held_by(n: int, w: int, fleet: Fleet, wishes: Wishes) -> int:
    """How many members a node that fits one holds: all are equal, so their order does not matter."""
    found = held_by_cpu(n, w, fleet, wishes)
    wanted = wishes.devices[w]
    if wanted == 0:
        return found
    total = 0
    for g in range(fleet.nodes.first_group[n], fleet.nodes.first_group[n + 1]):
        here = 0
        for d in range(fleet.groups.first_device[g], fleet.groups.first_device[g + 1]):
            here += held_by_device(d, w, fleet, wishes)
        total += here // wanted
    return min(found, total)


@compiled
def survey(w: int, key: int, order: I32, start: I32, spot: I32, is_spread: bool, seen: I64, stamp: int, fleet: Fleet,
           wishes: Wishes, table: Table, rule: Rule, rows: Rows, seats: Seats, log: Log, room: Room, best: F64,
           head: I32, holds: I64) -> int:  # fmt: skip
    """Of each place the score of its best node, that node (-1: none fits), and how many members it holds.

    The row of the wish, which is up to date then. Notes in `seen` are numbers from `stamp` on, one for each place.
    """
    r = seat(w, seats, rows)
    seats.clock[0] += 1
    catch_up(r, w, rows, log, fleet, wishes, table, rule)
    has_worth = room.site_mode != NO_SITES or room.shed > 0.0
    if has_worth:
        add_worth(room.worth, room.site_of_block, key, room.sites, room.site_mode, room.site_scale, room.shed)
    for p in range(start.shape[0] - 1):
        best[p], head[p], holds[p] = MISS, -1, 0
        for i in range(start[p], start[p + 1]):
            n = order[i]
            value = rows.key[r, n]
            if value <= FITS or spot[n] < 0:
                continue
            if has_worth:
                value += room.worth[rows.block_of[n]]
            chosen = head[p]
            if chosen < 0 or value > best[p] or (value == best[p] and fleet.nodes.rank[n] < fleet.nodes.rank[chosen]):
                best[p], head[p] = value, n
            if not is_spread:
                holds[p] += held_by(n, w, fleet, wishes)
            elif seen[spot[n]] != stamp + p:
                seen[spot[n]] = stamp + p
                holds[p] += 1
    return r


@compiled
def fill(w: int, r: int, key: int, at: I32, spot: I32, is_spread: bool, seen: I64, stamp: int, first: int, end: int,
         keys: F64, peaks: F64, tops: I32, left: I64, floor: I64, flavor_of: I32, fleet: Fleet, wishes: Wishes,
         table: Table, rule: Rule, rows: Rows, seats: Seats, log: Log, room: Room,
         answers: Answers) -> int:  # fmt: skip
    """Hold members `first` to `end` - 1 on the nodes `at`, each on the best that is left; how many.

    Fewer when none fits any more, or after a member that leaves less than `floor` of its flavor's quota: then the wish
    of the next is another one. `r` is the row of the wish, -1 when nobody has judged these nodes. `keys` is room for
    one number a node, `peaks` and `tops` for one a chunk. `flavor_of` has the number of a flavor by kind of device,
    and last that of work without.
    """
    nodes, devices = fleet.nodes, fleet.devices
    has_worth = room.site_mode != NO_SITES or room.shed > 0.0
    for i in range(at.shape[0]):
        n = at[i]
        if spot[n] < 0 or (is_spread and seen[spot[n]] == stamp):
            keys[i] = MISS
        else:
            keys[i] = rows.key[r, n] if r >= 0 else UNKNOWN
    # What is added for sites, or who is too near, may change anywhere with each member.
    looks_at_all = has_worth or is_spread or rule.mode == RANDOM
    touched = 0
    for m in range(first, end):
        if has_worth:
            add_worth(room.worth, room.site_of_block, key, room.sites, room.site_mode, room.site_scale, room.shed)
        seats.clock[0] += 1
        draw = mixed(room.seed ^ mixed(seats.clock[0])) & 0x3FFFFFFFFFFFFFFF
        chosen, fitting, top = -1, 0, MISS
        for c in range((at.shape[0] + CHUNK - 1) // CHUNK):
            if looks_at_all or m == first or c == touched:
                tops[c], peaks[c] = -1, MISS
                for i in range(c * CHUNK, min((c + 1) * CHUNK, at.shape[0])):
                    if keys[i] == UNKNOWN:
                        keys[i] = judge(int(at[i]), w, fleet, wishes, table, rule)
                    if keys[i] > FITS:
                        fitting += 1
                        value = keys[i] + room.worth[rows.block_of[at[i]]] if has_worth else keys[i]
                        best = tops[c]
                        if (
                            best < 0
                            or value > peaks[c]
                            or (value == peaks[c] and nodes.rank[at[i]] < nodes.rank[at[best]])
                        ):
                            tops[c], peaks[c] = i, value
            i = tops[c]
            if i >= 0 and (
                chosen < 0 or peaks[c] > top or (peaks[c] == top and nodes.rank[at[i]] < nodes.rank[at[chosen]])
            ):
                chosen, top = i, peaks[c]
        if chosen < 0:
            return m - first
        if rule.mode == RANDOM:
            wanted = draw % fitting
            for i in range(at.shape[0]):
                if keys[i] > FITS:
                    if wanted == 0:
                        chosen = i
                    wanted -= 1
        n, touched = at[chosen], chosen // CHUNK
        if m == 0:
            answers.candidates[0] = name_best(at, chosen, keys, nodes.rank, has_worth, rows, room, answers)
            if has_worth:
                name_added(0, answers.candidates[0], fleet, room, answers)
        _, _, g = fit(n, w, nodes, fleet.groups, devices, wishes)
        answers.node[m], answers.filter[m] = n, 0
        take(n, w, m, draw >> 20, fleet, wishes, table, rule, log, room, answers)
        used = wishes.cpu[w]
        flavor = flavor_of[flavor_of.shape[0] - 1]
        if g >= 0:
            used = 0
            for part in range(answers.first_part[m], answers.first_part[m + 1]):
                used += answers.milli[part]
            flavor = flavor_of[devices.kind[fleet.groups.first_device[g]]]
        left[flavor] -= used
        if is_spread:
            seen[spot[n]] = stamp
            for i in range(at.shape[0]):
                if spot[at[i]] == spot[n]:
                    keys[i] = MISS
        else:
            keys[chosen] = UNKNOWN
        if left[flavor] < floor[flavor]:
            return m + 1 - first
    return end - first


@compiled
def name_best(at: I32, chosen: int, keys: F64, rank: I32, has_worth: bool, rows: Rows, room: Room,
              answers: Answers) -> int:  # fmt: skip
    """Into the candidates of member 0: the chosen node, then the others by score; how many."""
    named, values = answers.candidate[0], answers.value[0]
    found = 0
    for i in range(at.shape[0]):
        if keys[i] > FITS:
            value = keys[i] + room.worth[rows.block_of[at[i]]] if has_worth else keys[i]
            found = put(at[i], value, rank, named, values, found, BEST)
    place = 0
    while place < found - 1 and named[place] != at[chosen]:
        place += 1
    while place > 0:
        named[place] = named[place - 1]
        place -= 1
    named[0] = at[chosen]
    return found


@compiled
def capacities(w: int, at: I32, spot: I32, supplier_of: I32, fleet: Fleet, wishes: Wishes, caps: I64,
               totals: I64) -> None:  # fmt: skip
    """By node of `at`, what it holds of each supplier (devices of one flavor that give alike; last: none), and in all.

    `supplier_of` has its number by kind of device.
    """
    wanted = wishes.devices[w]
    for i in range(at.shape[0]):
        n = at[i]
        totals[i] = 0
        refused, _, _ = fit(n, w, fleet.nodes, fleet.groups, fleet.devices, wishes)
        if spot[n] < 0 or refused:
            continue
        totals[i] = held_by_cpu(n, w, fleet, wishes)
        if wanted == 0:
            caps[i, caps.shape[1] - 1] = totals[i]
        for g in range(fleet.nodes.first_group[n], fleet.nodes.first_group[n + 1]):
            here, supplier = 0, 0
            for d in range(fleet.groups.first_device[g], fleet.groups.first_device[g + 1]):
                held = held_by_device(d, w, fleet, wishes)
                if held and wishes.milli[w] < 1000:
                    caps[i, supplier_of[fleet.devices.kind[d]]] += held
                elif held:
                    here += 1
                    supplier = supplier_of[fleet.devices.kind[d]]
            if here and wishes.milli[w] == 1000:
                caps[i, supplier] += here // wanted


@compiled
def take_back(which: I32, fleet: Fleet, wishes: Wishes, table: Table, log: Log, room: Room, answers: Answers) -> None:
    """Undo all members, the last first. `which` has the wish of each."""
    for m in range(which.shape[0] - 1, -1, -1):
        first, last = answers.first_part[m], answers.first_part[m + 1]
        give_back(answers.node[m], which[m], answers.held[m], answers.device[first:last], answers.milli[first:last],
                  answers.memory[first:last], fleet, wishes, table, log, room)  # fmt: skip
