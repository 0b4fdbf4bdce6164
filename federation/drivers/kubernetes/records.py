"""What the hub asked of this site, kept at the site: one ConfigMap for each piece of work, in our own namespace.

An API server cannot refuse what is old by itself. So each piece of work has a record with its epoch and generation,
made before anything else and compared before every change. A record outlives its work as a tombstone: a worker of the
hub that froze before a call and wakes an hour later finds it and is refused. One more record holds the highest epoch
that was ever seen. Records change by compare-and-swap on their resourceVersion.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from federation.drivers.base import DeviceGrant, Rejected, Unavailable, WorkloadSpec
from federation.drivers.kubernetes.names import (
    LABEL_MANAGED,
    LABEL_NODE,
    LABEL_STATE,
    MANAGED_BY,
    label_of,
    object_name,
)
from federation.drivers.kubernetes.transport import Api, ApiError, Deadline, Json, path_of

TOMBSTONE_LIFE = timedelta(hours=48)  # longer than any worker can be late
_EPOCH_NAME = "aquifer-epoch"
_PRUNED_AT_ONCE = 20


class Held(StrEnum):
    HELD = "held"
    STOPPING = "stopping"  # asked to end; something of it may be left
    GONE = "gone"  # nothing is left, and it never comes back


@dataclass(frozen=True, slots=True)
class Record:
    """`kind` and `namespace` say where its objects are; `digest` is of what was asked, to see edits at the site."""

    ref: str
    state: Held
    epoch: int
    generation: int
    node: str = ""
    namespace: str = ""
    kind: str = ""
    workload: str = ""
    devices: tuple[DeviceGrant, ...] = ()
    digest: str = ""
    version: str = ""  # resourceVersion
    since: str = ""


class Records:
    """The records of one cluster, in `namespace`."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.api, self.namespace = api, namespace
        self._path = f"/api/v1/namespaces/{namespace}/configmaps"

    # -- epochs --------------------------------------------------------------------------------------

    def check_epoch(self, deadline: Deadline, epoch: int) -> None:
        """Refuse what a forgotten worker sends; note an epoch that is newer."""
        found = self.api.find(deadline, f"{self._path}/{_EPOCH_NAME}")
        seen = int((found or {}).get("data", {}).get("epoch", 0))
        if epoch < seen:
            raise Rejected("OldGeneration", f"This is of epoch {epoch}; the site has seen {seen}.")
        if epoch == seen:
            return
        body: Json = {
            "apiVersion": "v1", "kind": "ConfigMap", "data": {"epoch": str(epoch)},
            "metadata": {"name": _EPOCH_NAME, "labels": {LABEL_MANAGED: MANAGED_BY}},
        }  # fmt: skip
        if found is None:
            self._write(deadline, "POST", self._path, body)
        else:
            body["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"]
            self._write(deadline, "PUT", f"{self._path}/{_EPOCH_NAME}", body)

    def _write(self, deadline: Deadline, method: str, path: str, body: Json) -> None:
        try:
            self.api.call(deadline, method, path, body=body)
        except ApiError as error:
            if error.status == 409:  # somebody else was first: look again with the next call
                raise Unavailable("The site's record changed meanwhile.") from None
            raise

    # -- records of work -------------------------------------------------------------------------------

    def read(self, deadline: Deadline, ref: str) -> Record | None:
        found = self.api.find(deadline, self._path_of(ref))
        return None if found is None else _parse(found)

    def all(self, deadline: Deadline, *states: Held) -> Iterator[Record]:
        """All records in these states; all there are when none is named."""
        selector = f"{LABEL_MANAGED}={MANAGED_BY},{LABEL_STATE}"
        if states:
            selector += f" in ({','.join(states)})"
        for item in self.api.items(deadline, self._path, labelSelector=selector):
            if (record := _parse(item)) is not None:
                yield record

    def on_node(self, deadline: Deadline, node: str) -> list[Record]:
        """All that is held on a node, what is stopping included."""
        selector = f"{LABEL_NODE}={label_of(node)},{LABEL_STATE} in ({Held.HELD},{Held.STOPPING})"
        items = self.api.items(deadline, self._path, labelSelector=selector)
        return [record for item in items if (record := _parse(item)) is not None and record.node == node]

    def make(self, deadline: Deadline, record: Record) -> bool:
        """False when there is one already. One that was edited into nonsense by hand is written anew."""
        try:
            self.api.call(deadline, "POST", self._path, body=_body(record))
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            found = self.api.find(deadline, self._path_of(record.ref))
            if found is None or _parse(found) is not None:
                return False
            body = _body(record)
            body["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"]
            self._write(deadline, "PUT", self._path_of(record.ref), body)
        return True

    def change(self, deadline: Deadline, record: Record, **values: Any) -> Record:
        """Compare and swap. Unavailable when it has changed since it was read."""
        changed = replace(record, since=_now(), **values)
        body = _body(changed)
        body["metadata"]["resourceVersion"] = record.version
        try:
            found = self.api.call(deadline, "PUT", self._path_of(record.ref), body=body)
        except ApiError as error:
            if error.status in (404, 409):
                raise Unavailable("The site's record changed meanwhile.") from None
            raise
        return replace(changed, version=str(found["metadata"]["resourceVersion"]))

    def prune(self, deadline: Deadline, records: Iterable[Record]) -> None:
        """Remove tombstones that nobody can be late for any more, a few at a time."""
        oldest = (datetime.now(UTC) - TOMBSTONE_LIFE).isoformat()
        old = [r for r in records if r.state == Held.GONE and r.since < oldest]
        for record in old[:_PRUNED_AT_ONCE]:
            body = {"preconditions": {"resourceVersion": record.version}}
            try:
                self.api.call(deadline, "DELETE", self._path_of(record.ref), body=body)
            except ApiError as error:
                if error.status not in (404, 409):
                    raise

    def _path_of(self, ref: str) -> str:
        return self._path + path_of(object_name(ref))


def record_of(spec: WorkloadSpec, namespace: str) -> Record:
    return Record(
        ref=spec.ref,
        state=Held.HELD,
        epoch=spec.epoch,
        generation=spec.generation,
        node=spec.node,
        namespace=namespace,
        kind=spec.kind,
        workload=spec.workload,
        devices=spec.devices,
        since=_now(),
    )


def tombstone(ref: str, epoch: int) -> Record:
    return Record(ref=ref, state=Held.GONE, epoch=epoch, generation=0, since=_now())


def digest_of(body: Json) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:32]


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _body(record: Record) -> Json:
    labels = {LABEL_MANAGED: MANAGED_BY, LABEL_STATE: str(record.state)}
    if record.node:
        labels[LABEL_NODE] = label_of(record.node)
    facts = {
        "ref": record.ref, "epoch": record.epoch, "generation": record.generation, "node": record.node,
        "namespace": record.namespace, "kind": record.kind, "workload": record.workload, "digest": record.digest,
        "since": record.since, "devices": [[d.index, d.uuid, d.milli, d.memory_mib] for d in record.devices],
    }  # fmt: skip
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": object_name(record.ref), "labels": labels},
        "data": {"grant": json.dumps(facts)},
    }


def _parse(item: Json) -> Record | None:
    """None for what is no record of ours, or was edited into nonsense by hand."""
    meta = item.get("metadata") or {}
    try:
        facts = json.loads((item.get("data") or {})["grant"])
        return Record(
            ref=str(facts["ref"]),
            state=Held(meta["labels"][LABEL_STATE]),
            epoch=int(facts["epoch"]),
            generation=int(facts["generation"]),
            node=str(facts["node"]),
            namespace=str(facts["namespace"]),
            kind=str(facts["kind"]),
            workload=str(facts["workload"]),
            devices=tuple(DeviceGrant(int(i), str(u), int(m), int(b)) for i, u, m, b in facts["devices"]),
            digest=str(facts["digest"]),
            version=str(meta["resourceVersion"]),
            since=str(facts["since"]),
        )
    except (KeyError, TypeError, ValueError):
        return None
