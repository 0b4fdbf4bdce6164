"""A cluster behind its agent: the fake site, the agent's own parts stepped by hand, and the hub's mailbox in memory."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from aquifer_agent.cluster.hands import Hands
from aquifer_agent.cluster.looks import Looks
from aquifer_agent.cluster.picture import Picture
from aquifer_agent.cluster.pieces import Pieces
from aquifer_agent.cluster.site import Site
from aquifer_agent.cluster.tails import Tails
from aquifer_agent.cluster.threads import Threads
from aquifer_agent.orders import Order

from federation.drivers.agent import AgentDriver, LogPiece, Report
from federation.drivers.agent_calls import answer_to, passing_on
from federation.drivers.agent_nodes import stamp_of
from federation.drivers.base import DriverConfig, Unavailable
from federation.drivers.fake import FakeDriver, World
from federation.drivers.fake_store import MemoryStore
from tests.contracts.agent import MemoryMailbox, Reporting
from tests.contracts.fake import FakeHarness
from tests.contracts.harness import NODES


class ClusterMailbox(MemoryMailbox):
    """The mailbox of a whole cluster: nodes in parts, work that may be unknown, members that are held and let go."""

    def __init__(self, harness: FakeHarness) -> None:
        super().__init__(harness)
        self._nodes: dict[str, tuple[str, Mapping[str, Any]]] = {}
        self._is_whole = False

    def last_report(self) -> Report | None:
        if self._report is None:
            return None
        age = self._harness.now - self._reported_at
        figures = self._report["figures"] or []
        return Report(age, "1.0.0", None, figures, 0.0, self._report["site"], has_nodes=self._is_whole)

    def post(self, ref: str, *, desired: str, generation: int, epoch: int, spec: dict[str, Any] | None) -> None:
        was = self._specs.get(ref)
        super().post(ref, desired=desired, generation=generation, epoch=epoch, spec=spec)
        if was is not None and spec is not None and not was.get("hold"):
            self._specs[ref] = was
        elif was is not None and spec is not None:
            self._specs[ref] = spec

    def nodes(self) -> Iterable[Mapping[str, Any]]:
        return [node for _, node in self._nodes.values()]

    def logs(self, ref: str, offset: int, limit: int) -> list[LogPiece]:
        return [piece for piece in self._logs.get(ref, []) if piece.start >= offset]

    def ask(self, verb: str, ref: str, **detail: Any) -> Mapping[str, Any]:
        """What the hub waits for: the agent takes the call with its next answer, or nobody does."""
        said = self._harness.called({"kind": "ask", "ref": ref, "verb": verb, **detail})
        found: Mapping[str, Any] = json.loads(json.dumps(said))
        return found

    def hear(self, report: dict[str, Any]) -> dict[str, Any]:
        nodes = self._take_nodes(report["nodes"]) if report["nodes"] else None
        parts = [part for part in report["logs"] if part["offset"] == self._end_of(part["ref"])]
        for part in parts:
            pieces = self._logs.setdefault(part["ref"], [])
            pieces.append(LogPiece(part["offset"], part["size"], part["text"]))
        if report["work"] is None:
            self._report, self._reported_at = report, self._harness.now
            reply = {"epoch": self._harness_epoch(), "orders": [*self._orders({})]}
        else:
            reply = self.sync({**report, "logs": [], "inventory": None})
        return reply | {"nodes": nodes, "log_offsets": {ref: self._end_of(ref) for ref in self._letters}}

    def _end_of(self, ref: str) -> int:
        pieces = self._logs.get(ref)
        return pieces[-1].start + pieces[-1].size if pieces else 0

    def _take_nodes(self, part: dict[str, Any]) -> dict[str, Any]:
        self._nodes |= {item["node"]["name"]: (item["digest"], item["node"]) for item in part["changed"]}
        for name in part["gone"]:
            self._nodes.pop(name, None)
        digests = {name: digest for name, (digest, _) in self._nodes.items()}
        self._is_whole = stamp_of(digests) == part["stamp"]
        return {"stamp": stamp_of(digests), "digests": digests if part.get("want_digests") else None}


class SteppedAgent:
    """The agent without its threads and without its wire."""

    def __init__(self, harness: FakeHarness, mailbox: ClusterMailbox, store: MemoryStore) -> None:
        self._mailbox = mailbox
        clock = lambda: harness.now  # noqa: E731
        self._site = Site(FakeDriver, "cluster-1", harness.kind, lambda: harness.settings, port=World(store, clock))
        self._pieces, self._tails, self._picture = Pieces(clock), Tails(clock), Picture()
        threads = Threads()
        self._looks = Looks(self._site, self._pieces, self._picture, threads, lambda: None)
        self._hands = Hands(self._site, self._pieces, self._tails, threads, lambda: None)

    def sync(self) -> None:
        self._looks._look_at_work()
        self._looks._look_at_site()
        self._looks._look_at_nodes()
        self._looks._look_at_figures()
        reply = self._mailbox.hear(self._report())
        self._site.raise_epoch(reply["epoch"])
        self._picture.answered(reply["nodes"])
        self._tails.take_offsets(reply["log_offsets"])
        orders = [order for value in reply["orders"] if (order := Order.from_json(value)) is not None]
        self._pieces.take(orders, self._site.epoch)
        for _ in range(100):
            if self._hands.carry_out() > 0 and self._hands.read() > 0:
                break

    def called(self, call: Mapping[str, Any]) -> dict[str, Any]:
        return answer_to(self._site.driver(), call)

    def abilities(self) -> list[str]:
        return self._site.abilities()

    def _report(self) -> dict[str, Any]:
        work = self._pieces.reports() if self._pieces.is_known() else None
        return {
            "site": self._looks.site(),
            "nodes": self._picture.part(),
            "work": work and [{**item, "log_bytes": self._tails.size(item["ref"])} for item in work],
            "figures": self._looks.figures(),
            "logs": self._tails.pieces(),
        }


class ClusterAgentHarness(Reporting, FakeHarness):
    def __init__(self) -> None:
        self._memory = MemoryStore()
        super().__init__("kubernetes", self._memory)
        self.settings = {"seed": 7, "nodes": NODES}
        self.mailbox = ClusterMailbox(self)
        self.agent = SteppedAgent(self, self.mailbox, self._memory)
        for _ in range(3):
            self.agent.sync()

    def driver(self, epoch: int = 1) -> AgentDriver:  # type: ignore[override]  # the hub's driver, not the site's
        config = DriverConfig("cluster-1", "kubernetes", epoch, port=self.mailbox)
        return passing_on(self.agent.abilities())(config)

    def called(self, call: Mapping[str, Any]) -> dict[str, Any]:
        if self._is_cut:
            raise Unavailable("The site's agent did not answer in time.")
        return self.agent.called(call)

    def break_site(self) -> None:
        """The cluster is away, its agent is not."""
        super().break_site()
        self.advance(21)

    def slow_site(self, seconds: float) -> None:
        self._is_cut = True
        self.advance(seconds)

    def lose_answers(self) -> None:
        """A wish is put in the box, and no report comes any more."""
        self.slow_site(11)

    def heal_site(self) -> None:
        super().heal_site()
        self._is_cut = False
        self.advance(3)
