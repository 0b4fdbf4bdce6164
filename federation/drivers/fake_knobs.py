"""What can be set on a fake site, and how each kind of site looks."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from federation.drivers.base import Rejected


@dataclass(frozen=True, slots=True)
class Knobs:
    """Settings of the cluster with the control document laid over them. Seconds are of the site's clock."""

    seed: int
    time_scale: float  # the site's clock runs this many times as fast as the hub's
    start_seconds: float
    stop_seconds: float
    latency_seconds: float  # of the hub's clock
    error_rate: float
    lost_answer_rate: float
    reject_rate: float
    fail_rate: float
    down: bool
    degraded: str
    missing_nodes: frozenset[str]
    not_ready_nodes: frozenset[str]
    unhealthy_devices: frozenset[str]  # by uuid


CONTROLS = frozenset(knob.name for knob in fields(Knobs)) - {"seed"}  # what can be turned while the site lives


def knobs_of(settings: Mapping[str, Any], control: Mapping[str, Any]) -> Knobs:
    given = {**settings, **control}
    try:
        knobs = Knobs(
            seed=int(given.get("seed", 0)),
            time_scale=float(given.get("time_scale", 1.0)),
            start_seconds=float(given.get("start_seconds", 0.5)),
            stop_seconds=float(given.get("stop_seconds", 0.3)),
            latency_seconds=float(given.get("latency_seconds", 0.0)),
            error_rate=float(given.get("error_rate", 0.0)),
            lost_answer_rate=float(given.get("lost_answer_rate", 0.0)),
            reject_rate=float(given.get("reject_rate", 0.0)),
            fail_rate=float(given.get("fail_rate", 0.0)),
            down=bool(given.get("down", False)),
            degraded=str(given.get("degraded", "")),
            missing_nodes=frozenset(given.get("missing_nodes", ())),
            not_ready_nodes=frozenset(given.get("not_ready_nodes", ())),
            unhealthy_devices=frozenset(given.get("unhealthy_devices", ())),
        )
    except (TypeError, ValueError) as error:
        raise Rejected("BadSettings", f"The simulated site is set up wrongly: {error}.") from error
    if knobs.time_scale <= 0:
        raise Rejected("BadSettings", "time_scale is above zero.")
    return knobs


def draw(*of: object) -> float:
    """A number from 0 up to 1 that depends on its arguments alone, in every process alike."""
    digest = hashlib.blake2b("\0".join(map(str, of)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


@dataclass(frozen=True, slots=True)
class Failure:
    reason: str
    exit_code: int
    message: str


@dataclass(frozen=True, slots=True)
class Flavour:
    """How one kind of site looks: its versions, how slowly it starts work, how work fails there."""

    versions: tuple[str, ...]
    start_factor: float
    refusal: tuple[str, str]
    failures: tuple[Failure, ...]


_KILLED = Failure("OutOfMemory", 137, "The work used more memory than it was given.")
_ERROR = Failure("NonZeroExit", 1, "The command ended with an error.")
_DEVICE = Failure("DeviceError", 1, "The driver of the device reported an uncorrectable error.")

FLAVOURS: Mapping[str, Flavour] = {
    "kubernetes": Flavour(
        ("v1.31.6", "v1.32.4", "v1.33.2"),
        1.0,
        ("AdmissionDenied", "A policy of the cluster refuses this pod."),
        (_KILLED, _ERROR, Failure("Evicted", 137, "The node was short of ephemeral storage."), _DEVICE),
    ),
    "kvm": Flavour(
        ("libvirt 9.0.0", "libvirt 10.6.0", "libvirt 11.3.0"),
        4.0,
        ("UnsupportedConfiguration", "The host cannot pass this device through."),
        (Failure("GuestCrashed", 1, "The guest panicked."), _KILLED, _DEVICE),
    ),
    "baremetal": Flavour(
        ("agent 1.0.0",),
        0.5,
        ("CommandNotAllowed", "The server does not allow this command."),
        (_ERROR, _KILLED, _DEVICE),
    ),
    "docker": Flavour(
        ("Docker 26.1.5", "Docker 27.5.1", "Docker 28.1.1"),
        0.6,
        ("ImageNotFound", "No such image on this host or in its registry."),
        (_KILLED, _ERROR, _DEVICE),
    ),
    "openstack": Flavour(
        ("Nova 2.96 (2024.1)", "Nova 2.100 (2025.1)"),
        6.0,
        ("NoValidHost", "No host of the cloud fulfils the flavour."),
        (Failure("InstanceError", 1, "The instance went into ERROR."), _KILLED, _DEVICE),
    ),
    "vmware": Flavour(
        ("vSphere 7.0.3", "vSphere 8.0.3"),
        5.0,
        ("InvalidDeviceSpec", "The host does not offer this device to guests."),
        (Failure("GuestCrashed", 1, "The guest stopped answering."), _KILLED, _DEVICE),
    ),
    "slurm": Flavour(
        ("slurm 23.11.10", "slurm 24.05.4", "slurm 24.11.5"),
        1.5,
        ("InvalidPartition", "The partition does not accept this job."),
        (_KILLED, _ERROR, Failure("NodeFail", 1, "The job's node failed."), _DEVICE),
    ),
}


def flavour_of(kind: str) -> Flavour:
    """A kind that is not in the table looks like a bare server."""
    return FLAVOURS.get(kind, FLAVOURS["baremetal"])
