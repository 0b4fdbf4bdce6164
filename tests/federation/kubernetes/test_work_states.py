"""What a cluster's objects say of work, in our words: one row for each way it can be."""

# ruff: noqa: E501 - a table whose rows are read across

from typing import Any

import pytest

from federation.drivers.base import Observation
from federation.drivers.base import ObservedState as O
from federation.drivers.kubernetes.records import Held, Record
from federation.drivers.kubernetes.states import essence, moment, seen_of

NOW = moment("2026-11-27T12:10:00Z") or 0.0
JOB: dict[str, Any] = {
    "metadata": {"name": "aq-r"},
    "spec": {
        "template": {"spec": {"containers": [{"name": "main", "image": "a", "resources": {"limits": {"cpu": "1"}}}]}}
    },
    "status": {},
}
DEPLOYMENT = {**JOB, "spec": {**JOB["spec"], "replicas": 1}}


OVERDUE = {**JOB, "status": {"conditions": [{"type": "FailureTarget", "status": "True", "reason": "DeadlineExceeded"}]}}
TIMED = {**JOB, "spec": {**JOB["spec"], "activeDeadlineSeconds": 600}, "status": {"startTime": "2026-11-27T12:00:00Z"}}
NOT_YET = {**TIMED, "status": {"startTime": "2026-11-27T12:00:01Z"}}
LEAVING = {"deletionTimestamp": "2026-11-27T12:09:59Z"}


def pod(
    phase: str = "Running", *, state: dict[str, Any] | None = None, meta: dict[str, Any] | None = None, ready: bool = True,
    container: dict[str, Any] | None = None, **status: Any,
) -> dict[str, Any]:  # fmt: skip
    main = {"name": "main", "ready": ready, "restartCount": 0, "state": state or {}, **(container or {})}
    return {
        "metadata": {"name": "aq-r-0-x", "creationTimestamp": "2026-11-27T12:00:00Z", **(meta or {})},
        "status": {"phase": phase, "containerStatuses": [main], **status},
    }


def see(
    *pods: dict[str, Any], owner: dict[str, Any] | None = JOB, held: Held = Held.HELD, digest: str = "", service: bool = False
) -> Observation:  # fmt: skip
    record = Record("r", held, epoch=3, generation=2, namespace="n", digest=digest)
    return seen_of(record, owner, pods, now=NOW, is_service=service)


RUNNING = {"running": {"startedAt": "2026-11-27T12:00:00Z"}}


def ended(code: int, reason: str, **more: Any) -> dict[str, Any]:
    times = {"startedAt": "2026-11-27T12:00:00Z", "finishedAt": "2026-11-27T12:01:30Z"}
    return {"terminated": {"exitCode": code, "reason": reason, **times, **more}}


def condition(kind: str, status: str, reason: str = "", message: str = "") -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": status, "reason": reason, "message": message}]}


CASES: dict[str, tuple[Observation, O, str, dict[str, Any]]] = {
    "it runs": (see(pod(state=RUNNING)), O.RUNNING, "", {"ran_seconds": 600.0, "generation": 2, "epoch": 3}),
    "it ended well": (
        see(pod("Succeeded", state=ended(0, "Completed"))), O.SUCCEEDED, "", {"exit_code": 0, "ran_seconds": 90.0},
    ),
    "its program failed": (
        see(pod("Failed", state=ended(7, "Error", message="no such file"))), O.FAILED, "NonZeroExit",
        {"exit_code": 7, "message": "no such file", "ran_seconds": 90.0},
    ),
    "out of memory": (see(pod("Failed", state=ended(137, "OOMKilled"))), O.FAILED, "OutOfMemory", {"exit_code": 137}),
    "over its time": (
        see(pod("Failed", state=ended(143, "Error"), reason="DeadlineExceeded")), O.FAILED, "TimeLimit", {"exit_code": 143},
    ),
    "over its time, its pod in its grace": (
        see(pod(state=RUNNING, meta=LEAVING), owner=OVERDUE), O.RUNNING, "",
        {"ran_seconds": 600.0},
    ),
    "over its time before it began": (
        see(pod("Pending", meta=LEAVING), owner=OVERDUE), O.STARTING, "", {},
    ),
    "over its time, and its program ended by it": (
        see(pod("Failed", state=ended(143, "Error"), meta=LEAVING), owner=OVERDUE),
        O.FAILED, "TimeLimit", {"exit_code": 143},
    ),
    "a failure without an exit code is one all the same": (see(pod("Failed")), O.FAILED, "NonZeroExit", {"exit_code": 1}),
    "the image cannot be had": (
        see(pod("Pending", state={"waiting": {"reason": "ImagePullBackOff", "message": "not found"}})), O.STARTING,
        "ImagePullFailed", {"message": "not found"},
    ),
    "a volume's secret is missing": (
        see(pod("Pending", state={"waiting": {"reason": "CreateContainerConfigError", "message": "secret x"}})),
        O.STARTING, "BadConfiguration", {},
    ),
    "its container is being made": (
        see(pod("Pending", state={"waiting": {"reason": "ContainerCreating"}})), O.STARTING, "", {},
    ),
    "no node takes it, and why": (
        see(pod("Pending", **condition("PodScheduled", "False", "Unschedulable", "0/1 nodes: taint"))), O.STARTING,
        "Unschedulable", {"message": "0/1 nodes: taint"},
    ),
    "a scheduling gate holds it": (
        see(pod("Pending", **condition("PodScheduled", "False", "SchedulingGated"))), O.STARTING, "WaitingAtSite", {},
    ),
    "evicted by its node": (see(pod("Failed", reason="Evicted", message="disk")), O.BROKEN, "Evicted", {"message": "disk"}),
    "evicted by the API": (
        see(pod("Failed", **condition("DisruptionTarget", "True", "EvictionByEvictionAPI"))), O.BROKEN, "Evicted", {},
    ),
    "another pod was more important": (
        see(pod(state=RUNNING, **condition("DisruptionTarget", "True", "PreemptionByScheduler"))), O.BROKEN,
        "PreemptedAtSite", {},
    ),
    "its node fell silent a moment ago": (
        see(pod(state=RUNNING, **condition("Ready", "False"))), O.BROKEN, "NodeMissing", {},
    ),
    "its node is silent": (
        see(pod(state=RUNNING, **condition("DisruptionTarget", "True", "DeletionByTaintManager"))), O.BROKEN,
        "NodeMissing", {},
    ),
    "the device plugin refused": (
        see(pod("Failed", reason="UnexpectedAdmissionError", message="no healthy")), O.BROKEN, "DeviceRefused", {},
    ),
    "its Job deletes its pod when time is up, and has not said why yet": (
        see(pod(state=RUNNING, meta=LEAVING), owner=TIMED), O.RUNNING, "", {"ran_seconds": 600.0},
    ),
    "it has ended by that, and its Job has still not said why": (
        see(pod("Failed", state=ended(143, "Error"), meta=LEAVING), owner=TIMED), O.FAILED, "TimeLimit", {"exit_code": 143},
    ),
    "somebody deletes its pod before time is up": (
        see(pod(state=RUNNING, meta=LEAVING), owner=NOT_YET), O.BROKEN, "RemovedAtSite", {},
    ),
    "somebody deletes its pod": (
        see(pod(state=RUNNING, meta={"deletionTimestamp": "2026-11-27T12:09:59Z"})), O.BROKEN, "RemovedAtSite", {},
    ),
    "its device is sick": (
        see(pod(state=RUNNING, container={"allocatedResourcesStatus": [
            {"name": "nvidia.com/gpu", "resources": [{"resourceID": "g1", "health": "Unhealthy"}]}]})),
        O.RUNNING, "DeviceUnhealthy", {},
    ),
    "held for its gang": (see(owner={**JOB, "spec": {**JOB["spec"], "suspend": True}}), O.STARTING, "HeldForGang", {}),
    "held by a queue of the cluster's own": (
        see(owner={"metadata": {"labels": {"kueue.x-k8s.io/queue-name": "q"}}, "spec": {**JOB["spec"], "suspend": True}}),
        O.STARTING, "WaitingAtSite", {},
    ),
    "a job without pods yet": (see(), O.STARTING, "", {}),
    "the namespace's quota is full": (
        see(owner={**DEPLOYMENT, "status": condition("ReplicaFailure", "True", "FailedCreate", "exceeded quota")},
            service=True),
        O.STARTING, "RefusedAtSite", {"message": "exceeded quota"},
    ),
    "its pods were cleaned up after its end": (
        see(owner={**JOB, "status": {**condition("Complete", "True"), "startTime": "2026-11-27T12:00:00Z",
                                     "completionTime": "2026-11-27T12:00:40Z"}}),
        O.SUCCEEDED, "", {"exit_code": 0, "ran_seconds": 40.0},
    ),
    "a job that failed and has no pods": (
        see(owner={**JOB, "status": condition("Failed", "True", "BackoffLimitExceeded")}), O.FAILED, "PodVanished",
        {"exit_code": 1},
    ),
    "nothing was made yet": (see(owner=None), O.PENDING, "", {}),
    "somebody deleted it": (see(owner=None, digest="d"), O.ABSENT, "", {}),
    "somebody deleted the job and kept the pod": (
        see(pod(state=RUNNING), owner=None, digest="d"), O.BROKEN, "ChangedAtSite", {},
    ),
    "somebody edited it": (see(pod(state=RUNNING), digest="other"), O.BROKEN, "ChangedAtSite", {}),
    "somebody is deleting it": (
        see(pod(state=RUNNING), owner={**JOB, "metadata": {"deletionTimestamp": "x"}}), O.BROKEN, "RemovedAtSite", {},
    ),
    "somebody scaled it": (
        see(pod(state=RUNNING), owner={**JOB, "spec": {**JOB["spec"], "replicas": 0}}, service=True), O.BROKEN,
        "ScaledAtSite", {},
    ),
    "a service that is not ready": (
        see(pod(state=RUNNING, ready=False), owner=DEPLOYMENT, service=True), O.STARTING, "NotReady", {},
    ),
    "a service that crashes again and again": (
        see(pod(state={"waiting": {"reason": "CrashLoopBackOff"}}, ready=False,
                container={"restartCount": 3, "lastState": ended(2, "Error")}), owner=DEPLOYMENT, service=True),
        O.STARTING, "CrashLoop", {},
    ),
    "a service whose memory is too small": (
        see(pod(state=ended(137, "OOMKilled"), ready=False, container={"restartCount": 1}), owner=DEPLOYMENT, service=True),
        O.STARTING, "OutOfMemory", {},
    ),
    "asked to end, its pod still there": (
        see(pod(state=RUNNING, meta={"deletionTimestamp": "2026-11-27T12:09:59Z"}), held=Held.STOPPING), O.STOPPING, "", {},
    ),
    "asked to end, and a finalizer holds it": (
        see(pod(state=RUNNING, meta={"deletionTimestamp": "2026-11-27T11:50:00Z"}), held=Held.STOPPING), O.STOPPING,
        "StuckAtSite", {},
    ),
    "asked to end, and gone": (see(owner=None, held=Held.STOPPING), O.ABSENT, "", {}),
    "gone, and a late worker made a pod": (see(pod(state=RUNNING), owner=None, held=Held.GONE), O.STOPPING, "", {}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_words(case: str) -> None:
    seen, state, reason, more = CASES[case]
    assert (seen.state, seen.reason) == (state, reason)
    for name, value in more.items():
        assert getattr(seen, name) == value, name


def test_a_pod_that_lives_counts_before_one_that_has_ended() -> None:
    old = pod("Failed", state=ended(1, "Error"))
    fresh = pod(state=RUNNING, meta={"creationTimestamp": "2026-11-27T12:05:00Z"})
    assert see(old, fresh).state == see(fresh, old).state == O.RUNNING


def test_what_a_hand_must_not_change_is_in_the_digest() -> None:
    def with_spec(**changes: Any) -> str:
        spec = {**JOB["spec"]["template"]["spec"], **changes}
        return essence({**JOB, "spec": {"template": {"spec": spec}}})

    same = essence(JOB)
    assert see(pod(state=RUNNING), digest=same).state == O.RUNNING
    assert with_spec(containers=[{"name": "main", "image": "b"}]) != same
    assert with_spec(resourceClaims=[{"name": "devices"}]) != same
    assert with_spec(priority=5) == same  # what controllers add is none of our affair


@pytest.mark.parametrize("text", [None, 5, "", "yesterday", "2026-13-01T00:00:00Z", "2026-11-27T12:00:00+01:00"])
def test_what_is_no_time_is_none(text: object) -> None:
    assert moment(text) is None
