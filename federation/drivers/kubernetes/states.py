"""What a cluster says of one piece of work, in our words. Pure: objects in, an Observation out."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from federation.drivers.base import Observation
from federation.drivers.base import ObservedState as O
from federation.drivers.kubernetes.names import CONTAINER, LABEL_QUEUE
from federation.drivers.kubernetes.records import Held, Record, digest_of
from federation.drivers.kubernetes.transport import Json

# Why a container waits, in our words. What is not here is a step on the way: ContainerCreating, PodInitializing.
WAITING: Mapping[str, str] = {
    "ErrImagePull": "ImagePullFailed",
    "ImagePullBackOff": "ImagePullFailed",
    "ErrImageNeverPull": "ImagePullFailed",
    "InvalidImageName": "ImagePullFailed",
    "ImageInspectError": "ImagePullFailed",
    "RegistryUnavailable": "ImagePullFailed",
    "SignatureValidationFailed": "ImagePullFailed",
    "CreateContainerConfigError": "BadConfiguration",
    "CreateContainerError": "BadConfiguration",
    "RunContainerError": "BadConfiguration",
    "PreCreateHookError": "BadConfiguration",
    "PreStartHookError": "BadConfiguration",
    "PostStartHookError": "BadConfiguration",
    "CrashLoopBackOff": "CrashLoop",
}
# Why a container ended.
ENDED: Mapping[str, str] = {
    "OOMKilled": "OutOfMemory",
    "DeadlineExceeded": "TimeLimit",
    "ContainerCannotRun": "BadConfiguration",
    "StartError": "BadConfiguration",
}
# The site took the pod away; the program did nothing wrong, and the work may run elsewhere.
TAKEN: Mapping[str, str] = {
    "Evicted": "Evicted",
    "EvictionByEvictionAPI": "Evicted",
    "TerminationByKubelet": "Evicted",
    "PreemptionByScheduler": "PreemptedAtSite",
    "Preempting": "PreemptedAtSite",
    "DeletionByPodGC": "NodeLost",
    "NodeShutdown": "NodeLost",
    "Shutdown": "NodeLost",
    "NodeAffinity": "NodeChanged",
    "UnexpectedAdmissionError": "DeviceRefused",
    "OutOfcpu": "NodeFull",
    "OutOfmemory": "NodeFull",
    "OutOfpods": "NodeFull",
}
NODE_MISSING = "NodeMissing"
Say = Callable[..., Observation]
_MISSING = frozenset({"NodeLost", "DeletionByTaintManager"})


def seen_of(record: Record, owner: Json | None, pods: Sequence[Json], *, now: float, is_service: bool) -> Observation:
    """The observation of one record with its Job or Deployment (`owner`) and the pods of its ref.

    `now` is the site's clock in seconds since 1970; `is_service`: it runs until it is removed.
    """
    ref, generation, epoch = record.ref, record.generation, record.epoch

    def say(state: O, reason: str = "", message: str = "", **more: Any) -> Observation:
        return Observation(ref, state, generation, epoch, reason=reason, message=message[:2000], **more)

    if record.state == Held.GONE:
        return Observation(ref, O.ABSENT) if owner is None and not pods else say(O.STOPPING)
    if record.state == Held.STOPPING:
        return Observation(ref, O.ABSENT) if owner is None and not pods else _stopping(say, pods, now)
    if owner is None:
        # Made by us and not there: nobody has made it yet, or somebody removed it at the site.
        if record.digest:
            return Observation(ref, O.ABSENT) if not pods else say(O.BROKEN, "ChangedAtSite", "Its pods have no owner.")
        return say(O.PENDING)
    if (drift := _drift(record, owner, is_service)) is not None:
        return say(O.BROKEN, *drift)
    pod = latest(pods)
    if pod is None:
        return _without_pod(say, owner, is_service)
    return _of_pod(say, pod, owner, now, is_service)


def _drift(record: Record, owner: Json, is_service: bool) -> tuple[str, str] | None:
    """What was changed by hand so that the grant no longer says what is held here."""
    meta, spec = owner.get("metadata") or {}, owner.get("spec") or {}
    if meta.get("deletionTimestamp"):
        return "RemovedAtSite", "Somebody is removing it at the site."
    if record.digest and essence(owner) != record.digest:
        return "ChangedAtSite", "Somebody changed it at the site: its image, devices, node or limits."
    if is_service and spec.get("replicas") != 1:
        return "ScaledAtSite", f"Somebody scaled it to {spec.get('replicas')} at the site."
    return None


def essence(owner: Json) -> str:
    """A digest of what a hand must not change: which node, devices, image, command and limits the pods get."""
    pod = ((owner.get("spec") or {}).get("template") or {}).get("spec") or {}
    containers = [c for c in pod.get("containers") or [] if isinstance(c, dict)]
    main = next((c for c in containers if c.get("name") == CONTAINER), {})
    terms = (
        ((pod.get("affinity") or {}).get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    ) or {}
    return digest_of(
        {
            "image": main.get("image"),
            "command": main.get("command"),
            "limits": (main.get("resources") or {}).get("limits"),
            "affinity": terms,
            "claims": pod.get("resourceClaims"),
            "containers": len(containers),
        }
    )


def latest(pods: Sequence[Json]) -> Json | None:
    """The pod that counts: one that lives before one that has ended, the newest of those."""
    if not pods:
        return None

    def order(pod: Json) -> tuple[bool, bool, str]:
        meta = pod.get("metadata") or {}
        is_over = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        return (not is_over, not meta.get("deletionTimestamp"), str(meta.get("creationTimestamp")))

    return max(pods, key=order)


def _stopping(say: Say, pods: Sequence[Json], now: float) -> Observation:
    """Still something left. A finalizer or a silent node may hold it: the message says how long."""
    asked = [t for p in pods if (t := moment((p.get("metadata") or {}).get("deletionTimestamp"))) is not None]
    late = now - max(asked) if asked else 0.0
    if late > 900:
        return say(O.STOPPING, "StuckAtSite", f"The site has not let go for {late / 60:.0f} minutes.")
    return say(O.STOPPING)


def _without_pod(say: Say, owner: Json, is_service: bool) -> Observation:
    status, spec = owner.get("status") or {}, owner.get("spec") or {}
    conditions = {c.get("type"): c for c in status.get("conditions") or [] if c.get("status") == "True"}
    if failure := conditions.get("ReplicaFailure"):
        return say(O.STARTING, "RefusedAtSite", str(failure.get("message")))
    if not is_service and (failed := conditions.get("Failed") or conditions.get("FailureTarget")):
        reason = ENDED.get(str(failed.get("reason")), "PodVanished")
        return say(O.FAILED, reason, str(failed.get("message")), exit_code=1)
    if not is_service and conditions.get("Complete"):
        return say(O.SUCCEEDED, ran_seconds=job_seconds(status), exit_code=0)
    if spec.get("suspend") and LABEL_QUEUE in ((owner.get("metadata") or {}).get("labels") or {}):
        return say(O.STARTING, "WaitingAtSite", "The cluster's own queue has not let it in yet.")
    if spec.get("suspend"):
        return say(O.STARTING, "HeldForGang", "Accepted; it starts together with the others.")
    return say(O.STARTING)


def job_seconds(status: Json) -> float | None:
    began, ended = moment(status.get("startTime")), moment(status.get("completionTime"))
    return None if began is None or ended is None else max(ended - began, 0.0)


def _of_pod(say: Say, pod: Json, owner: Json, now: float, is_service: bool) -> Observation:
    meta, status = pod.get("metadata") or {}, pod.get("status") or {}
    conditions = {c.get("type"): c for c in status.get("conditions") or []}
    container = _container(status)
    phase = status.get("phase")
    taken = conditions.get("DisruptionTarget") or {}
    why = str(taken.get("reason")) if taken.get("status") == "True" else str(status.get("reason") or "")
    if why in _MISSING or phase == "Unknown":
        return say(O.BROKEN, NODE_MISSING, "Its node does not answer.")
    late = _out_of_time(owner)
    if late is None and meta.get("deletionTimestamp") and _is_due(owner, now):
        late = "It ran longer than it may."  # its Job deletes first, and says why a moment later
    if late is not None:
        # The Job has its pod deleted, which may go on in its grace until it has ended.
        if phase in ("Succeeded", "Failed"):
            return _ended(say, "Failed", {**status, "reason": "DeadlineExceeded", "message": late}, container)
        has_begun = bool(set(container.get("state") or {}) - {"waiting"})
        return say(O.RUNNING if has_begun else O.STARTING, ran_seconds=_ran(container, now))
    if why in TAKEN:
        text = str(taken.get("message") or status.get("message") or "")
        return say(O.BROKEN, TAKEN[why], text)
    if phase in ("Succeeded", "Failed") and not is_service:
        return _ended(say, phase, status, container)
    if meta.get("deletionTimestamp"):
        return say(O.BROKEN, "RemovedAtSite", "Somebody removed its pod at the site.")
    state = container.get("state") or {}
    if state.get("running"):
        ran = _ran(container, now)
        ready = conditions.get("Ready") or {}
        if ready.get("status") == "False" and container.get("ready") and not is_service:
            # Its container is ready and it is not: that is how a cluster marks the pods of a node that fell silent.
            return say(O.BROKEN, NODE_MISSING, "Its node does not answer.")
        if is_service and ready.get("status") != "True" and not container.get("ready"):
            return say(O.STARTING, "NotReady", str(ready.get("message") or ""), ran_seconds=ran)
        return _running(say, container, ran)
    if is_service and (state.get("terminated") or container.get("restartCount")):
        return _restarting(say, container)
    return _waiting(say, conditions, state, status)


def _out_of_time(owner: Json) -> str | None:
    """What the Job says of it, once its time limit has passed."""
    for condition in (owner.get("status") or {}).get("conditions") or []:
        is_over = condition.get("type") in ("Failed", "FailureTarget") and condition.get("status") == "True"
        if is_over and condition.get("reason") == "DeadlineExceeded":
            return str(condition.get("message") or "")
    return None


def _is_due(owner: Json, now: float) -> bool:
    """Has its time limit passed by the clock?"""
    limit = (owner.get("spec") or {}).get("activeDeadlineSeconds")
    began = moment((owner.get("status") or {}).get("startTime"))
    return isinstance(limit, int) and began is not None and now >= began + limit


def _ran(container: Json, now: float) -> float | None:
    began = moment(((container.get("state") or {}).get("running") or {}).get("startedAt"))
    return None if began is None else max(now - began, 0.0)


def _running(say: Say, container: Json, ran: float | None) -> Observation:
    """A sick device is told beside the state: the work goes on until it fails or is moved."""
    for device in container.get("allocatedResourcesStatus") or []:
        for one in device.get("resources") or []:
            if one.get("health") == "Unhealthy":
                text = f"The site says that device {one.get('resourceID')} of {device.get('name')} is not healthy."
                return say(O.RUNNING, "DeviceUnhealthy", text, ran_seconds=ran)
    return say(O.RUNNING, ran_seconds=ran)


def _restarting(say: Say, container: Json) -> Observation:
    last = (container.get("lastState") or {}).get("terminated") or (container.get("state") or {}).get("terminated")
    last = last or {}
    reason = ENDED.get(str(last.get("reason")), "CrashLoop")
    text = f"It ended with exit code {last.get('exitCode')} and is started again."
    return say(O.STARTING, reason, text)


def _waiting(say: Say, conditions: Mapping[Any, Json], state: Json, status: Json) -> Observation:
    waiting = state.get("waiting") or {}
    word = str(waiting.get("reason") or "")
    if word in WAITING:
        return say(O.STARTING, WAITING[word], str(waiting.get("message") or word))
    for init in status.get("initContainerStatuses") or []:
        held = (init.get("state") or {}).get("waiting") or {}
        if (word := str(held.get("reason") or "")) in WAITING:
            return say(O.STARTING, WAITING[word], str(held.get("message") or word))
    scheduled = conditions.get("PodScheduled") or {}
    if scheduled.get("status") == "False":
        reason = "Unschedulable" if scheduled.get("reason") == "Unschedulable" else "WaitingAtSite"
        return say(O.STARTING, reason, str(scheduled.get("message") or ""))
    return say(O.STARTING)


def _ended(say: Say, phase: str, status: Json, container: Json) -> Observation:
    last = (container.get("state") or {}).get("terminated") or {}
    began, ended = moment(last.get("startedAt")), moment(last.get("finishedAt"))
    ran = None if began is None or ended is None else max(ended - began, 0.0)
    code = last.get("exitCode")
    if phase == "Succeeded":
        return say(O.SUCCEEDED, ran_seconds=ran, exit_code=0)
    word = str(last.get("reason") or status.get("reason") or "")
    if str(status.get("reason") or "") in ENDED:  # the pod's own reason says more than its container's
        word = str(status.get("reason"))
    text = str(last.get("message") or status.get("message") or "")
    exit_code = code if isinstance(code, int) and code != 0 else 1
    return say(O.FAILED, ENDED.get(word, "NonZeroExit"), text, ran_seconds=ran, exit_code=exit_code)


def _container(status: Json) -> Json:
    for one in status.get("containerStatuses") or []:
        if isinstance(one, dict) and one.get("name") == CONTAINER:
            return one
    return {}


_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def moment(text: object) -> float | None:
    """Seconds since 1970 of a time as Kubernetes writes it; None for anything else."""
    if not isinstance(text, str) or not _MOMENT.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None
