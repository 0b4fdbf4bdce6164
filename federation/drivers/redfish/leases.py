"""The rules of a lease: who may have a server, and what is true of it. Pure: nothing is asked of anybody here."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from federation.drivers.base import (
    BootFrom,
    DeviceSeen,
    Health,
    Observation,
    ObservedState,
    Rejected,
    WorkloadSpec,
)
from federation.drivers.redfish.hands import is_off, is_on
from federation.drivers.redfish.ledger import Lease, Phase, Turn
from federation.drivers.redfish.machines import Rules

# Kept until it is given back, also while it is off; anything else has ended once it has switched itself off.
_KEPT_WHILE_OFF = frozenset({"server", "vm", "notebook"})
TELL_AGAIN_SECONDS = 30.0  # a controller that was told something and has not done it: it is told once more
_MOST = 1 << 62
_STOPPING = frozenset({Phase.STOPPING, Phase.WIPING, Phase.CHECKING})


def is_ref(ref: str) -> bool:
    return 0 < len(ref) <= 64 and ref.isascii() and all(letter.isalnum() or letter in "-_." for letter in ref)


def check_sense(spec: WorkloadSpec) -> None:
    if not is_ref(spec.ref) or not 0 <= spec.epoch < _MOST or not 0 <= spec.generation < _MOST:
        raise Rejected("BadSpec", "This is no reference, epoch or generation of a lease.")
    if any(not 1 <= grant.milli <= 1000 or grant.memory_mib < 0 for grant in spec.devices):
        raise Rejected("BadGrant", "A share is 1 to 1000 of a device.")
    if spec.max_seconds is not None and spec.max_seconds < 0:
        raise Rejected("BadSpec", "max_seconds is not negative.")


def check_way(spec: WorkloadSpec, rules: Rules) -> None:
    """What the tenant brings must get onto the server. Nothing of it is dropped in silence."""
    boot = spec.boot
    if boot is None or "prepare" in rules.hooks:
        return
    if boot.ssh_keys or boot.user_data:
        raise Rejected(
            "NoInstallHook", "SSH keys and user data reach a server by a prepare hook, and this cluster has none."
        )
    if boot.image_url and boot.boot_from != BootFrom.VIRTUAL_MEDIA:
        raise Rejected("NoInstallHook", "An image is put on a disk by a prepare hook, and this cluster has none.")


def claim(turn: Turn, spec: WorkloadSpec, devices: tuple[DeviceSeen, ...]) -> Lease:
    """The lease of this spec, taken now or taken before; written down. Raises Rejected."""
    fence(turn, spec)
    was = turn.get(spec.ref)
    granted = tuple(grant.uuid for grant in spec.devices)
    if was is None:
        _check_whole(spec, devices)
        if (holder := turn.holder(spec.node)) is not None:
            raise Rejected("DeviceBusy", f"{spec.node} is leased to other work ({holder.phase.value}).")
        was = Lease(
            spec.ref,
            spec.node,
            kind=spec.kind,
            tenant=spec.tenant,
            project=spec.project,
            devices=granted,
            is_held=spec.hold,
            max_seconds=spec.max_seconds,
            grace_seconds=max(0, spec.grace_seconds),
        )
    elif was.machine != spec.node or set(was.devices) != set(granted):
        raise Rejected("GrantChanged", "A grant never changes: remove it and ask for another.")
    lease = replace(was, epoch=spec.epoch, generation=spec.generation, is_held=was.is_held and spec.hold)
    turn.raise_epoch(spec.epoch)
    turn.put(lease)
    return lease


def fence(turn: Turn, spec: WorkloadSpec) -> None:
    """Whoever slept too long does nothing any more."""
    was = turn.get(spec.ref)
    if was is not None and (was.stop_at is not None or not was.is_there):
        raise Rejected("OldGeneration", "This was taken back already.")
    if spec.epoch < turn.epoch:
        raise Rejected("OldGeneration", f"The site has seen epoch {turn.epoch}, this is of {spec.epoch}.")
    if was is not None and spec.generation < was.generation:
        raise Rejected("OldGeneration", f"The site has generation {was.generation}, this is {spec.generation}.")


def _check_whole(spec: WorkloadSpec, devices: tuple[DeviceSeen, ...]) -> None:
    """A server is leased with all its devices: what is left of it would be nobody else's to have."""
    known = {(device.index, device.uuid) for device in devices}
    for grant in spec.devices:
        if (grant.index, grant.uuid) not in known:
            raise Rejected("DeviceGone", f"{spec.node} has no device {grant.index} ({grant.uuid}).")
        if grant.milli != 1000:
            raise Rejected("WholeServerOnly", "A leased server is handed out whole, not in shares of a device.")
    missing = {d.uuid for d in devices if d.health != Health.UNHEALTHY} - {grant.uuid for grant in spec.devices}
    if missing:
        raise Rejected(
            "WholeServerOnly",
            f"{spec.node} is leased with all its {len(devices)} devices, and {len(spec.devices)} were granted.",
        )


def watched(lease: Lease, state: Mapping[str, Any], rules: Rules, now: float) -> Lease:
    """The lease after one look at the server's power."""
    if lease.stop_at is not None or lease.phase not in (Phase.BOOTING, Phase.RUNNING):
        return lease
    if is_on(state) and lease.told_at is not None:
        return replace(
            lease,
            phase=Phase.RUNNING,
            on_at=now if lease.on_at is None else lease.on_at,
            seen_on_at=now,
            seen_off_at=None,
        )
    if not is_off(state) or lease.phase != Phase.RUNNING:
        return lease
    off_at = now if lease.seen_off_at is None else lease.seen_off_at
    if is_late(lease, now):
        return replace(lease, phase=Phase.ENDED, seen_off_at=off_at, reason="TimeLimit", exit_code=None)
    if lease.kind not in _KEPT_WHILE_OFF and now - off_at >= rules.off_seconds:
        return replace(lease, phase=Phase.ENDED, seen_off_at=off_at, exit_code=0)
    return replace(lease, seen_off_at=off_at)


def told_off(lease: Lease, since: float, now: float) -> Lease | None:
    """The lease of a server that is to be told to switch off now: first gently, after its grace hard, and again only
    after a while, for each word may begin the controller's work anew. None: there is nothing new to say."""
    is_hard = now - since >= lease.grace_seconds
    is_due = lease.told_off_at is None or now - lease.told_off_at >= TELL_AGAIN_SECONDS
    if not is_due and not (is_hard and not lease.was_cut):
        return None
    return replace(lease, told_off_at=now, was_cut=is_hard)


def is_late(lease: Lease, now: float) -> bool:
    """It has run as long as it may."""
    return lease.max_seconds is not None and lease.on_at is not None and now - lease.on_at >= lease.max_seconds


def seen_of(lease: Lease | None, ref: str, now: float) -> Observation:
    """What the hub is told of it."""
    if lease is None or not lease.is_there:
        return Observation(ref, ObservedState.ABSENT)
    state, reason = _state(lease)
    return Observation(
        ref,
        state,
        lease.generation,
        lease.epoch,
        _ran(lease, state, now),
        lease.exit_code if lease.phase == Phase.ENDED else None,
        reason,
        lease.message,
    )


def _state(lease: Lease) -> tuple[ObservedState, str]:
    if lease.stop_at is not None or lease.phase in _STOPPING:
        return ObservedState.STOPPING, lease.reason
    if lease.phase == Phase.RUNNING:
        return ObservedState.RUNNING, "PoweredOff" if lease.seen_off_at is not None else ""
    if lease.phase == Phase.ENDED:
        return ObservedState.SUCCEEDED if lease.exit_code == 0 else ObservedState.FAILED, lease.reason
    return ObservedState.STARTING, lease.reason


def _ran(lease: Lease, state: ObservedState, now: float) -> float | None:
    """From when it was first seen on. Up to now while it is held, and up to the last proof of it afterwards."""
    if lease.on_at is None:
        return None
    until = lease.seen_on_at if lease.seen_on_at is not None else lease.on_at
    if lease.kind in _KEPT_WHILE_OFF and lease.stop_at is not None:
        until = lease.stop_at
    elif state == ObservedState.RUNNING and (lease.seen_off_at is None or lease.kind in _KEPT_WHILE_OFF):
        until = now
    ran = until - lease.on_at
    return round(ran if lease.max_seconds is None else min(ran, float(lease.max_seconds)), 3)


def told_of(lease: Lease, spec: WorkloadSpec | None) -> dict[str, Any]:
    """What a hook may know: of the tenant's wishes only the one that prepares the server for it."""
    told: dict[str, Any] = {
        "ref": lease.ref,
        "epoch": lease.epoch,
        "generation": lease.generation,
        "tenant": lease.tenant,
        "project": lease.project,
    }
    if spec is not None:
        boot = spec.boot
        told |= {"name": spec.name, "image": spec.image}
        if boot is not None:
            told |= {
                "image_url": boot.image_url,
                "image_sha256": boot.image_sha256,
                "image_format": boot.image_format,
                "disk_mib": boot.disk_mib,
                "ssh_keys": list(boot.ssh_keys),
                "user_data": boot.user_data,
                "boot_from": boot.boot_from.value,
            }
    return told
