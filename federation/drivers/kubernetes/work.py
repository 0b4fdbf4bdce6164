"""Making, looking at and removing one piece of work: the steps, in an order that can be begun again at any point."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from federation.drivers.base import Observation, Rejected, Unavailable, WorkloadSpec
from federation.drivers.base import ObservedState as O
from federation.drivers.kubernetes import fleet
from federation.drivers.kubernetes.names import (
    LABEL_KIND,
    LABEL_REF,
    MANAGED_BY,
    OURS,
    label_of,
    namespace_of,
    object_name,
)
from federation.drivers.kubernetes.objects import SERVICES, claim_of, namespace_objects, owner_of, services_of
from federation.drivers.kubernetes.records import Held, Record, Records, record_of, tombstone
from federation.drivers.kubernetes.requests import request_for
from federation.drivers.kubernetes.states import essence, seen_of
from federation.drivers.kubernetes.transport import Api, ApiError, Deadline, Json, path_of
from federation.drivers.kubernetes.ways import Ways

_known_namespaces: dict[tuple[str, str], bool] = {}  # of this process; made again when it turns out to be gone


class Work:
    """The work of one cluster. All calls raise ApiError and Unavailable; `ensure` raises Rejected too."""

    def __init__(self, api: Api, ways: Ways, epoch: int) -> None:
        self.api, self.ways, self.epoch = api, ways, epoch
        self.records = Records(api, ways.system_namespace)

    def ensure(self, deadline: Deadline, spec: WorkloadSpec) -> Observation:
        records = self.records
        records.check_epoch(deadline, spec.epoch)
        record = records.read(deadline, spec.ref)
        if record is None:
            record = record_of(spec, namespace_of(spec.tenant, spec.project))
            self._check_devices(deadline, spec)
            if not records.make(deadline, record):
                raise Unavailable("Somebody else is making the same work.")
            record = records.read(deadline, spec.ref) or record
        if record.state != Held.HELD or (spec.epoch, spec.generation) < (record.epoch, record.generation):
            raise Rejected("OldGeneration", "This was taken back already, or a newer order has been seen.")
        if (spec.epoch, spec.generation) > (record.epoch, record.generation):
            record = records.change(deadline, record, epoch=spec.epoch, generation=spec.generation)
        owner = self._owner(deadline, record)
        if owner is None and not record.digest:
            owner = self._make(deadline, spec, record)
        if owner is not None and not record.digest:
            record = records.change(deadline, record, digest=essence(owner))
        is_held = owner is not None and bool((owner.get("spec") or {}).get("suspend"))
        if is_held and not spec.hold and not self.ways.queue:
            path = _owner_path(record)
            patch = {"spec": {"suspend": False}}
            owner = self.api.call(deadline, "PATCH", path, body=patch, kind="application/merge-patch+json")
        return self._seen(deadline, record, owner)

    def _check_devices(self, deadline: Deadline, spec: WorkloadSpec) -> None:
        """Refuse a device that other work of ours holds here, whatever the hub believed."""
        taken: dict[str, int] = {}
        for other in self.records.on_node(deadline, spec.node):
            for device in other.devices:
                taken[device.uuid] = taken.get(device.uuid, 0) + device.milli
        for device in spec.devices:
            if taken.get(device.uuid, 0) + device.milli > 1000:
                raise Rejected("DeviceBusy", f"{device.uuid} is held by other work here.")

    def _make(self, deadline: Deadline, spec: WorkloadSpec, record: Record) -> Json:
        """Everything the work needs, in an order that can be begun again at any point."""
        node, devices = fleet.devices_of(self.api, deadline, spec.node)
        if node is None:
            raise Rejected("NoSuchNode", f"There is no node {spec.node}.")
        request = request_for(spec.devices, {device.uuid: device for device in devices}, self.ways.device_classes)
        owner = owner_of(spec, request, self.ways, tolerated=fleet.tolerated(node))
        inside = f"/namespaces/{record.namespace}"
        claim = claim_of(spec, request)
        try:
            self._make_namespace(deadline, spec, record.namespace)
            if claim is not None:
                self._create(deadline, f"/apis/resource.k8s.io/v1{inside}/resourceclaims", claim)
            for service in services_of(spec):
                self._create(deadline, f"/api/v1{inside}/services", service)
            made = self._create(deadline, _owners_path(record), owner)
        except ApiError as error:
            if error.status in (403, 404):  # the namespace, or our rights there, are gone: the next call makes them
                _known_namespaces.pop((self.api.endpoint.server, record.namespace), None)
            if self.ways.bind_role and _lacks_right(error):  # a right that was given a moment ago is not yet known
                raise Unavailable(f"The site does not let us yet: {error.message}") from None
            raise
        # A worker that froze above wakes here: what it made after the removal must not stay.
        now = self.records.read(deadline, spec.ref)
        if now is None or now.state != Held.HELD:
            self._delete(deadline, record)
            raise Rejected("OldGeneration", "This was taken back meanwhile.")
        return made or self._owner(deadline, record) or {}

    def _create(self, deadline: Deadline, path: str, body: Json) -> Json | None:
        """The object made; None when it is there already."""
        try:
            return self.api.call(deadline, "POST", path, query={"fieldManager": MANAGED_BY}, body=body)
        except ApiError as error:
            if error.reason == "AlreadyExists":
                return None
            raise

    def _make_namespace(self, deadline: Deadline, spec: WorkloadSpec, name: str) -> None:
        key = (self.api.endpoint.server, name)
        if key in _known_namespaces:
            return
        for path, body in namespace_objects(spec, name, self.ways):
            self._create(deadline, path, body)
        _known_namespaces[key] = True

    def observe(self, deadline: Deadline, ref: str) -> Observation:
        record = self.records.read(deadline, ref)
        if record is None and (record := self._without_record(deadline, ref)) is not None:
            return Observation(
                ref, O.BROKEN, reason="ChangedAtSite", message="Somebody removed its record at the site."
            )
        if record is None or (record.state == Held.GONE and not record.namespace):
            return Observation(ref, O.ABSENT)
        return self._seen(deadline, record, self._owner(deadline, record))

    def _without_record(self, deadline: Deadline, ref: str) -> Record | None:
        """A record made from what is there of work whose own was removed by hand; None when nothing is."""
        selector = f"{OURS},{LABEL_REF}={label_of(ref)}"
        for path in ("/apis/batch/v1/jobs", "/apis/apps/v1/deployments", "/api/v1/pods"):
            for item in self.api.items(deadline, path, labelSelector=selector):
                meta = item["metadata"]
                kind = str(meta["labels"].get(LABEL_KIND, ""))
                return replace(tombstone(ref, self.epoch), state=Held.STOPPING, namespace=meta["namespace"], kind=kind)
        return None

    def _seen(self, deadline: Deadline, record: Record, owner: Json | None) -> Observation:
        pods = self.pods(deadline, record)
        return self._reading(record, owner, pods)

    def _reading(self, record: Record, owner: Json | None, pods: Sequence[Json]) -> Observation:
        return seen_of(record, owner, pods, now=self.api.now(), is_service=record.kind in SERVICES)

    def observe_many(self, deadline: Deadline, refs: Sequence[str]) -> list[Observation]:
        """Four lists, whatever the number; a few at a time are asked for one by one."""
        if len(refs) <= 8:
            return [seen for ref in refs if (seen := self.observe(deadline, ref)).state != O.ABSENT]
        wanted = set(refs)
        # Pods and owners after the records: what is made in between is then at worst seen without its pods.
        records = {r.ref: r for r in self.records.all(deadline) if r.ref in wanted}
        owners: dict[tuple[str, str], Json] = {}
        for path in ("/apis/batch/v1/jobs", "/apis/apps/v1/deployments"):
            for item in self.api.items(deadline, path, labelSelector=f"{OURS},{LABEL_REF}"):
                owners[(item["metadata"]["namespace"], item["metadata"]["name"])] = item
        found = self.api.items(deadline, "/api/v1/pods", labelSelector=f"{OURS},{LABEL_REF}")
        pods = {key: list(group) for key, group in groupby(sorted(found, key=_place), key=_place)}
        looked = []
        for ref, record in records.items():
            owner = owners.get((record.namespace, object_name(ref)))
            looked.append(self._reading(record, owner, pods.get((record.namespace, label_of(ref)), ())))
        return [one for one in looked if one.state != O.ABSENT]

    def remove(self, deadline: Deadline, ref: str) -> Observation:
        records = self.records
        record = records.read(deadline, ref)
        if record is None:
            record = self._without_record(deadline, ref) or tombstone(ref, self.epoch)
            if not records.make(deadline, record):
                raise Unavailable("The site's record changed meanwhile.")
            record = records.read(deadline, ref) or record
        if record.state == Held.HELD:
            record = records.change(deadline, record, state=Held.STOPPING)
        if not record.namespace:
            return Observation(ref, O.ABSENT)
        self._delete(deadline, record)
        owner, pods = self._owner(deadline, record), self.pods(deadline, record)
        if owner is None and not pods:
            if record.state != Held.GONE:
                self._delete_gang(deadline, record)
                records.change(deadline, record, state=Held.GONE)
            return Observation(ref, O.ABSENT)
        return replace(self._reading(record, owner, pods), state=O.STOPPING)

    def _delete(self, deadline: Deadline, record: Record) -> None:
        """All of one piece of work. Pods go by way of their owner; without one they are removed by us."""
        inside = f"/namespaces/{record.namespace}"
        name = path_of(object_name(record.ref))
        self._drop(deadline, _owner_path(record), "Foreground")
        if record.kind in SERVICES:
            self._drop(deadline, f"/api/v1{inside}/services{name}")
        if record.devices:
            self._drop(deadline, f"/apis/resource.k8s.io/v1{inside}/resourceclaims{name}")
        for pod in self.pods(deadline, record):
            meta = pod["metadata"]
            if not meta.get("ownerReferences") and not meta.get("deletionTimestamp"):
                self._drop(deadline, f"/api/v1{inside}/pods{path_of(meta['name'])}")

    def _delete_gang(self, deadline: Deadline, record: Record) -> None:
        """The service by which the members of a gang find each other goes with the last of them."""
        if not record.workload:
            return
        others = [r for r in self.records.all(deadline, Held.HELD, Held.STOPPING) if r.workload == record.workload]
        if any(other.ref != record.ref for other in others):
            return
        inside = f"/api/v1/namespaces/{record.namespace}/services"
        selector = f"{OURS},aquifer.io/workload={label_of(record.workload)}"
        try:
            for service in self.api.items(deadline, inside, labelSelector=selector):
                self._drop(deadline, inside + path_of(service["metadata"]["name"]))
        except ApiError as error:
            if not _lacks_right(error) or self._has_namespace(deadline, inside):
                raise

    def _drop(self, deadline: Deadline, path: str, propagation: str = "Background") -> None:
        try:
            self.api.call(deadline, "DELETE", path, body={"propagationPolicy": propagation})
        except ApiError as error:
            if _lacks_right(error) and not self._has_namespace(deadline, path):
                return  # with the namespace went our role in it
            if error.status not in (404, 409):
                raise

    def _has_namespace(self, deadline: Deadline, path: str) -> bool:
        name = path.partition("/namespaces/")[2].partition("/")[0]
        return self.api.find(deadline, f"/api/v1/namespaces/{name}") is not None

    def _owner(self, deadline: Deadline, record: Record) -> Json | None:
        return self.api.find(deadline, _owner_path(record)) if record.namespace else None

    def pods(self, deadline: Deadline, record: Record) -> list[Json]:
        if not record.namespace:
            return []
        path = f"/api/v1/namespaces/{record.namespace}/pods"
        return list(self.api.items(deadline, path, labelSelector=f"{OURS},{LABEL_REF}={label_of(record.ref)}"))


def _lacks_right(error: ApiError) -> bool:
    """Refused for want of a role, and not by a rule about what was asked for (a quota, pod security, a policy)."""
    return error.status == 403 and " cannot " in error.message and "in the namespace" in error.message


def _owners_path(record: Record) -> str:
    group = "apis/apps/v1" if record.kind in SERVICES else "apis/batch/v1"
    return f"/{group}/namespaces/{record.namespace}/{'deployments' if record.kind in SERVICES else 'jobs'}"


def _owner_path(record: Record) -> str:
    return _owners_path(record) + path_of(object_name(record.ref))


def _place(pod: Json) -> tuple[str, str]:
    return pod["metadata"]["namespace"], pod["metadata"]["labels"][LABEL_REF]
