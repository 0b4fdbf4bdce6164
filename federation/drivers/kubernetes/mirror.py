"""A cluster as it is now, kept by watches: what its nodes show, what its pods hold, how our own work does.

Only what is read later is kept of each object, so ten thousand pods cost a few megabytes. Changes are collected as
names and handed out in one piece by `drain`; who drains seldom gets the last state of each, never a queue.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from federation.drivers.abilities import SiteChanges
from federation.drivers.kubernetes.fleet import CLAIMS, LIVING, SLICES
from federation.drivers.kubernetes.names import CONTAINER, LABEL_MANAGED, LABEL_REF, MANAGED_BY
from federation.drivers.kubernetes.nodes import nodes_seen
from federation.drivers.kubernetes.pods import PodHeld, pod_held
from federation.drivers.kubernetes.shapes import table
from federation.drivers.kubernetes.transport import Api, Json
from federation.drivers.kubernetes.watch import Reflector

Key = tuple[str, str]


@dataclass
class Mirror:
    """The state, and which of it changed. Safe in many threads."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    nodes: dict[str, Json] = field(default_factory=dict)
    slices: dict[str, Json] = field(default_factory=dict)
    claims: dict[Key, Json] = field(default_factory=dict)
    pods: dict[Key, PodHeld] = field(default_factory=dict)
    by_node: dict[str, dict[Key, PodHeld]] = field(default_factory=lambda: defaultdict(dict))
    dirty: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    refs: set[str] = field(default_factory=set)
    running: dict[Key, str] = field(default_factory=dict)  # our pods whose container runs: their ref
    changed: threading.Event = field(default_factory=threading.Event)

    def drain(self, most: int = 5000) -> SiteChanges:
        """What changed, at most so many nodes of it at once."""
        with self.lock:
            names = set(list(self.dirty)[:most]) if len(self.dirty) > most else self.dirty
            self.dirty = self.dirty - names
            gone, self.gone = self.gone, set()
            refs, self.refs = self.refs, set()
            if not self.dirty:
                self.changed.clear()
            # What is needed to read each node is copied under the lock; reading takes longer and needs none.
            slices, claims = list(self.slices.values()), list(self.claims.values())
            nodes = [self.nodes[name] for name in names if name in self.nodes]
            held = [pod for name in names for pod in self.by_node.get(name, {}).values()]
        return SiteChanges(nodes_seen(nodes, slices, claims, held), sorted(gone), sorted(refs))

    def all(self) -> SiteChanges:
        """Everything there is, as after a new list."""
        with self.lock:
            self.dirty.clear()
            self.gone.clear()
            refs, self.refs = self.refs, set()
            self.changed.clear()
            slices, claims = list(self.slices.values()), list(self.claims.values())
            nodes, held = list(self.nodes.values()), list(self.pods.values())
        return SiteChanges(nodes_seen(nodes, slices, claims, held), (), sorted(refs), is_complete=True)

    def touch(self, *names: str) -> None:
        self.dirty.update(names)
        self.changed.set()

    def touch_ref(self, item: Json) -> None:
        labels = (item.get("metadata") or {}).get("labels") or {}
        if labels.get(LABEL_MANAGED) == MANAGED_BY and (ref := labels.get(LABEL_REF)):
            self.refs.add(str(ref))
            self.changed.set()


class NodeSink:
    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror

    def replace(self, items: Iterator[Json]) -> None:
        fresh = {str(item["metadata"]["name"]): item for item in items}
        with self.mirror.lock:
            self.mirror.gone |= self.mirror.nodes.keys() - fresh.keys()
            self.mirror.gone -= fresh.keys()
            changed = [name for name, item in fresh.items() if self.mirror.nodes.get(name) != item]
            self.mirror.nodes = fresh
            self.mirror.touch(*changed)

    def put(self, item: Json) -> None:
        name = str(item["metadata"]["name"])
        with self.mirror.lock:
            if self.mirror.nodes.get(name) == item:
                return  # a heartbeat: nothing that we read has changed
            self.mirror.nodes[name] = item
            self.mirror.gone.discard(name)
            self.mirror.touch(name)

    def drop(self, item: Json) -> None:
        name = str(item["metadata"]["name"])
        with self.mirror.lock:
            if self.mirror.nodes.pop(name, None) is not None:
                self.mirror.dirty.discard(name)
                self.mirror.gone.add(name)
                self.mirror.changed.set()


class PodSink:
    """Pods that hold something. Ended ones hold nothing, and are told of once as a change of their work."""

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror

    def replace(self, items: Iterator[Json]) -> None:
        fresh: dict[Key, PodHeld] = {}
        running: dict[Key, str] = {}
        refs: set[str] = set()
        for item in items:
            if (held := pod_held(item)) is None:
                continue
            fresh[(held.namespace, held.name)] = held
            if held.is_ours:
                ref = item["metadata"]["labels"][LABEL_REF]
                refs.add(ref)
                if is_running(item):
                    running[(held.namespace, held.name)] = ref
        with self.mirror.lock:
            before = self.mirror.pods
            differs = {k for k in before.keys() | fresh.keys() if before.get(k) != fresh.get(k)}
            self.mirror.pods, self.mirror.running = fresh, running
            self.mirror.by_node = defaultdict(dict)
            for key, held in fresh.items():
                self.mirror.by_node[held.node][key] = held
            for key in differs:
                self.mirror.touch(*(held.node for held in (before.get(key), fresh.get(key)) if held is not None))
            self.mirror.refs |= refs
            if refs:
                self.mirror.changed.set()

    def put(self, item: Json) -> None:
        held = pod_held(item)
        meta = item.get("metadata") or {}
        self._set((str(meta.get("namespace")), str(meta.get("name"))), held, item)

    def drop(self, item: Json) -> None:
        meta = item.get("metadata") or {}
        self._set((str(meta.get("namespace")), str(meta.get("name"))), None, item)

    def _set(self, key: Key, held: PodHeld | None, item: Json) -> None:
        with self.mirror.lock:
            before = self.mirror.pods.get(key)
            if before != held:
                if before is not None:
                    del self.mirror.pods[key]
                    self.mirror.by_node[before.node].pop(key, None)
                    self.mirror.touch(before.node)
                if held is not None:
                    self.mirror.pods[key] = held
                    self.mirror.by_node[held.node][key] = held
                    self.mirror.touch(held.node)
            self.mirror.running.pop(key, None)
            if held is not None and held.is_ours and is_running(item):
                self.mirror.running[key] = item["metadata"]["labels"][LABEL_REF]
            self.mirror.touch_ref(item)


class SliceSink:
    """ResourceSlices; those that name no node may concern any."""

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror

    def _nodes(self, item: Json) -> list[str]:
        name = (item.get("spec") or {}).get("nodeName")
        return [str(name)] if name else list(self.mirror.nodes)

    def replace(self, items: Iterator[Json]) -> None:
        fresh = {str(item["metadata"]["name"]): item for item in items}
        with self.mirror.lock:
            before = self.mirror.slices
            self.mirror.slices = fresh
            for name in before.keys() | fresh.keys():
                if before.get(name) != fresh.get(name):
                    for item in (before.get(name), fresh.get(name)):
                        if item is not None:
                            self.mirror.touch(*self._nodes(item))

    def put(self, item: Json) -> None:
        name = str(item["metadata"]["name"])
        with self.mirror.lock:
            before = self.mirror.slices.get(name)
            if before == item:
                return
            self.mirror.slices[name] = item
            self.mirror.touch(*self._nodes(item), *(self._nodes(before) if before else ()))

    def drop(self, item: Json) -> None:
        with self.mirror.lock:
            if (before := self.mirror.slices.pop(str(item["metadata"]["name"]), None)) is not None:
                self.mirror.touch(*self._nodes(before))


class ClaimSink:
    """ResourceClaims. Their nodes are those of the pods they are reserved for."""

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror

    def replace(self, items: Iterator[Json]) -> None:
        fresh = {_key(item): item for item in items}
        with self.mirror.lock:
            before, self.mirror.claims = self.mirror.claims, fresh
            for key in before.keys() | fresh.keys():
                if before.get(key) != fresh.get(key):
                    for item in (before.get(key), fresh.get(key)):
                        if item is not None:
                            self._touch(item)

    def put(self, item: Json) -> None:
        with self.mirror.lock:
            self.mirror.claims[_key(item)] = item
            self._touch(item)

    def drop(self, item: Json) -> None:
        with self.mirror.lock:
            if self.mirror.claims.pop(_key(item), None) is not None:
                self._touch(item)

    def _touch(self, item: Json) -> None:
        space = str((item.get("metadata") or {}).get("namespace"))
        for holder in (item.get("status") or {}).get("reservedFor") or ():
            held = self.mirror.pods.get((space, str(holder.get("name"))))
            if held is not None:
                self.mirror.touch(held.node)


class WorkSink:
    """Jobs and Deployments of ours: nothing of them is kept, a change wakes whoever looks after the work."""

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror
        self._known: dict[Key, Json] = {}

    def replace(self, items: Iterator[Json]) -> None:
        fresh = {_key(item): {"metadata": {"labels": item["metadata"].get("labels")}} for item in items}
        with self.mirror.lock:
            for key in self._known.keys() | fresh.keys():
                self.mirror.touch_ref(fresh.get(key) or self._known[key])
            self._known = fresh

    def put(self, item: Json) -> None:
        with self.mirror.lock:
            self._known[_key(item)] = {"metadata": {"labels": item["metadata"].get("labels")}}
            self.mirror.touch_ref(item)

    def drop(self, item: Json) -> None:
        with self.mirror.lock:
            self._known.pop(_key(item), None)
            self.mirror.touch_ref(item)


def is_running(pod: Json) -> bool:
    """The container that is the work runs, and nobody has asked for its end."""
    status = pod.get("status") or {}
    if (pod.get("metadata") or {}).get("deletionTimestamp"):
        return False
    if any(c.get("type") == "Ready" and c.get("status") == "False" for c in status.get("conditions") or ()):
        return False  # of a node that fell silent, perhaps: no proof
    containers = status.get("containerStatuses") or ()
    return any(one.get("name") == CONTAINER and "running" in (one.get("state") or {}) for one in containers)


def _key(item: Json) -> Key:
    meta = item.get("metadata") or {}
    return str(meta.get("namespace")), str(meta.get("name"))


def trim_node(item: Json) -> Json:
    """A node without what changes with every heartbeat and is not read: images, times of conditions, managed fields."""
    meta, spec, status = item.get("metadata") or {}, item.get("spec") or {}, item.get("status") or {}
    conditions = [
        {key: c.get(key) for key in ("type", "status", "reason", "message")} for c in status.get("conditions") or ()
    ]
    return {
        "metadata": {key: meta[key] for key in ("name", "uid", "labels", "annotations") if key in meta},
        "spec": {key: spec[key] for key in ("taints", "unschedulable") if key in spec},
        "status": {
            **{key: status[key] for key in ("capacity", "allocatable") if key in status},
            "nodeInfo": {"systemUUID": table(status.get("nodeInfo")).get("systemUUID")},
            "conditions": conditions,
        },
    }


def reflectors(api: Api, mirror: Mirror) -> dict[str, Reflector]:
    """One for each kind of object that the inventory is made of, and for our own work."""
    ours = {"labelSelector": f"{LABEL_MANAGED}={MANAGED_BY},{LABEL_REF}"}
    return {
        "nodes": Reflector(api, "/api/v1/nodes", NodeSink(mirror), trim=trim_node),
        "pods": Reflector(api, "/api/v1/pods", PodSink(mirror), query={"fieldSelector": LIVING}),
        "slices": Reflector(api, SLICES, SliceSink(mirror), is_optional=True),
        "claims": Reflector(api, CLAIMS, ClaimSink(mirror), is_optional=True),
        "jobs": Reflector(api, "/apis/batch/v1/jobs", WorkSink(mirror), query=ours),
        "deployments": Reflector(api, "/apis/apps/v1/deployments", WorkSink(mirror), query=ours),
    }


class KubernetesWatch:
    """Implements federation.drivers.abilities.Watch."""

    def __init__(self, api: Api) -> None:
        self.mirror = Mirror()
        self.reflectors = reflectors(api, self.mirror)
        self._has_told_all = False

    def loops(self) -> Sequence[Callable[[threading.Event], None]]:
        return [reflector.run for reflector in self.reflectors.values()]

    def wait(self, seconds: float) -> bool:
        return self.mirror.changed.wait(seconds)

    def trouble(self) -> str:
        bad = [
            f"{name}: {r.health.why or 'not yet listed'}"
            for name, r in self.reflectors.items()
            if not r.health.is_synced
        ]
        return "; ".join(bad)

    def changes(self) -> SiteChanges:
        if not self._has_told_all:
            if self.trouble():
                return SiteChanges()
            self._has_told_all = True
            return self.mirror.all()
        return self.mirror.drain()

    def again(self) -> None:
        self._has_told_all = False
        self.mirror.changed.set()

    def running(self) -> Sequence[str]:
        with self.mirror.lock:
            return list(self.mirror.running.values())
