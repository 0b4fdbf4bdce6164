"""All nodes that fit one wish, best first, kept up to date as the plan goes on."""

from heapq import heappop, heappush

from federation.placement.filters import Choice, Filter, Group, Wish, fit, screen
from federation.placement.policies import Policy
from federation.placement.shapes import Board, Layout, Shape


class Ranking:
    """Judges each shape once. Equal wishes share one ranking, so a queue costs little more than its changes."""

    def __init__(self, wish: Wish, board: Board, policy: Policy) -> None:
        self.wish = wish
        self.refused: dict[int, Filter] = {}  # by Shape.number
        self._board = board
        self._policy = policy
        self._groups: dict[int, Filter | tuple[Group, ...]] = {}  # by Layout.number
        self._heap: list[tuple[float, int, Shape]] = []
        self._read = 0  # how much of the board's news has been judged

    def best(self, count: int) -> list[tuple[float, int, Shape]]:
        """The best nodes as (minus score, position, shape); equal scores in node order."""
        self._catch_up()
        found: list[tuple[float, int, Shape]] = []
        kept = []
        while self._heap:
            cost, _, shape = entry = self._heap[0]
            if not shape.nodes:
                heappop(self._heap)  # it is never seen again
                continue
            if len(found) >= count and cost > found[-1][0]:
                break
            kept.append(entry)
            heappop(self._heap)
            found.extend((cost, position, shape) for position in shape.nodes[:count])
        for entry in kept:
            heappush(self._heap, entry)
        found.sort(key=lambda node: node[:2])
        return found[:count]

    def choose(self, shape: Shape) -> Choice:
        """The devices that a member gets on a node of a shape that `best` named."""
        groups = self.groups(shape.layout)
        assert not isinstance(groups, Filter)
        choice = fit(self.wish, shape, groups, is_tight=self._policy.is_tight)
        assert isinstance(choice, Choice)
        return choice

    def groups(self, layout: Layout) -> Filter | tuple[Group, ...]:
        groups = self._groups.get(layout.number)
        if groups is None:
            groups = self._groups[layout.number] = screen(self.wish, layout)
        return groups

    def _catch_up(self) -> None:
        news = self._board.news
        for number in range(self._read, len(news)):
            if news[number].nodes:
                self._judge(news[number])
        self._read = len(news)

    def _judge(self, shape: Shape) -> None:
        groups = self.groups(shape.layout)
        if isinstance(groups, Filter):
            self.refused[shape.number] = groups
            return
        choice = fit(self.wish, shape, groups, is_tight=self._policy.is_tight)
        if isinstance(choice, Filter):
            self.refused[shape.number] = choice
        else:
            heappush(self._heap, (-self._policy.score(self.wish, shape, choice), shape.number, shape))
