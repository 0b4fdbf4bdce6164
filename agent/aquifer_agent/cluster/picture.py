"""The nodes of a site, told to the hub by differences.

Each node has a digest and the whole picture a stamp. The hub says with each answer which stamp it holds; what differs
is sent, at most a part of it in one report. Whatever is lost, repeated or forgotten on either side shows as another
stamp than expected: then the hub is asked for its digests, and the difference is sent again.
"""

import threading
from collections.abc import Iterable
from typing import Any

from federation.drivers.agent_nodes import (
    NotUnderstood,
    digest_of,
    node_from_json,
    node_to_json,
    not_believed,
    stamp_of,
)
from federation.drivers.base import NodeSeen

MOST_PART_BYTES = 1024 * 1024
MOST_GONE = 5000
_ROUGH_DEVICE_BYTES, _ROUGH_NODE_BYTES = 300, 500


class Picture:
    """`look` from the thread that looks, the rest from the one that reports."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._digests: dict[str, str] | None = None  # what is here; None before the first look
        self._unsent: dict[str, NodeSeen] = {}  # nodes that the hub may not have; the others are not kept
        self._held: dict[str, str] | None = None  # what the hub has, as far as we know
        self._stamp = ""
        self._held_stamp = ""
        self._disagreements = 0  # in a row: the hub holds something else than it should
        self._sent: dict[str, str | None] = {}  # of the report that is under way; None: gone

    def look(self, nodes: Iterable[NodeSeen]) -> None:
        """All there is now."""
        digests: dict[str, str] = {}
        unsent: dict[str, NodeSeen] = {}
        held = self._held or {}
        for given in nodes:
            node = _sendable(given)
            if node is None:
                continue
            digest = digests[node.name] = digest_of(node_to_json(node))
            if held.get(node.name) != digest:
                unsent[node.name] = node
            else:
                unsent.pop(node.name, None)
        stamp = stamp_of(digests)
        with self._lock:
            self._digests, self._unsent, self._stamp = digests, unsent, stamp

    def change(self, nodes: Iterable[NodeSeen], gone: Iterable[str]) -> None:
        """These are new or not as they were, and those are there no more; all else is as it was looked at."""
        found = {node.name: node for given in nodes if (node := _sendable(given)) is not None}
        told = {name: digest_of(node_to_json(node)) for name, node in found.items()}
        with self._lock:
            digests = {**(self._digests or {}), **told}
            for name in gone:
                if name not in told:
                    digests.pop(name, None)
            held = self._held or {}
            unsent = {**self._unsent, **found}
            self._unsent = {
                name: node for name, node in unsent.items() if name in digests and held.get(name) != digests[name]
            }
            self._digests, self._stamp = digests, stamp_of(digests)

    def part(self, most_bytes: int = MOST_PART_BYTES) -> dict[str, Any] | None:
        """What the next report says of it; None before the first look."""
        with self._lock:
            self._sent = {}
            if self._digests is None:
                return None
            said: dict[str, Any] = {"stamp": self._stamp, "count": len(self._digests), "changed": [], "gone": []}
            if self._held is None:
                return said | {"want_digests": True}
            if self._held_stamp == self._stamp:
                return said
            for name, node in self._unsent.items():
                digest = self._digests[name]
                if self._held.get(name) == digest:
                    continue
                most_bytes -= _rough_bytes(node)
                if most_bytes < 0 and said["changed"]:
                    break
                said["changed"].append({"digest": digest, "node": node_to_json(node)})
                self._sent[name] = digest
            for name in self._held.keys() - self._digests.keys():
                if len(said["gone"]) >= MOST_GONE:
                    break
                said["gone"].append(name)
                self._sent[name] = None
            return said

    def answered(self, said: Any) -> None:
        """The hub's word on it: `stamp` of what it holds, and its `digests` if they were asked for."""
        if not isinstance(said, dict) or not isinstance(stamp := said.get("stamp"), str):
            return
        with self._lock:
            sent, self._sent = self._sent, {}
            if isinstance(digests := said.get("digests"), dict):
                self._held = {str(name): str(digest) for name, digest in digests.items()}
            elif sent and self._held is not None:
                self._held = {name: d for name, d in {**self._held, **sent}.items() if d is not None}
            elif stamp != self._held_stamp:
                self._held = None
            if self._held is not None and (sent or "digests" in said):
                self._held_stamp = stamp_of(self._held)
                self._disagreements += self._held_stamp != stamp
                if self._held_stamp == stamp == self._stamp:
                    self._disagreements = 0
                if self._held_stamp != stamp:
                    self._held = None  # a part was not taken, or not as we think: ask
            if self._held is not None:
                held = self._held
                here = self._digests or {}
                self._unsent = {n: v for n, v in self._unsent.items() if n in here and held.get(n) != here[n]}

    def needs_look(self) -> bool:
        """The hub lacks nodes that are not at hand any more: only a new look has them."""
        with self._lock:
            if self._held is None or self._digests is None or self._held_stamp == self._stamp:
                return False
            held = self._held
            return any(held.get(n) != d and n not in self._unsent for n, d in self._digests.items())

    def has_more(self) -> bool:
        """Worth a report soon: there is something to send."""
        with self._lock:
            if self._digests is None or self._disagreements > 3:
                return False
            return self._held is None or bool(self._unsent) or not self._held.keys() <= self._digests.keys()


def _sendable(node: NodeSeen) -> NodeSeen | None:
    """As the hub will understand it, so that both count the same digests."""
    try:
        return node_from_json(node_to_json(node))
    except NotUnderstood as error:
        return not_believed({"name": node.name}, str(error))


def _rough_bytes(node: NodeSeen) -> int:
    labels = sum(len(name) + len(value) + 6 for name, value in node.labels.items())
    return _ROUGH_NODE_BYTES + labels + _ROUGH_DEVICE_BYTES * len(node.devices)
