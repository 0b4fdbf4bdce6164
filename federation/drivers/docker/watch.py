"""A host that is followed live, by its stream of events."""

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence

from federation.drivers.abilities import SiteChanges
from federation.drivers.base import NodeSeen, Unavailable
from federation.drivers.docker.names import LABEL_CLUSTER, LABEL_REF
from federation.drivers.docker.transport import Api, EngineError, Json

logger = logging.getLogger(__name__)
_LOOK_SECONDS = 1.0
_WHOLE_SECONDS = 300.0  # then everything is looked at anew, whatever was told
_LONGEST_WAIT = 30.0
_OF_NODE = frozenset({"start", "die", "destroy", "update"})


class DockerWatch:
    """Implements federation.drivers.abilities.Watch."""

    def __init__(self, api: Api, cluster: str, inventory: Callable[[], Sequence[NodeSeen]]) -> None:
        self.api, self.cluster, self.inventory = api, cluster, inventory
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._why = "not yet listed"
        self._nodes: list[NodeSeen] = []
        self._refs: set[str] = set()
        self._running: dict[str, str] = {}  # ref by container
        self._is_node_old = self._has_told_all = False

    def loops(self) -> Sequence[Callable[[threading.Event], None]]:
        return [self._run]

    def wait(self, seconds: float) -> bool:
        return self._changed.wait(seconds)

    def trouble(self) -> str:
        with self._lock:
            return self._why

    def changes(self) -> SiteChanges:
        with self._lock:
            if self._why:
                return SiteChanges()
            is_first, self._has_told_all = not self._has_told_all, True
            refs, self._refs = sorted(self._refs), set()
            is_old, self._is_node_old = self._is_node_old, False
            self._changed.clear()
            if is_first:
                everything = sorted({*refs, *self._running.values()})
                return SiteChanges(nodes=tuple(self._nodes), refs=everything, is_complete=True)
            return SiteChanges(nodes=tuple(self._nodes) if is_old else (), refs=refs)

    def again(self) -> None:
        with self._lock:
            self._has_told_all = False
            self._changed.set()

    def running(self) -> Sequence[str]:
        with self._lock:
            return sorted(self._running.values())

    # -- the thread ------------------------------------------------------------------------------------

    def _run(self, stop: threading.Event) -> None:
        failures = 0
        while not stop.is_set():
            try:
                self._follow(stop)
                failures = 0
            except (Unavailable, EngineError) as error:
                with self._lock:
                    self._why = str(error) or "The host does not answer."
                failures = min(failures + 1, 10)
                stop.wait(min(0.25 * 2**failures, _LONGEST_WAIT))

    def _follow(self, stop: threading.Event) -> None:
        """From the events on: what happens while the lists are read is told by them."""
        with self.api.begin() as deadline:
            answer = self.api.stream(deadline, "/events", {"filters": {"type": ["container"]}})
        rest, until = b"", time.monotonic() + _WHOLE_SECONDS
        try:
            self._list()
            while not stop.is_set() and time.monotonic() < until:
                data = answer.read(_LOOK_SECONDS)
                if data is None:
                    if time.monotonic() + _LOOK_SECONDS < until:
                        continue
                    return
                if not data:
                    raise Unavailable("The host ended its stream of events.")
                *lines, rest = (rest + data).split(b"\n")
                is_node_touched = False
                for line in lines:
                    is_node_touched |= self._take(line)
                if is_node_touched:
                    self._look_at_node()
        finally:
            answer.close()

    def _list(self) -> None:
        labels = [f"{LABEL_CLUSTER}={self.cluster}", LABEL_REF]
        with self.api.begin() as deadline:
            found: list[Json] = self.api.get(deadline, "/containers/json", filters={"label": labels})
        nodes = list(self.inventory())
        with self._lock:
            before = set(self._running.values())
            self._running = {str(i["Id"]): str(i["Labels"][LABEL_REF]) for i in found if i.get("State") == "running"}
            self._refs |= before ^ set(self._running.values())
            self._is_node_old = self._is_node_old or nodes != self._nodes
            self._nodes, self._why = nodes, ""
            self._changed.set()

    def _look_at_node(self) -> None:
        nodes = list(self.inventory())
        with self._lock:
            if nodes != self._nodes:
                self._nodes, self._is_node_old = nodes, True
                self._changed.set()

    def _take(self, line: bytes) -> bool:
        """One event. True when it may have changed what is free on the node."""
        try:
            said = json.loads(line)
            action = str(said["Action"]).partition(":")[0]
            container = str(said["Actor"]["ID"])
            facts = said["Actor"].get("Attributes") or {}
        except (ValueError, KeyError, TypeError):
            logger.debug("an event that makes no sense: %r", line[:200])
            return False
        if facts.get(LABEL_CLUSTER) != self.cluster:
            return action in _OF_NODE
        ref = facts.get(LABEL_REF)
        if ref is None or action.startswith("exec_"):
            return False
        with self._lock:
            if action in ("start", "unpause"):
                self._running[container] = ref
            elif action in ("die", "destroy", "pause"):
                self._running.pop(container, None)
            self._refs.add(ref)
            self._changed.set()
        return False
