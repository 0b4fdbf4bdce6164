"""What a driver's tests need of its site beside the driver: time that can be moved, and faults to order."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from federation.drivers.base import DeviceGrant, Observation, ObservedState, SiteDriver, WorkloadSpec

NODE, CARDS, MEMORY = "node-1", 4, 81920
NOON = 1_800_000_000.0


def uuid_of(index: int) -> str:
    return f"GPU-{index}"


NODES: list[Mapping[str, Any]] = [
    {
        "name": NODE,
        "cpu_milli": 64_000,
        "memory_mib": 524_288,
        "rack": "r1",
        "labels": {"zone": "a"},
        "devices": [
            {"index": i, "uuid": uuid_of(i), "vendor": "nvidia", "model": "A100-80G", "memory_mib": MEMORY}
            for i in range(CARDS)
        ],
    }
]


def spec(ref: str = "work-1", *, card: int = 0, milli: int = 1000, **changes: Any) -> WorkloadSpec:
    """Work on one card of the one node."""
    whole = WorkloadSpec(
        ref=ref,
        epoch=1,
        generation=1,
        name="job",
        tenant="acme",
        project="vision",
        kind="batch",
        node=NODE,
        cpu_milli=4000,
        memory_mib=8192,
        devices=(DeviceGrant(card, uuid_of(card), milli, MEMORY * milli // 1000),),
        command=("true",),
    )
    return replace(whole, **changes)


class Harness(ABC):
    """A site with one node of four cards. `now` is seconds and moves only when told."""

    shows_hardware = True  # it tells what a server is made of; False: that it is there, and no more
    measures = True  # it has figures of its devices
    shares_devices = True  # a device can be had in part; False: work has whole servers
    has_containers = True  # its work really runs, or is simulated whole; False: somebody only says that it does
    shares = True  # part of a device can be handed out; False: whole ones only
    steps = 40  # of a second; within so many a site has started or stopped what it was told to

    def __init__(self) -> None:
        self.now = NOON

    @abstractmethod
    def driver(self, epoch: int = 1) -> SiteDriver:
        """A new driver of the same site, as each task of the hub makes one."""

    @abstractmethod
    def advance(self, seconds: float) -> None: ...

    @abstractmethod
    def tick(self) -> None:
        """Let a site that is told by mail have its mail. The others know at once."""

    @abstractmethod
    def break_site(self) -> None:
        """Nothing answers any more."""

    @abstractmethod
    def slow_site(self, seconds: float) -> None:
        """Each answer takes so long."""

    @abstractmethod
    def lose_answers(self) -> None:
        """What is asked for happens, and the answer never comes."""

    @abstractmethod
    def heal_site(self) -> None: ...

    @abstractmethod
    def objects(self) -> list[str]:
        """The refs that are really at the site, seen without the driver."""

    def until(self, look: Callable[[], Observation], *states: ObservedState) -> Observation:
        """Look again and again, a second apart, until the state is one of these."""
        for _ in range(self.steps):
            seen = look()
            if seen.state in states:
                return seen
            self.advance(1)
        raise AssertionError(f"{seen} and never {', '.join(states)}")
