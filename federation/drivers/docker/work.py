"""Making, looking at and removing one piece of work: the steps, in an order that can be begun again at any point.

The order is written down first (ledger.py), then the image is fetched, the container made, and only when that is
written down as well is it started. Whoever comes next goes on from there, also a look: an engine does not by itself.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from federation.drivers.base import DeviceGrant, Observation, Rejected, Unavailable, WorkloadSpec
from federation.drivers.base import ObservedState as O
from federation.drivers.docker import pulls
from federation.drivers.docker.host import Host, host_of
from federation.drivers.docker.ledger import Book, Ledger, Mark, Record, shares
from federation.drivers.docker.names import LABEL_CLUSTER, LABEL_FACTS, LABEL_MANAGED, LABEL_REF, MANAGED_BY, name_of
from federation.drivers.docker.objects import container_of, facts_of
from federation.drivers.docker.states import seen_of
from federation.drivers.docker.transport import Api, Deadline, EngineError, Json, moment, path_of
from federation.drivers.docker.vendors import handing
from federation.drivers.docker.ways import Ways

_NO_DEVICES = "could not select device driver"
_NOT_STARTED = {"created", "configured", "initialized"}


@dataclass(slots=True)
class Look:
    """The ledger, and which containers of ours there are."""

    book: Book
    containers: dict[str, Json]  # as the list tells them, by ref
    now: float
    info: Json


class Work:
    """The work of one host. All calls raise EngineError and Unavailable; `ensure` raises Rejected too."""

    def __init__(self, api: Api, ways: Ways, cluster: str, registries: Mapping[str, Json] | None = None) -> None:
        self.api, self.ways, self.cluster = api, ways, cluster
        self.registries = registries or {}
        self.ledger = Ledger(api, cluster)

    def look(self, deadline: Deadline) -> Look:
        """Containers after the ledger: what is made in between is then at worst seen without its container."""
        info = self.api.get(deadline, "/info")
        book = self.ledger.read(deadline)
        labels = [f"{LABEL_MANAGED}={MANAGED_BY}", f"{LABEL_CLUSTER}={self.cluster}", LABEL_REF]
        found = self.api.get(deadline, "/containers/json", all="true", filters={"label": labels})
        containers = {str(item["Labels"][LABEL_REF]): item for item in found}
        for ref, item in containers.items():
            record = book.records.setdefault(ref, Record(ref))
            record.has_container = True
            if not record.order and (order := _order_on(item)) is not None:
                record.marks += [order, Mark("", ref, "made", {}, 0.0)]  # somebody pruned the volumes of the host
        now = moment(info.get("SystemTime"))
        if now is None:
            raise Unavailable("The host does not tell its time.")
        return Look(book, containers, now, info)

    # -- ensure ----------------------------------------------------------------------------------------

    def ensure(self, deadline: Deadline, spec: WorkloadSpec) -> Observation:
        look = self.look(deadline)
        ledger, record = self.ledger, look.book.record(spec.ref)
        ledger.check_epoch(deadline, look.book, spec.epoch)
        if record.is_ended or (record.order and (spec.epoch, spec.generation) < record.stamp):
            raise Rejected("OldGeneration", "This was taken back already, or a newer order has been seen.")
        if not record.order:
            record = self._take_on(deadline, spec, look)
        elif (spec.epoch, spec.generation) > record.stamp:
            stamp = {"epoch": spec.epoch, "generation": spec.generation}
            ledger.note(deadline, record, "newer", f"{spec.epoch}-{spec.generation}", **stamp)
        if not spec.hold and not record.may_run:
            ledger.note(deadline, record, "go")
        return self._step(deadline, record, look.now)

    def _take_on(self, deadline: Deadline, spec: WorkloadSpec, look: Look) -> Record:
        """Check what is asked for against what is here, and write it down."""
        host = host_of(look.info, self.ways)
        facts = self._facts(spec, host)
        for device in spec.devices:
            if _held(look.book, device, spec.ref) + device.milli > 1000:
                raise Rejected("DeviceBusy", f"{device.uuid} is held by other work here.")
        if not self.ledger.order(deadline, spec.ref, facts):
            raise Unavailable("Somebody else is making the same work.")
        # Two who write at the same time see each other now: then both take it back, and are asked again.
        book = self.ledger.read(deadline)
        record = book.record(spec.ref)
        crowded = [d.uuid for d in spec.devices if _held(book, d, spec.ref) + d.milli > 1000]
        if record.is_ended or book.epoch > spec.epoch or crowded:
            self.ledger.forget(deadline, record)
            if crowded:
                raise Unavailable(f"{crowded[0]} was granted twice at the same time; the next call decides.")
            raise Rejected("OldGeneration", "This was taken back meanwhile.")
        return record

    def _facts(self, spec: WorkloadSpec, host: Host) -> Json:
        if spec.node != host.name:
            raise Rejected("NoSuchNode", f"There is no node {spec.node}: this host is {host.name}.")
        image = spec.image or self.ways.default_image
        if not image:
            raise Rejected("ImageMissing", "The work names no image, and this host has no default_image.")
        cards = []
        for device in spec.devices:
            card = host.card(device.uuid)
            if card is None:
                raise Rejected("DeviceMissing", f"This host has no accelerator {device.uuid[:100]}.")
            if device.milli < 1000 and card.mode in ("exclusive", "passthrough"):
                raise Rejected("CannotShare", f"{device.uuid} is handed out whole.")
            cards.append(card)
        handed = handing(cards, self.ways.devices_by, host.runtimes, host.cdi_names)
        unknown = [name for name in spec.pull_secrets if name not in self.registries]
        if unknown:
            raise Rejected("BadSpec", f"This host's credential has no registry named {unknown[0][:100]}.")
        return facts_of(spec, image, container_of(spec, self.cluster, image, handed, self.ways))

    # -- the way to running ------------------------------------------------------------------------------

    def _step(self, deadline: Deadline, record: Record, now: float) -> Observation:
        """One step further with what was granted, and what is there then."""
        container = self.container(deadline, record.ref)
        waits = ("", "")
        if container is None and not record.mark("made"):
            waits = self._make(deadline, record)
            if not any(waits):
                container = self.container(deadline, record.ref)
        if container is not None and not record.mark("made"):
            self.ledger.note(deadline, record, "made")
        if container is not None and record.may_run and _waits_for_start(container):
            self._start(deadline, record)
            container = self.container(deadline, record.ref)
            now = self.api.now(deadline)
        seen = seen_of(record, container, now, waits=waits)
        return self._in_time(deadline, record, container, seen, now)

    def _make(self, deadline: Deadline, record: Record) -> tuple[str, str]:
        """The container, not started. Why it cannot be made yet, where it cannot."""
        image = str(record.order["image"])
        if self._wants_pull(deadline, image):
            try:
                said = pulls.pull(self.api, deadline, image, self._auth(record))
            except pulls.ImagePullFailed as failure:
                return "ImagePullFailed", str(failure)
            if said:
                return "ImagePulling", said
        body = dict(record.order["container"])
        facts = {key: value for key, value in record.order.items() if key != "container"}
        asked = {"HostConfig": {key: body["HostConfig"].get(key) for key in ("NanoCpus", "Memory")}}
        body["Labels"] = {**body["Labels"], LABEL_FACTS: json.dumps({**facts, "container": asked})}
        try:
            self.api.call(deadline, "POST", "/containers/create", query={"name": name_of(record.ref)}, body=body)
        except EngineError as error:
            if error.status == 409 and "already in use" in error.message:
                return "", ""  # somebody else made it just now
            if error.status == 404 and "image" in error.message.lower():
                return "ImagePullFailed", error.message
            if error.status in (400, 409, 404):
                raise Rejected("RefusedAtSite", error.message) from None
            return "BadConfiguration", error.message
        # A worker that froze above wakes here: what it made after the removal must not stay.
        if self.ledger.read(deadline).record(record.ref).is_ended:
            self._delete(deadline, record.ref)
            raise Rejected("OldGeneration", "This was taken back meanwhile.")
        return "", ""

    def _wants_pull(self, deadline: Deadline, image: str) -> bool:
        policy = self.ways.pull_policy
        if policy == "never":
            return False
        if pulls.is_under_way(self.api.endpoint, image):
            return True
        is_here = self.api.find(deadline, "/images" + path_of(image) + "/json") is not None
        return not is_here or (policy == "always" and not pulls.was_fetched(self.api.endpoint, image))

    def _auth(self, record: Record) -> Json | None:
        names = [name for name in record.order.get("pull_secrets") or () if name in self.registries]
        return self.registries[names[0]] if names else None

    def _start(self, deadline: Deadline, record: Record) -> None:
        try:
            self.api.call(deadline, "POST", self._path(record.ref) + "/start")
        except EngineError as error:
            if _NO_DEVICES in error.message:
                raise Rejected("DeviceRefused", _without_toolkit(error.message)) from None
            if error.status == 404 and "no such container" in error.message.lower():
                raise Rejected("OldGeneration", "This was taken back meanwhile.") from None
            # Anything else stands in the container's own state, and is told from there.

    # -- looking -----------------------------------------------------------------------------------------

    def observe(self, deadline: Deadline, ref: str) -> Observation:
        look = self.look(deadline)
        return self._observed(deadline, look, ref)

    def observe_many(self, deadline: Deadline, refs: Sequence[str]) -> list[Observation]:
        look = self.look(deadline)
        seen = [self._observed(deadline, look, ref) for ref in refs if ref in look.book.records]
        return [one for one in seen if one.state != O.ABSENT]

    def _observed(self, deadline: Deadline, look: Look, ref: str) -> Observation:
        record = look.book.record(ref)
        if not record.order and ref not in look.containers:
            return Observation(ref, O.ABSENT)
        if not record.is_ended and record.order.get("container"):
            try:
                return self._step(deadline, record, look.now)
            except Rejected as refused:  # it was taken on, and now the host will not have it
                epoch, generation = record.stamp
                return Observation(
                    ref, O.FAILED, generation, epoch, 0.0, reason=refused.reason, message=refused.message
                )
        container = self.container(deadline, ref)
        if container is not None and not record.order:
            return Observation(ref, O.BROKEN, reason="ChangedAtSite", message="Its record was removed at the host.")
        return seen_of(record, container, look.now)

    def _in_time(
        self, deadline: Deadline, record: Record, container: Json | None, seen: Observation, now: float
    ) -> Observation:
        """An engine knows no time limit: whoever looks ends what is over it."""
        limit = record.order.get("limit")
        if container is None or seen.state != O.RUNNING or not limit or (seen.ran_seconds or 0.0) < limit:
            return seen
        late = record.mark("late")
        if late is None:
            self.ledger.note(deadline, record, "late")
            self._kill(deadline, record.ref, "SIGTERM")
        elif now - late.at >= float(record.order.get("grace") or 0):
            self._kill(deadline, record.ref, "SIGKILL")
        return seen

    def container(self, deadline: Deadline, ref: str) -> Json | None:
        """It, unless a stranger's container bears its name."""
        found = self.api.find(deadline, self._path(ref) + "/json")
        labels = ((found or {}).get("Config") or {}).get("Labels") or {}
        return found if labels.get(LABEL_REF) == ref and labels.get(LABEL_CLUSTER) == self.cluster else None

    def _path(self, ref: str) -> str:
        return "/containers" + path_of(name_of(ref))

    # -- the end -----------------------------------------------------------------------------------------

    def remove(self, deadline: Deadline, ref: str) -> Observation:
        look = self.look(deadline)
        record = look.book.record(ref)
        self.ledger.note(deadline, record, "ended", grace=record.order.get("grace"))
        if record.order and not record.mark("made"):
            pulls.give_up(self.api.endpoint, str(record.order.get("image")))
        container = self.container(deadline, ref)
        if container is None:
            self.ledger.forget(deadline, record)
            return Observation(ref, O.ABSENT)
        self._end(deadline, record, container, look.now)
        if (container := self.container(deadline, ref)) is None:
            self.ledger.forget(deadline, record)
            return Observation(ref, O.ABSENT)
        return replace(seen_of(record, container, look.now), state=O.STOPPING)

    def _end(self, deadline: Deadline, record: Record, container: Json, now: float) -> None:
        state = container.get("State") or {}
        if not state.get("Running") and not state.get("Paused"):
            self._delete(deadline, record.ref)
            return
        told = record.mark("told")
        if told is None:
            if state.get("Paused"):
                self._try(deadline, record.ref, "unpause")  # a frozen process hears nothing
            stop = str((container.get("Config") or {}).get("StopSignal") or "SIGTERM")
            self._kill(deadline, record.ref, stop)
            self.ledger.note(deadline, record, "told")
        elif now - told.at >= float(record.order.get("grace") or 0) or told.at > now:
            self._delete(deadline, record.ref)

    def _kill(self, deadline: Deadline, ref: str, number: str) -> None:
        self._try(deadline, ref, "kill", signal=number)

    def _try(self, deadline: Deadline, ref: str, verb: str, **query: Any) -> None:
        """What fails because it has ended meanwhile shows with the next look."""
        try:
            self.api.call(deadline, "POST", f"{self._path(ref)}/{verb}", query=query)
        except EngineError as error:
            if error.status not in (404, 409, 500):
                raise

    def _delete(self, deadline: Deadline, ref: str) -> None:
        """With its own volumes. One that is being removed already is seen to go with the next call."""
        try:
            self.api.call(deadline, "DELETE", self._path(ref), query={"force": "true", "v": "true"})
        except EngineError as error:
            if error.status not in (404, 409):
                raise Unavailable(f"The host cannot remove it: {error.message}") from None


def _held(book: Book, device: DeviceGrant, ref: str) -> int:
    return sum(shares(other.devices, device.uuid) for other in book.holders(device.uuid, ref))


def _waits_for_start(container: Json) -> bool:
    state = container.get("State") or {}
    return str(state.get("Status") or "").lower() in _NOT_STARTED and not state.get("ExitCode")


def _without_toolkit(message: str) -> str:
    vendor = "NVIDIA" if "nvidia" in message or "gpu" in message else "this vendor"
    return f"The engine of this host cannot give cards of {vendor} to a container: its container toolkit is missing."


def _order_on(item: Json) -> Mark | None:
    try:
        facts = json.loads(item["Labels"][LABEL_FACTS])
        int(facts["epoch"]), int(facts["generation"])
    except (KeyError, TypeError, ValueError):
        return None
    return Mark("", str(item["Labels"][LABEL_REF]), "order", facts, 0.0)
