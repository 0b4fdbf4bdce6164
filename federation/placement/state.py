"""All that one plan in the making holds, as columns that grow: wishes, their rows, answers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from federation.placement import gaps, kernel, modes, ranks, scores, sites, tables, waste
from federation.placement.columns import F64, I32, I64, Columns
from federation.placement.compiled import straight
from federation.placement.filters import ORDER, Wish, screen, step_up
from federation.placement.fit import Wishes
from federation.placement.masks import MASKED, Masks
from federation.placement.mix import Mix
from federation.placement.parts import Scale
from federation.placement.policies import Policy
from federation.placement.terms import ENERGY, MONEY, PREFERENCES
from federation.placement.types import NodeFree, SiteFacts

_decide = straight(kernel.decide)
BEFORE_ALL = 1e14  # of a score: more than a policy's weights, which are for what the pool prefers (1e12 for each)
ROW_BYTES = 512 << 20  # for keys of nodes; wishes beyond that take turns


class State:
    """The columns of a plan. `number_of` gives a wish its number, `decide` answers wishes in turn."""

    def __init__(self, columns: Columns, policy: Policy, target: Mix, seed: int) -> None:
        self.columns = columns
        columns.scale = Scale.of(policy, columns.fleet)
        self.wishes: list[Wish] = []
        self._numbers: dict[Wish, int] = {}
        nodes, groups = columns.nodes, columns.groups
        count = len(nodes.cpu)
        self._policy = policy
        partly = waste.scratch(groups.first_device)
        groups.mix[:] = columns.group_kind
        self.fleet = scores.Fleet(nodes, groups, columns.devices, partly)
        self._measure(target)
        if (merits := policy.merits(columns.fleet)) is not None:
            nodes.merit[:] = np.asarray(merits)[columns.index]
        nodes.preferred[:] = _preferred(columns)
        nodes.alike[:] = _alike(columns)
        self._masks = Masks(columns)
        self._rule(policy, columns)
        self._room(policy, columns, seed)
        self.log = ranks.Log(np.zeros(max(count, 64), np.int32), np.full(count, -1, np.int64), np.zeros(1, np.int64))
        self._layouts, self._kinds = max(len(columns.layouts), 1), max(len(columns.kinds), 1)
        self.arrays = self._no_wishes(16)
        self._rows(16)
        self._which, self._key = np.zeros(1, np.int32), np.zeros(1, np.int64)

    def _measure(self, target: Mix) -> None:
        """What is left on each node, against a mix."""
        policy, columns = self._policy, self.columns
        stock = np.bincount(columns.devices.free, minlength=gaps.WHOLE + 1) if policy.mode == modes.PACKING else None
        self.table = tables.table(target if policy.needs_mix else Mix(), tuple(columns.kinds), stock)
        waste.refresh_all(columns.nodes, columns.groups, columns.devices, self.table, self.fleet.partly)

    def learn(self, target: Mix) -> None:
        """Measure by another mix from here on: all scores are made anew when they are next asked for."""
        if self._policy.needs_mix:
            self._measure(target)
            self.rows.read[:] = -1

    def heat(self, facts: Mapping[str, SiteFacts]) -> None:
        """Take the sites for as loaded, and weigh them, as these say."""
        room = self.room.sites
        room.used[:], room.whole[:], room.weight[:] = _sites(self.columns, facts)

    def _rule(self, policy: Policy, columns: Columns) -> None:
        totals = [max(n.total_cpu_milli, n.cpu_milli) for n in columns.fleet.nodes]
        most_milli = 1000 * max((len(layout.slots) for layout in columns.layouts), default=1)
        self.rule = scores.Rule(
            policy.mode, policy.device, max(max(totals, default=1), 1), max(most_milli, 1000)
        )  # fmt: skip

    def _room(self, policy: Policy, columns: Columns, seed: int) -> None:
        site, count = columns.nodes.site, len(columns.nodes.site)
        size = 16 if count < 5000 else 64  # small blocks are soon looked through again, but there are more of them
        starts: list[int] = []
        for s in range(len(columns.sites)):
            first, last = np.searchsorted(site, [s, s + 1]).tolist()
            starts += range(first, last, size)
        self.block = np.array([*starts, count], np.int32)
        self.block_of = np.repeat(np.arange(len(starts), dtype=np.int32), np.diff(self.block))
        used, whole, weight = _sites(columns, columns.fleet.sites)
        of_sites = sites.Sites(
            used, whole, weight, np.zeros(len(whole), np.int64), np.full(len(whole), -1, np.int64),
            np.zeros((len(whole), 2)),
        )  # fmt: skip
        self.room = kernel.Room(
            np.zeros(len(starts)), site[self.block[:-1]], np.zeros(ranks.BEST, np.int32), of_sites, policy.by_site,
            policy.site_scale, policy.shed_scale, seed,
        )  # fmt: skip

    def _rows(self, count: int) -> None:
        """Room for so many rows at once; those there are forgotten."""
        nodes = len(self.columns.nodes.cpu)
        count = max(min(count, ROW_BYTES // (8 * max(nodes, 1))), 4)
        blocks = len(self.block) - 1
        self.rows = ranks.Rows(
            np.zeros((count, nodes)), np.zeros((count, blocks), np.int32), np.zeros((count, blocks)),
            np.zeros((count, ranks.FILTERS), np.int32), np.full(count, -1, np.int64), self.block, self.block_of,
            np.zeros(nodes), np.full(nodes, -1, np.int64), np.zeros(1, np.int64),
        )  # fmt: skip
        self.seats = kernel.Seats(
            np.full(len(self.arrays.cpu), -1, np.int32), np.full(count, -1, np.int32), np.zeros(count, np.int64),
            np.zeros(1, np.int64),
        )  # fmt: skip

    def _grow_rows(self, count: int) -> None:
        """Room for more; what the old rows know is kept."""
        rows, seats = self.rows, self.seats
        self._rows(count)
        kept = len(rows.key)
        self.rows.key[:kept], self.rows.best[:kept] = rows.key, rows.best
        self.rows.peak[:kept], self.rows.made[:] = rows.peak, rows.made
        self.rows.counts[:kept], self.rows.read[:kept] = rows.counts, rows.read
        self.seats.row[: len(seats.row)], self.seats.wish[:kept] = seats.row, seats.wish
        self.seats.used[:kept], self.seats.clock[:] = seats.used, seats.clock

    def _no_wishes(self, count: int) -> Wishes:
        return Wishes(
            np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count, np.int64),
            np.zeros(count, np.int32), np.zeros((count, self._layouts), np.int32),
            np.zeros((count, self._kinds), np.int32), np.zeros((count, self._kinds), np.int64),
            np.zeros(count, np.int32), self._masks.rows,
        )  # fmt: skip

    def _grow_wishes(self, count: int) -> None:
        old, self.arrays = self.arrays, self._no_wishes(count)
        arrays: Sequence[tuple[Any, Any]] = list(zip(self.arrays, old, strict=True))
        for new, was in arrays:
            new[: len(was)] = was

    def number_of(self, wish: Wish) -> int:
        found = self._numbers.get(wish)
        return self._add(wish) if found is None else found

    def _add(self, wish: Wish) -> int:
        w = len(self.wishes)
        if w == len(self.arrays.cpu):
            self._grow_wishes(2 * w)
            self._grow_rows(2 * w)
        self._numbers[wish] = w
        self.wishes.append(wish)
        a, columns = self.arrays, self.columns
        a.cpu[w], a.memory[w], a.devices[w], a.milli[w] = wish[:4]
        if wish.devices:
            a.size[w] = 1 if wish.is_share else 1 << min(wish.devices, 30)
        for number, layout in enumerate(columns.layouts):
            refused = screen(wish, layout)
            a.verdict[w, number] = 0 if refused is None else ORDER[refused] + 1
        for number, kind in enumerate(columns.kinds):
            is_fine = wish.may_have(kind)
            a.takes[w, number] = step_up(wish.milli, kind.step_milli) if is_fine else -1
            a.needs[w, number] = wish.memory_on(kind) if is_fine else 0
        a.prefer[w] = PREFERENCES.index(wish.terms.prefer)
        a.verdict[w] += MASKED * self._masks.number_of(wish.terms)
        if a.masks is not self._masks.rows:
            self.arrays = a._replace(masks=self._masks.rows)
        return w

    def decide(self, which: I32, keys: I64) -> kernel.Answers:
        """An answer for each wish, held against all later ones."""
        self.make_room(len(which))
        answers = self.answers(len(which), int(self.arrays.devices[which].sum()))
        _decide(which, keys, self.fleet, self.arrays, self.table, self.rule, self.rows, self.seats, self.log,
                self.room, answers)  # fmt: skip
        return answers

    def decide_one(self, w: int, key: int) -> kernel.Answers:
        """As `decide`, for one wish."""
        self._which[0], self._key[0] = w, key
        return self.decide(self._which, self._key)

    def answers(self, count: int, parts: int) -> kernel.Answers:
        """Room for so many decisions that take so many devices at most."""
        return kernel.Answers(
            np.empty(count, np.int32), np.empty(count, np.int32), np.empty(count, np.int32), np.empty(count, np.int64),
            np.empty((count, ranks.FILTERS), np.int32), np.empty((count, ranks.BEST), np.int32),
            np.empty((count, ranks.BEST)), np.zeros((count, ranks.BEST, 2)), np.empty(count, np.int32),
            np.empty(count, np.int32), np.zeros(count + 1, np.int64),
            np.empty(parts, np.int32), np.empty(parts, np.int32), np.empty(parts, np.int64),
        )  # fmt: skip

    def give_back(self, answers: kernel.Answers, w: int) -> None:
        """Undo the only decision of some answers."""
        self.make_room(1)
        end = int(answers.first_part[1])
        kernel.give_back(int(answers.node[0]), w, int(answers.held[0]), answers.device[:end], answers.milli[:end],
                         answers.memory[:end], self.fleet, self.arrays, self.table, self.log, self.room)  # fmt: skip

    def renew(self, changed: Sequence[tuple[int, NodeFree, NodeFree]]) -> bool:
        """What is free on these nodes now: (position, as it was read before, as it is). False when more has changed;
        the state is of no use then."""
        free, nodes, groups = self.columns.devices.free, self.columns.nodes, self.columns.groups
        for position, was, node in changed:
            first, last = (
                groups.first_device[nodes.first_group[position]],
                groups.first_device[nodes.first_group[position + 1]],
            )
            before = int(free[first:last].sum())
            if not self.columns.renew(position, was, node):
                return False
            self.room.sites.used[nodes.site[position]] += before - int(free[first:last].sum())
        self.make_room(len(changed))
        kernel.touch_all(
            np.fromiter((position for position, _, _ in changed), np.int32, len(changed)),
            self.fleet, self.log, self.table,
        )  # fmt: skip
        return True

    def make_room(self, entries: int) -> None:
        """For so many more entries of the log: one for each change of a node."""
        end, touched = int(self.log.end[0]), self.log.touched
        if end + entries > len(touched):
            grown = np.zeros(max(2 * len(touched), end + entries), np.int32)
            grown[:end] = touched[:end]
            self.log = self.log._replace(touched=grown)


def _preferred(columns: Columns) -> F64:
    """(2, N): what a wish that prefers money, or energy, adds for a node: from 0 down to -BEFORE_ALL.

    Relative to the dearest and the dirtiest node, as the weights of policies are.
    """
    nodes = [columns.fleet.nodes[i] for i in columns.index.tolist()]
    facts: dict[str, Callable[[NodeFree], float]] = {MONEY: lambda n: n.price, ENERGY: lambda n: n.carbon}
    found = np.zeros((len(facts), len(nodes)))
    for name, fact in facts.items():
        row = np.fromiter(map(fact, nodes), np.float64, len(nodes))
        if most := row.max(initial=0.0):
            found[PREFERENCES.index(name) - 1] = row * (-BEFORE_ALL / most)
    return found


def _alike(columns: Columns) -> I32:
    """A number for each node, the same for those that are equal in all that is looked at."""
    nodes = columns.nodes
    if not len(nodes.cpu):
        return np.zeros(0, np.int32)
    worth = [nodes.merit, *(row for row in nodes.preferred if row.any())]
    keys = np.stack([nodes.layout, nodes.cpu, nodes.memory, columns.content, *(w.view(np.int64) for w in worth)])
    numbers: I32 = np.unique(keys, axis=1, return_inverse=True)[1].astype(np.int32)
    return numbers.reshape(-1)


def _sites(columns: Columns, facts: Mapping[str, SiteFacts]) -> tuple[I64, I64, F64]:
    """Of each site what is in use of its healthy devices, and all of them, in 1/1000; and its weight."""
    count = len(columns.sites)
    nodes, devices = columns.nodes, columns.devices
    whole = np.bincount(nodes.site, nodes.whole, count).astype(np.int64)
    sizes = np.diff(columns.groups.first_device[nodes.first_group])
    free = np.bincount(np.repeat(nodes.site, sizes), devices.free, count).astype(np.int64)
    used = np.maximum(whole - free, 0)
    known = [facts.get(site, SiteFacts()) for site in columns.sites]
    used = np.maximum(used, (whole * np.array([site.load for site in known])).astype(np.int64)) if count else used
    return used, whole, np.array([site.weight for site in known])
