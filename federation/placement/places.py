"""Where the members of a gang are together, and where apart: sites, clusters, racks, networks, nodes of a fleet."""

from typing import NamedTuple

import numpy as np

from federation.placement.columns import I32, I64, Columns
from federation.placement.terms import ANY, CLUSTER, NETWORK, NODE, RACK, SITE
from federation.placement.types import NodeFree

Name = tuple[str, ...]  # site, cluster, rack; or site, network
NOWHERE = -1


class Places(NamedTuple):
    """All places of one kind. Nodes of place p are `order[start[p]:start[p + 1]]`, by position; some are in none."""

    kind: str
    order: I32
    start: I32
    names: list[Name]

    def nodes(self, place: int) -> I32:
        return self.order[self.start[place] : self.start[place + 1]]


class Spots(NamedTuple):
    """By position: the number of the place that a node may share with no other member; NOWHERE: it takes none."""

    kind: str
    of: I32
    seen: I64  # by number: room for notes


class Map:
    """The places of a fleet, each kind made when it is first asked for."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._places: dict[str, Places] = {}
        self._spots: dict[str, Spots] = {}

    def places(self, topology: str) -> Places:
        if topology not in self._places:
            numbers, names = self._numbered(topology)
            order = np.argsort(numbers, kind="stable").astype(np.int32)
            start = np.searchsorted(numbers[order], np.arange(len(names) + 1)).astype(np.int32)
            self._places[topology] = Places(topology, order, start, names)
        return self._places[topology]

    def spots(self, spread: str) -> Spots:
        if spread not in self._spots:
            numbers, names = self._numbered(spread or ANY)
            self._spots[spread] = Spots(spread, numbers, np.zeros(max(len(names), 1), np.int64))
        return self._spots[spread]

    def _numbered(self, kind: str) -> tuple[I32, list[Name]]:
        """By position the number of its place, and the names by number."""
        columns = self._columns
        count = len(columns.index)
        if kind == ANY:
            return np.zeros(count, np.int32), [()]
        if kind == SITE:
            return columns.nodes.site, [(site,) for site in columns.sites]
        numbers = np.full(count, NOWHERE, np.int32)
        found: dict[object, int] = {}
        names: list[Name] = []
        for position, n in enumerate(columns.index.tolist()):
            node = columns.fleet.nodes[n]
            if (name := _name(node, kind)) is None:
                continue
            number = numbers[position] = found.setdefault(position if kind == NODE else name, len(names))
            if number == len(names):
                names.append(name)
        return numbers, names


def _name(node: NodeFree, kind: str) -> Name | None:
    if kind == CLUSTER:
        return node.site, node.cluster
    if kind == RACK:
        return (node.site, node.cluster, node.rack) if node.rack else None
    if kind == NETWORK:
        return (node.site, node.network) if node.network else None
    return node.site, node.cluster, node.name
