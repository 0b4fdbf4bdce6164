"""The container of one piece of work, as we ask for it. Pure: a spec in, JSON out."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from federation.drivers.base import Rejected, Volume, VolumeKind, WorkloadSpec
from federation.drivers.docker.names import (
    LABEL_CLUSTER,
    LABEL_EPOCH,
    LABEL_GENERATION,
    LABEL_KIND,
    LABEL_MANAGED,
    LABEL_NAME,
    LABEL_PROJECT,
    LABEL_REF,
    LABEL_TENANT,
    LABEL_WORKLOAD,
    MANAGED_BY,
)
from federation.drivers.docker.transport import Json
from federation.drivers.docker.vendors import Handing
from federation.drivers.docker.ways import Ways

KINDS = frozenset({"inference", "notebook", "batch", "training"})
MOST_PROCESSES = 4096
_MIB = 1 << 20
_SHM = "/dev/shm"  # noqa: S108 - of the container, made by the engine
_MOST_REF = 253


def check(spec: WorkloadSpec) -> None:
    """Refuse what no host could run, before anything is asked of it."""
    if not spec.ref or len(spec.ref) > _MOST_REF or not spec.ref.isprintable():
        raise Rejected("BadRef", "The name of the work is empty, too long or not printable.")
    if spec.kind not in KINDS:
        raise Rejected("KindNotSupported", f"A Docker host does not run work of kind {spec.kind}.")
    if not (0 <= spec.epoch < 2**62 and 0 <= spec.generation < 2**62):
        raise Rejected("BadSpec", "Epoch and generation are numbers from 0.")
    if spec.cpu_milli <= 0 or spec.memory_mib <= 0:
        raise Rejected("BadSpec", "CPU and memory must be above zero.")
    if spec.max_seconds is not None and not 0 < spec.max_seconds < 2**31:
        raise Rejected("BadSpec", "The time limit must be above zero.")
    if spec.run_seconds is not None and not (math.isfinite(spec.run_seconds) and spec.run_seconds >= 0):
        raise Rejected("BadSpec", "The run time must be a number from 0.")
    if any(not 0 < d.milli <= 1000 or d.memory_mib < 0 for d in spec.devices):
        raise Rejected("BadSpec", "A share is 1 to 1000 thousandths of a device.")
    if any(not 0 < port < 65536 for port in spec.ports):
        raise Rejected("BadSpec", "A port is a number from 1 to 65535.")
    if spec.secret_env:
        raise Rejected(
            "BadSpec", "A Docker host keeps no secrets; give them as variables, or mount them from a volume."
        )
    if any(not volume.path.startswith("/") for volume in spec.volumes):
        raise Rejected("BadSpec", "A volume is mounted at a path that begins with a slash.")


def facts_of(spec: WorkloadSpec, image: str, container: Json) -> Json:
    """What is written down of the order: enough to go on with it, whoever comes next."""
    return {
        "ref": spec.ref, "epoch": spec.epoch, "generation": spec.generation, "node": spec.node, "image": image,
        "devices": [[d.index, d.uuid, d.milli, d.memory_mib] for d in spec.devices], "hold": spec.hold,
        "grace": spec.grace_seconds, "limit": spec.max_seconds, "workload": spec.workload, "container": container,
        "pull_secrets": list(spec.pull_secrets), "ports": list(spec.ports),
    }  # fmt: skip


def container_of(spec: WorkloadSpec, cluster: str, image: str, handed: Handing, ways: Ways) -> Json:
    """The body of a create. It is never restarted by the engine: what ended stays ended."""
    host: Json = {
        "NanoCpus": spec.cpu_milli * 1_000_000,
        "Memory": spec.memory_mib * _MIB,
        "MemorySwap": spec.memory_mib * _MIB,  # no swap beyond it
        "PidsLimit": MOST_PROCESSES,
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,
        "SecurityOpt": [] if ways.is_privileged_allowed else ["no-new-privileges"],
        "Mounts": [],
        "Devices": [{"PathOnHost": path, "PathInContainer": path, "CgroupPermissions": "rwm"} for path in handed.paths],
    }
    if handed.requests:
        host["DeviceRequests"] = handed.requests
    if runtime := handed.runtime or ways.runtime:
        host["Runtime"] = runtime
    if ways.network:
        host["NetworkMode"] = ways.network
    _add_volumes(host, spec.volumes)
    body: Json = {
        "Image": image,
        "Env": [f"{name}={value}" for name, value in _environment(spec, handed).items()],
        "Labels": labels_of(spec, cluster),
        "HostConfig": host,
        "AttachStdin": False,
        "OpenStdin": False,
        "Tty": False,
        "StopTimeout": max(0, spec.grace_seconds),
    }
    if spec.command:
        body["Entrypoint"], body["Cmd"] = [spec.command[0]], list(spec.command[1:])
    if ways.user:
        body["User"] = ways.user
    if spec.ports:
        body["ExposedPorts"] = {f"{port}/tcp": {} for port in spec.ports}
        if not ways.network or ways.network not in ("host", "none"):
            # At the host's loopback only, at a port the engine chooses: reached by who is on the host.
            host["PortBindings"] = {f"{port}/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}] for port in spec.ports}
    if spec.replicas > 1:
        body["Hostname"] = f"member-{spec.replica}"
    return body


def labels_of(spec: WorkloadSpec, cluster: str) -> dict[str, str]:
    return {
        LABEL_MANAGED: MANAGED_BY,
        LABEL_CLUSTER: cluster,
        LABEL_REF: spec.ref,
        LABEL_EPOCH: str(spec.epoch),
        LABEL_GENERATION: str(spec.generation),
        LABEL_NAME: spec.name,
        LABEL_TENANT: spec.tenant,
        LABEL_PROJECT: spec.project,
        LABEL_KIND: spec.kind,
        LABEL_WORKLOAD: spec.workload,
    }


def _environment(spec: WorkloadSpec, handed: Handing) -> Mapping[str, str]:
    """The granted devices go last: nobody asks for a card by a variable of his own."""
    return {
        **spec.env,
        "AQUIFER_REF": spec.ref,
        "AQUIFER_REPLICA": str(spec.replica),
        "AQUIFER_REPLICAS": str(spec.replicas),
        **_nothing_seen(handed),
        **handed.env,
    }


def _nothing_seen(handed: Handing) -> Mapping[str, str]:
    """Images say NVIDIA_VISIBLE_DEVICES=all by themselves: without a card of NVIDIA's, none are seen."""
    return {} if "NVIDIA_VISIBLE_DEVICES" in handed.env else {"NVIDIA_VISIBLE_DEVICES": "void"}


def _add_volumes(host: Json, volumes: Sequence[Volume]) -> None:
    for volume in volumes:
        if volume.kind == VolumeKind.MEMORY and volume.path == _SHM:
            host["ShmSize"] = (volume.size_mib or 64) * _MIB
            continue
        mount: dict[str, Any] = {"Target": volume.path, "ReadOnly": volume.is_read_only}
        if volume.kind == VolumeKind.MEMORY:
            mount |= {"Type": "tmpfs"}
            if volume.size_mib:
                mount["TmpfsOptions"] = {"SizeBytes": volume.size_mib * _MIB}
        elif volume.kind == VolumeKind.CLAIM:
            if not volume.source or "/" in volume.source:
                raise Rejected("BadSpec", "A claim is the name of a volume of the host.")
            mount |= {"Type": "volume", "Source": volume.source}
        else:
            mount |= {"Type": "volume"}  # without a name: it goes with the container
        host["Mounts"].append(mount)
