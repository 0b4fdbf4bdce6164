"""Fleets with work on them, for tests of plans of moves."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from random import Random

from federation.placement.defrag import Move, Piece, carried_out
from federation.placement.mix import Mix
from federation.placement.plan import Planner
from federation.placement.types import DeviceShare, Fleet, NodeFree, Placement, Request
from tests.federation.placing import cards, node, want

GIB = 1024


def piece(name: str, on: str, *devices: int, milli: int = 1000, movable: bool = True, **more: int) -> Piece:
    """On devices of A100s of this node, by their index."""
    shares = tuple(DeviceShare(index, milli, 40 * GIB * milli // 1000) for index in devices)
    wanted = want(len(devices), milli, name=name, **more)
    return Piece(name, on, shares, wanted, "nvidia-a100" if devices else "cpu", movable)


def loaded(nodes: Iterable[NodeFree], pieces: Iterable[Piece]) -> Fleet:
    """Nodes that were empty, with these on them."""
    found = {one.id: one for one in nodes}
    for each in pieces:
        one, held = found[each.node], {share.index: share for share in each.devices}
        found[each.node] = replace(
            one,
            cpu_milli=one.cpu_milli - each.request.cpu_milli,
            memory_mib=one.memory_mib - each.request.memory_mib,
            devices=tuple(
                replace(
                    d,
                    free_milli=d.free_milli - held[d.index].milli,
                    free_memory_mib=d.free_memory_mib - held[d.index].memory_mib,
                    held_shares=d.held_shares + 1,
                )
                if d.index in held
                else d
                for d in one.devices
            ),
        )
    return Fleet(tuple(found.values()))


def drawn(seed: int, sizes: list[int], requests: list[Request], movable: float = 1.0) -> tuple[Fleet, list[Piece]]:
    """Nodes of so many cards, with what of the requests was placed by chance."""
    random = Random(seed)
    nodes = [node(f"n{i}", *cards(size), cpu=16, total_cpu_milli=16_000) for i, size in enumerate(sizes)]
    outcomes = Planner(Fleet(tuple(nodes)), "random", seed + 1).place_all(requests)
    pieces = [
        Piece(
            request.id, member.node, member.devices, request, member.flavor, random.random() < movable,
        )
        for request, outcome in zip(requests, outcomes, strict=True) if isinstance(outcome, Placement)
        for member in outcome.members
    ]  # fmt: skip
    return loaded(nodes, pieces), pieces


def lost(fleet: Fleet, mix: Mix) -> float:
    """Fragmentation as the compiled engine measures it."""
    return float(Planner(fleet, "fgd", mix=mix).columns.groups.waste.sum())


def every_plan(fleet: Fleet, pieces: list[Piece], most: int) -> Iterator[tuple[tuple[Move, ...], Fleet]]:
    """Each set of moves of at most so many pieces in which no node both gives and takes, and what is then free."""

    def grown(moves: tuple[Move, ...], now: Fleet, rest: list[Piece]) -> Iterator[tuple[tuple[Move, ...], Fleet]]:
        yield moves, now
        if len(moves) == most:
            return
        for number, each in enumerate(rest):
            for target in now.nodes:
                gives, takes = {m.source for m in moves}, {m.target for m in moves}
                if target.id == each.node or target.id in gives or each.node in takes or each.obstacle:
                    continue
                for shares in _ways(each, target):
                    move = Move(each.id, each.node, target.id, shares)
                    try:
                        after = carried_out(now, [each], [move])
                    except ValueError:
                        continue
                    yield from grown((*moves, move), after, rest[number + 1 :])

    yield from grown((), fleet, sorted(pieces, key=lambda p: p.id))


def _ways(each: Piece, target: NodeFree) -> Iterator[tuple[DeviceShare, ...]]:
    held = each.devices
    if not held:
        yield ()
    elif held[0].milli < 1000:
        for device in target.devices:
            yield (DeviceShare(device.index, held[0].milli, held[0].memory_mib),)
    else:
        free = [d for d in target.devices if d.free_milli == 1000][: len(held)]
        if len(free) == len(held):
            yield tuple(DeviceShare(d.index, 1000, d.memory_mib) for d in free)
