"""The hub's wishes for parts of cards (MIG), carried out when none of our work is on the card.

Wishes come with every answer, all of them; nothing of them is kept here. The thread that asks the drivers cuts,
for a driver may hang; the agent's own thread takes on work. `lock` is between the two: no work is taken on for a
card that is being cut, and no card is cut that has work.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from aquifer_agent.probes import mig, nvidia

logger = logging.getLogger(__name__)
WAITING, APPLIED, REFUSED = "waiting", "applied", "refused"
RETRY_SECONDS = 60.0  # after a refusal; a new generation is tried at once
_MOST_PARTS = 64


@dataclass(frozen=True, slots=True)
class Wish:
    generation: int
    profiles: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Outcome:
    generation: int
    state: str
    reason: str = ""
    message: str = ""
    at: float = 0.0

    def report(self, uuid: str) -> dict[str, Any]:
        told = {"generation": self.generation, "state": self.state, "reason": self.reason[:64]}
        return {"uuid": uuid, **told, "message": self.message[:1000]}


class Partitions:
    def __init__(self, *, is_allowed: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.lock = threading.Lock()
        self.changing: frozenset[str] = frozenset()  # a card that is being cut, and its parts; under the lock
        self.held: Set[str] | None = None  # devices of our work; under the lock, None until it is known
        self.news = threading.Event()  # there may be something to cut: do not wait for the next look
        self._is_allowed, self._clock = is_allowed, clock
        self._wishes: dict[str, Wish] = {}
        self._outcomes: dict[str, Outcome] = {}

    def wish(self, told: Any) -> None:
        """All wishes of an answer. What is none of ours, or no wish at all, is left alone."""
        wishes = {uuid: wish for uuid, value in _items(told) if (wish := _wish(value)) is not None}
        if wishes != self._wishes:
            self._wishes = wishes
            self.news.set()

    def hold(self, devices: Set[str]) -> None:
        """What our work has now. The caller has the lock."""
        if devices != self.held:
            self.held = devices
            self.news.set()

    def reports(self) -> list[dict[str, Any]]:
        return [self._outcome(uuid, wish).report(uuid) for uuid, wish in self._wishes.items()]

    def waiting(self) -> set[str]:
        """Cards that are to be cut as soon as they are free: nothing new is to go there."""
        return {uuid for uuid, wish in self._wishes.items() if self._outcome(uuid, wish).state == WAITING}

    def _outcome(self, uuid: str, wish: Wish) -> Outcome:
        known = self._outcomes.get(uuid)
        return known if known and known.generation == wish.generation else Outcome(wish.generation, WAITING)

    # In the thread that asks the drivers

    def apply(self, devices: Sequence[Mapping[str, Any]]) -> bool:
        """Cut what can be cut now. True when something was done: look again, then call `done`."""
        has_changed = False
        for uuid, wish in list(self._wishes.items()):
            outcome, is_new = self._try(uuid, wish, devices)
            has_changed |= is_new
            if (outcome.state, outcome.reason) != (self._outcome(uuid, wish).state, self._outcome(uuid, wish).reason):
                logger.info("Parts of %s: %s. %s", uuid, outcome.state, outcome.message)
            self._outcomes[uuid] = outcome
        return has_changed

    def done(self) -> None:
        with self.lock:
            self.changing = frozenset()

    def _try(self, uuid: str, wish: Wish, devices: Sequence[Mapping[str, Any]]) -> tuple[Outcome, bool]:
        def refused(reason: str, message: str) -> tuple[Outcome, bool]:
            return Outcome(wish.generation, REFUSED, reason, message, self._clock()), False

        parts = [device for device in devices if device.get("parent_uuid") == uuid]
        card = next((device for device in devices if device["uuid"] == uuid), None)
        if card is None:
            return Outcome(wish.generation, WAITING, "DeviceMissing", "This card does not answer."), False
        there = Counter(str(part["model"]).rpartition("/")[2] for part in parts)
        if there == Counter(wish.profiles) and (card.get("mode") == "partitioned") == bool(wish.profiles):
            return Outcome(wish.generation, APPLIED), False
        known = self._outcome(uuid, wish)
        if known.state == REFUSED and self._clock() < known.at + RETRY_SECONDS:
            return known, False
        if not self._is_allowed:
            return refused(
                "PartitioningNotAllowed",
                "Whoever owns this machine has not allowed it: start the agent with --allow-partitioning.",
            )
        if card["vendor"] != "nvidia":
            return refused("NotPartitionable", "This agent cuts cards of NVIDIA only.")
        if (library := nvidia.nvml()) is None:
            return refused("LibraryMissing", "nvidia-ml-py is not installed here, or the driver does not answer.")
        with self.lock:
            ours = {uuid, *(str(part["uuid"]) for part in parts)}
            if self.held is None or self.held & ours:
                return Outcome(wish.generation, WAITING, "CardHeld", "Work is on this card or its parts."), False
            self.changing |= ours
        try:
            mig.cut(library, uuid, wish.profiles)
        except mig.CardRefused as refusal:
            return Outcome(wish.generation, REFUSED, refusal.reason, str(refusal), self._clock()), True
        return Outcome(wish.generation, APPLIED), True


def _items(told: Any) -> list[tuple[str, Any]]:
    return [(str(uuid), value) for uuid, value in told.items()] if isinstance(told, dict) else []


def _wish(value: Any) -> Wish | None:
    try:
        profiles = {str(name): int(count) for name, count in value["profiles"].items() if int(count) > 0}
        return Wish(int(value["generation"]), profiles) if sum(profiles.values()) <= _MOST_PARTS else None
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return None
