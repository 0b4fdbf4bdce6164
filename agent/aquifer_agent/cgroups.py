"""Which limits this machine lets us set: a cgroup v2 or v1 tree of our own where we may have one, else rlimits."""

import errno
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from aquifer_agent.limits import Group, LimitKind, remove_directory, write_optional

_LEAF = "aquifer-agent"  # where the agent itself moves, since a v2 group with children may hold no process


@dataclass(frozen=True, slots=True)
class Limits:
    kind: LimitKind
    parents: tuple[Path, ...] = ()  # groups of runs are made below these

    def group(self, ref: str) -> Group:
        """The one of a run, not yet made."""
        return Group(self.kind, tuple(str(parent / ref) for parent in self.parents))

    def close(self) -> None:
        """Take our parent groups away if no run is left in them."""
        for parent in self.parents:
            remove_directory(parent)


def detect(wanted: str, state_dir: Path) -> Limits:
    """The best kind that works here; `wanted` other than auto names one. Raises OSError if that one does not."""
    name = group_name(state_dir)
    why = ""
    for kind, attempt in ((LimitKind.CGROUP2, _cgroup2), (LimitKind.CGROUP1, _cgroup1)):
        if wanted in ("auto", kind):
            try:
                return Limits(kind, attempt(name))
            except OSError as error:
                why = str(error)
    if wanted in ("auto", LimitKind.RLIMIT):
        return Limits(LimitKind.RLIMIT)
    raise OSError(f"limits of kind {wanted} cannot be had here: {why}")


def group_name(state_dir: Path) -> str:
    """One per state directory, so that two agents of a machine do not meet."""
    return "aquifer-" + hashlib.sha256(str(state_dir).encode()).hexdigest()[:12]


def own_memory_bytes() -> int:
    """What the group we run in may use: in a container that is less than the machine has."""
    own = _own_groups()
    for kind, controller, file in (("cgroup2", "", "memory.max"), ("cgroup", "memory", "memory.limit_in_bytes")):
        for mount, root, options in _mounts(kind):
            if controller and controller not in options:
                continue
            try:
                text = (_below(mount, root, own.get(controller, "/")) / file).read_text().strip()
            except OSError:
                continue
            if text.isdigit():
                return int(text)
    return 1 << 62


def _mounts(kind: str) -> list[tuple[Path, str, set[str]]]:
    """(mount point, root within the hierarchy, options) of every mount of this file system type."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        field, more = before.split(), after.split()
        if more[0] == kind:
            found.append((Path(field[4]), field[3], set(more[-1].split(","))))
    return found


def _own_groups() -> dict[str, str]:
    """Our own group by controller; the key of the v2 hierarchy is empty."""
    groups = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            groups[controller] = path
    return groups


def _below(mount: Path, root: str, own: str) -> Path:
    """Where our own group shows under a mount that may show only a part of the hierarchy."""
    relative = own.removeprefix(root) if root != "/" else own
    return mount / relative.lstrip("/")


def _cgroup2(name: str) -> tuple[Path, ...]:
    own = _own_groups().get("")
    mounts = _mounts("cgroup2")
    if own is None or not mounts:
        raise FileNotFoundError(errno.ENOENT, "no cgroup v2 is mounted")
    mount, root, _ = mounts[0]
    base = _below(mount, root, own)
    candidates = [base.parent if base.name == _LEAF else base]
    if os.geteuid() == 0:
        candidates.append(mount)  # the top group is free of the no-inner-process rule
    refused: OSError = FileNotFoundError(errno.ENOENT, "no memory controller in the cgroup v2 hierarchy")
    for candidate in candidates:
        try:
            if "memory" in (candidate / "cgroup.controllers").read_text().split():
                return (_open_cgroup2(candidate, name),)
        except OSError as error:
            refused = error
    raise refused


def _open_cgroup2(base: Path, name: str) -> Path:
    try:
        _enable(base)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        (base / _LEAF).mkdir(exist_ok=True)
        (base / _LEAF / "cgroup.procs").write_text("0")
        try:
            _enable(base)
        except OSError:
            (base / "cgroup.procs").write_text("0")
            remove_directory(base / _LEAF)
            raise
    parent = base / name
    parent.mkdir(exist_ok=True)
    _enable(parent)
    _try_out(parent, "memory.max")
    return parent


def _enable(group: Path) -> None:
    control = group / "cgroup.subtree_control"
    control.write_text("+memory")
    for controller in ("+cpu", "+pids"):
        write_optional(control, controller)


def _cgroup1(name: str) -> tuple[Path, ...]:
    own = _own_groups()
    parents: list[Path] = []
    for controller, needed in (("memory", True), ("cpu", False), ("pids", False)):
        try:
            mount, root = next((mount, root) for mount, root, options in _mounts("cgroup") if controller in options)
            parent = _below(mount, root, own.get(controller, "/")) / name
            parent.mkdir(exist_ok=True)
            if needed:
                _try_out(parent, "memory.limit_in_bytes")
        except (OSError, StopIteration) as error:
            if needed:
                raise OSError(errno.ENOENT, f"no usable cgroup v1 controller {controller}") from error
            continue
        if all(not parent.samefile(other) for other in parents):  # cpu and memory may be mounted as one
            parents.append(parent)
    return tuple(parents)


def _try_out(parent: Path, file: str) -> None:
    trial = parent / f".trial-{os.getpid()}"
    trial.mkdir()
    try:
        (trial / file).write_text(str(64 << 20))
    finally:
        trial.rmdir()
