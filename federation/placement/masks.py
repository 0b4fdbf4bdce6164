"""Which nodes the labels of a wish leave, by node: labels are too many and too different to be part of a layout.

One row for each set of nodes that some wish leaves, so most wishes with labels share one.
"""

import numpy as np
import numpy.typing as npt

from federation.placement.columns import Columns
from federation.placement.filters import ORDER, Filter
from federation.placement.terms import NETWORK_CLASS_LABEL, Terms

I16 = npt.NDArray[np.int16]

MASKED = 64  # above the numbers of filters
WIDTH = 256  # an entry is the number of the filter that refuses the node times this, and what the node has; 0: none
_LABEL, _NETWORK = WIDTH * (ORDER[Filter.LABEL] + 1), WIDTH * (ORDER[Filter.NETWORK] + 1)


class Masks:
    """`rows` is (M, N), by position; it is another array after it has grown."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self.rows: I16 = np.zeros((1, len(columns.index)), np.int16)
        self._numbers: dict[object, int] = {}
        self._known: dict[bytes, int] = {}

    def number_of(self, terms: Terms) -> int:
        """The row for the labels and the network class of a wish, from 1; 0 when it wants none."""
        if not terms.labels and not terms.network_class:
            return 0
        key = (terms.labels, terms.network_class)
        if (found := self._numbers.get(key)) is None:
            found = self._numbers[key] = self._add(self._row(terms))
        return found

    def _add(self, row: I16) -> int:
        number = self._known.setdefault(row.tobytes(), len(self._known))
        if number == len(self.rows):
            self.rows = np.concatenate([self.rows, np.zeros_like(self.rows)])
        self.rows[number] = row
        return number + 1

    def _row(self, terms: Terms) -> I16:
        wanted, network = tuple(terms.labels), terms.network_class
        nodes = self._columns.fleet.nodes
        row = np.zeros(len(nodes), np.int16)
        for position, n in enumerate(self._columns.index.tolist()):
            labels = nodes[n].labels
            has = sum(labels.get(name) == value for name, value in wanted)
            if has < len(wanted):
                row[position] = _LABEL + has
            elif network and labels.get(NETWORK_CLASS_LABEL) != network:
                row[position] = _NETWORK
        return row
