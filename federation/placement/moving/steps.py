"""Moves carried out on paper, one after the other: the check of every plan, and what is free after it."""

from collections.abc import Iterable
from dataclasses import replace

from federation.placement.filters import step_up
from federation.placement.moving.pieces import Move, Piece
from federation.placement.terms import NETWORK_CLASS_LABEL, is_in
from federation.placement.types import DeviceFree, DeviceShare, Fleet, NodeFree


def carried_out(fleet: Fleet, pieces: Iterable[Piece], moves: Iterable[Move]) -> Fleet:
    """The fleet after these moves: each takes its new place before it gives up the old one.

    Raises ValueError for the first that may not be or does not fit.
    """
    now = {node.id: node for node in fleet.nodes}
    at = {piece.id: piece for piece in pieces}
    for move in moves:
        piece = at[move.piece]
        if piece.obstacle:
            raise ValueError(f"{piece.id} is not to be moved: {piece.obstacle}.")
        if piece.node != move.source or move.source == move.target:
            raise ValueError(f"{piece.id} does not go from {move.source} to {move.target}: it is on {piece.node}.")
        _check(piece, now[move.source], now[move.target], move.devices)
        now[move.target] = _changed(now[move.target], piece, move.devices, -1)
        now[move.source] = _changed(now[move.source], piece, piece.devices, 1)
        at[piece.id] = replace(piece, node=move.target, devices=move.devices)
    return Fleet(tuple(now[node.id] for node in fleet.nodes), fleet.sites)


def _check(piece: Piece, source: NodeFree, target: NodeFree, shares: tuple[DeviceShare, ...]) -> None:
    """What does not hang on what is free: `_changed` looks at that."""
    wanted = piece.request
    problem = ""
    if not target.is_open:
        problem = "it is closed"
    elif wanted.sites and target.site not in wanted.sites:
        problem = "its site was not asked for"
    elif wanted.regions and not any(is_in(target.region, region) for region in wanted.regions):
        problem = "its region was not asked for"
    elif wanted.form and target.forms and wanted.form not in target.forms:
        problem = "it does not run what the work comes as"
    elif any(target.labels.get(name) != value for name, value in wanted.labels.items()):
        problem = "it lacks a label"
    elif wanted.network_class and target.labels.get(NETWORK_CLASS_LABEL) != wanted.network_class:
        problem = "it is of another network class"
    elif piece.is_bound and (source.site, source.cluster) != (target.site, target.cluster):
        problem = "it is another cluster"
    elif sorted(s.milli for s in shares) != sorted(s.milli for s in piece.devices):
        problem = "it would hold another amount"
    by_index = {device.index: device for device in target.devices}
    for share in shares:
        problem = problem or _unsuitable(piece, by_index[share.index], share)
    if problem:
        raise ValueError(f"{piece.id} may not go to {target.name}: {problem}.")


def _unsuitable(piece: Piece, device: DeviceFree, share: DeviceShare) -> str:
    wanted = piece.request
    if not device.is_healthy:
        return f"device {device.index} is not healthy"
    if device.flavor != piece.flavor or (wanted.models and device.model not in wanted.models):
        return f"device {device.index} is of another kind"
    if wanted.modes and device.mode not in wanted.modes:
        return f"device {device.index} is handed out in another way"
    if wanted.vendors and device.vendor not in wanted.vendors:
        return f"device {device.index} is of another vendor"
    if step_up(wanted.milli, device.step_milli) != share.milli or (share.milli < 1000 and not device.can_share):
        return f"device {device.index} is not handed out in such parts"
    if share.memory_mib < wanted.device_memory_mib:
        return f"device {device.index} has too little memory"
    return ""


def _changed(node: NodeFree, piece: Piece, shares: tuple[DeviceShare, ...], sign: int) -> NodeFree:
    """With the piece taken off (1) or on (-1)."""
    held = {share.index: share for share in shares}
    devices = tuple(
        replace(
            device,
            free_milli=device.free_milli + sign * held[device.index].milli,
            free_memory_mib=device.free_memory_mib + sign * held[device.index].memory_mib,
            held_shares=device.held_shares - sign,
        )
        if device.index in held
        else device
        for device in node.devices
    )
    cpu, memory = node.cpu_milli + sign * piece.request.cpu_milli, node.memory_mib + sign * piece.request.memory_mib
    for device in devices:
        is_crowded = sign < 0 and 0 < device.most_shares < device.held_shares
        if device.index in held and (device.free_milli < 0 or device.free_memory_mib < 0 or is_crowded):
            raise ValueError(f"{piece.id} does not fit on device {device.index} of {node.name}.")
    if cpu < 0 or memory < 0:
        raise ValueError(f"{piece.id} does not fit on {node.name}: cores or memory are short.")
    return replace(node, cpu_milli=cpu, memory_mib=memory, devices=devices)
