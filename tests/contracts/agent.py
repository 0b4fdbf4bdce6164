"""A server with an agent, in memory: the mailbox as the hub keeps it, and an agent that obeys the protocol."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from federation.drivers.agent import AgentDriver, Letter, LogPiece, Report
from federation.drivers.base import DriverConfig, Rejected
from tests.contracts.harness import NODES, Harness

START_SECONDS, STOP_SECONDS = 2.0, 1.0


class MemoryMailbox:
    """What federation.mailbox.RowMailbox and the sync call do with rows, done with dicts."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self._letters: dict[str, Letter] = {}
        self._specs: dict[str, dict[str, Any]] = {}
        self._logs: dict[str, list[LogPiece]] = {}
        self._report: dict[str, Any] | None = None
        self._reported_at = 0.0
        self._inventory: dict[str, Any] | None = None

    def last_report(self) -> Report | None:
        if self._report is None:
            return None
        age = self._harness.now - self._reported_at
        return Report(age, "1.0.0", self._inventory, self._report["figures"], 0.0)

    def post(self, ref: str, *, desired: str, generation: int, epoch: int, spec: dict[str, Any] | None) -> None:
        was = self._letters.get(ref)
        if was is not None:
            if desired == "run":
                if was.desired == "absent" or (epoch, generation) < (was.epoch, was.generation):
                    raise Rejected("OldGeneration", "This was taken back already.")
                if (epoch, generation) == (was.epoch, was.generation):
                    return
            elif was.desired == "absent":
                return
            generation, epoch = max(generation, was.generation), max(epoch, was.epoch)
        self._letters[ref] = Letter(ref, desired, generation, epoch, was.observed if was else None)
        if spec is not None:
            self._specs[ref] = spec

    def read(self, refs: Sequence[str]) -> dict[str, Letter]:
        return {ref: self._letters[ref] for ref in refs if ref in self._letters}

    def logs(self, ref: str, offset: int, limit: int) -> list[LogPiece]:
        return [piece for piece in self._logs.get(ref, []) if piece.start >= offset]

    def sync(self, report: dict[str, Any]) -> dict[str, Any]:
        """Take a report as the hub does, and answer with the orders."""
        self._report, self._reported_at = report, self._harness.now
        self._inventory = report["inventory"] or self._inventory
        work = {item["ref"]: item for item in report["work"]}
        for ref, letter in self._letters.items():
            said = work.get(ref)
            if said is None:
                if letter.desired == "run" and letter.observed is None:
                    continue  # not taken on yet; otherwise its absence is the proof
                said = {"state": "absent"}
            self._letters[ref] = Letter(ref, letter.desired, letter.generation, letter.epoch, said)
        for part in report["logs"]:
            self._logs.setdefault(part["ref"], []).append(
                LogPiece(part["offset"], len(part["text"].encode()), part["text"])
            )
        return {"epoch": self._harness_epoch(), "orders": [*self._orders(work)]}

    def _harness_epoch(self) -> int:
        return max((letter.epoch for letter in self._letters.values()), default=1)

    def _orders(self, work: dict[str, Any]) -> list[dict[str, Any]]:
        orders = []
        for ref, letter in self._letters.items():
            is_gone = (letter.observed or {}).get("state") == "absent"
            if (letter.desired == "run" and not is_gone) or ref in work:
                spec = self._specs.get(ref) if letter.desired == "run" else None
                orders.append(
                    {
                        "ref": ref,
                        "generation": letter.generation,
                        "epoch": letter.epoch,
                        "desired": letter.desired,
                        "spec": spec,
                    }
                )
        return orders


@dataclass
class Held:
    """One thing the agent holds: a process group and its folder."""

    ref: str
    generation: int
    epoch: int
    spec: dict[str, Any]
    starts_at: float
    stopped_at: float | None = None
    refusal: str = ""
    shipped: int = field(default=0)

    def ran(self, now: float) -> float:
        seconds = max(min(now, self.stopped_at or now) - self.starts_at, 0.0)
        limit = self.spec.get("run_seconds")
        return seconds if limit is None else min(seconds, limit)

    def state(self, now: float) -> str:
        if self.refusal:
            return "rejected"
        if self.stopped_at is not None:
            return "stopping"
        limit = self.spec.get("run_seconds")
        if limit is not None and now >= self.starts_at + limit:
            return "succeeded"
        return "running" if now >= self.starts_at else "starting"


class AgentDouble:
    """Reports all it holds, then does what it is told. It never runs anything."""

    def __init__(self, harness: "AgentHarness", mailbox: MemoryMailbox) -> None:
        self._harness = harness
        self._mailbox = mailbox
        self._seen: dict[str, int] = {}
        self._epoch = 0
        self.held: dict[str, Held] = {}

    def sync(self) -> None:
        now = self._harness.now
        for held in list(self.held.values()):
            if held.stopped_at is not None and now >= held.stopped_at + STOP_SECONDS:
                del self.held[held.ref]
        reply = self._mailbox.sync(
            {
                "inventory": self._harness.inventory,
                "work": [self._said(held, now) for held in self.held.values()],
                "figures": self._harness.figures,
                "logs": [*self._logs()],
            }
        )
        self._epoch = max(self._epoch, reply["epoch"])
        for order in reply["orders"]:
            self._obey(order, now)

    def _said(self, held: Held, now: float) -> dict[str, Any]:
        state = held.state(now)
        return {
            "ref": held.ref,
            "generation": held.generation,
            "epoch": held.epoch,
            "state": state,
            "ran_seconds": held.ran(now),
            "exit_code": 0 if state == "succeeded" else None,
            "reason": held.refusal,
            "message": held.refusal,
            "log_bytes": held.shipped or 6,
        }

    def _logs(self) -> list[dict[str, Any]]:
        fresh = [held for held in self.held.values() if not held.shipped and not held.refusal]
        for held in fresh:
            held.shipped = 6
        return [{"ref": held.ref, "offset": 0, "text": "hello\n"} for held in fresh]

    def _obey(self, order: dict[str, Any], now: float) -> None:
        ref, held = order["ref"], self.held.get(order["ref"])
        if order["desired"] == "absent":
            if held is not None and held.refusal:
                del self.held[ref]
            elif held is not None and held.stopped_at is None:
                held.stopped_at = now
        elif held is None or held.refusal:
            refusal = self._refusal(order)
            self.held[ref] = Held(
                ref, order["generation"], order["epoch"], order["spec"], now + START_SECONDS, refusal=refusal
            )
        elif order["generation"] >= held.generation:
            held.generation, held.epoch = order["generation"], order["epoch"]
        self._seen[ref] = max(self._seen.get(ref, 0), order["generation"])

    def _refusal(self, order: dict[str, Any]) -> str:
        if order["generation"] < self._seen.get(order["ref"], 0) or order["epoch"] < self._epoch:
            return "OldGeneration"
        taken: dict[str, int] = {}
        for other in self.held.values():
            for grant in () if other.refusal or other.ref == order["ref"] else other.spec["devices"]:
                taken[grant["uuid"]] = taken.get(grant["uuid"], 0) + grant["milli"]
        if any(taken.get(g["uuid"], 0) + g["milli"] > 1000 for g in order["spec"]["devices"]):
            return "DeviceBusy"
        return ""


class Reporting:
    """Of a harness whose site has an agent: it reports once a second, or twenty times in a longer while."""

    now: float
    agent: Any
    _is_cut = False

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now = min(self.now + max(1.0, seconds / 20), until)
            if not self._is_cut:
                self.agent.sync()

    def tick(self) -> None:
        self.agent.sync()  # it is told, and does it
        self.agent.sync()  # and reports what came of it


class AgentHarness(Reporting, Harness):
    inventory: Mapping[str, Any] = NODES[0]
    figures: Sequence[Mapping[str, Any]] = [
        {"uuid": device["uuid"], "busy_percent": 1.0, "memory_used_mib": 3} for device in NODES[0]["devices"]
    ]

    def __init__(self) -> None:
        super().__init__()
        self.mailbox = MemoryMailbox(self)
        self.agent = AgentDouble(self, self.mailbox)
        self.agent.sync()

    def driver(self, epoch: int = 1) -> AgentDriver:
        return AgentDriver(DriverConfig("cluster-1", "baremetal", epoch, port=self.mailbox))

    def break_site(self) -> None:
        self._is_cut = True
        self.advance(11)

    def slow_site(self, seconds: float) -> None:
        """The hub never calls an agent; its slowness is the age of its last word."""
        self._is_cut = True
        self.advance(seconds)

    def lose_answers(self) -> None:
        self.break_site()  # a wish is put in the box, and nobody answers

    def heal_site(self) -> None:
        self._is_cut = False
        self.advance(1)

    def objects(self) -> list[str]:
        return sorted(held.ref for held in self.agent.held.values() if not held.refusal)
