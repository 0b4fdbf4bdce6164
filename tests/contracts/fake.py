"""The fake site, as each kind and in both stores."""

from typing import Any

from federation.drivers.base import DriverConfig
from federation.drivers.fake import FakeDriver, World
from federation.drivers.fake_store import Store, set_control
from tests.contracts.harness import NODES, Harness


class FakeHarness(Harness):
    def __init__(self, kind: str, store: Store, **settings: Any) -> None:
        super().__init__()
        self.kind = kind
        self.store = store
        self.settings = {"seed": 7, "nodes": NODES, **settings}

    def driver(self, epoch: int = 1) -> FakeDriver:
        world = World(self.store, lambda: self.now)
        return FakeDriver(DriverConfig("cluster-1", self.kind, epoch, self.settings, port=world))

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def tick(self) -> None:
        """It knows at once."""

    def break_site(self) -> None:
        set_control(self.store, down=True)

    def slow_site(self, seconds: float) -> None:
        set_control(self.store, latency_seconds=seconds)

    def lose_answers(self) -> None:
        set_control(self.store, lost_answer_rate=1.0)

    def heal_site(self) -> None:
        set_control(self.store, down=None, latency_seconds=None, lost_answer_rate=None)

    def objects(self) -> list[str]:
        return sorted(self.store.there(self.now).work)
