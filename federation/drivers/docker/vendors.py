"""How each vendor's cards are given to a container. Data: a new vendor is a new row.

Best is CDI: the vendor's own file at the host says what a card needs. Then what the vendor's runtime reads from the
environment, and last the bare device files.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from federation.drivers.base import Rejected
from federation.drivers.docker.ways import Declared


@dataclass(frozen=True, slots=True)
class Vendor:
    variable: str  # that names what a container may see
    by_index: bool = False  # by number rather than by uuid
    runtime: str = ""  # an OCI runtime of the vendor's that reads the variable
    paths: tuple[str, ...] = ()  # device files of one card; {index} is its number
    shared_paths: tuple[str, ...] = ()  # and those that all its cards need
    requests: bool = False  # the engine itself knows it: DeviceRequests with capability gpu


# Sources: NVIDIA container toolkit; ROCm container guide (devices) and amd-container-toolkit; Ascend Docker Runtime
# guide; Cambricon container guide; MT container toolkit; Kunlunxin device plugin.
VENDORS: Mapping[str, Vendor] = {
    "nvidia": Vendor("NVIDIA_VISIBLE_DEVICES", runtime="nvidia", requests=True),
    "amd": Vendor("AMD_VISIBLE_DEVICES", by_index=True, runtime="amd", shared_paths=("/dev/kfd",)),
    "ascend": Vendor(
        "ASCEND_VISIBLE_DEVICES", by_index=True, runtime="ascend", paths=("/dev/davinci{index}",),
        shared_paths=("/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc"),
    ),
    "cambricon": Vendor(
        "CAMBRICON_VISIBLE_DEVICES", by_index=True, paths=("/dev/cambricon_dev{index}",),
        shared_paths=("/dev/cambricon_ctl",),
    ),
    "moore-threads": Vendor("MTHREADS_VISIBLE_DEVICES", by_index=True, runtime="mthreads"),
    "kunlunxin": Vendor(
        "XPU_VISIBLE_DEVICES", by_index=True, paths=("/dev/xpu{index}",), shared_paths=("/dev/xpuctrl",),
    ),
}  # fmt: skip


@dataclass(slots=True)
class Handing:
    """What a container gets so that it sees its cards and no others."""

    env: dict[str, str] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    runtime: str = ""


def handing(cards: Sequence[Declared], by: str, runtimes: Iterable[str] = (), cdi_names: Iterable[str] = ()) -> Handing:
    """Raises Rejected when this host has no way to hand out one of them."""
    found = Handing()
    discovered, known_runtimes = set(cdi_names), set(runtimes)
    for vendor in sorted({card.vendor for card in cards}):
        mine = [card for card in cards if card.vendor == vendor]
        row = VENDORS.get(vendor)
        if row is not None:
            found.env[row.variable] = ",".join(str(card.index) if row.by_index else card.uuid for card in mine)
        if by == "env":
            continue
        names = [card.cdi or _cdi_name(card, discovered) for card in mine]
        if by in ("auto", "cdi") and all(names):
            found.requests.append({"Driver": "cdi", "DeviceIDs": names})
        elif by in ("auto", "paths") and all(card.paths for card in mine):
            found.paths += [path for card in mine for path in card.paths]
            found.paths += row.shared_paths if row else ()
        elif row and row.runtime and (by == "runtime" or (by == "auto" and row.runtime in known_runtimes)):
            found.runtime = row.runtime
        elif row and row.requests and by in ("auto", "requests"):
            found.requests.append(
                {"Driver": vendor, "DeviceIDs": [card.uuid for card in mine], "Capabilities": [["gpu"]]}
            )
        elif row and row.paths and by in ("auto", "paths"):
            found.paths += [path.format(index=card.index) for card in mine for path in row.paths]
            found.paths += row.shared_paths
        else:
            raise Rejected("NotHandedOut", f"This host has no way to give cards of {vendor} to a container ({by}).")
    found.paths = list(dict.fromkeys(found.paths))
    return found


def _cdi_name(card: Declared, discovered: set[str]) -> str:
    """By its uuid, which names exactly this card; a number does so only where no other card has it."""
    for name in sorted(discovered):
        kind, _, device = name.partition("=")
        if device == card.uuid and _is_of(kind, card.vendor):
            return name
    return ""


def _is_of(kind: str, vendor: str) -> bool:
    return kind.startswith(f"{vendor}.com/") or kind.partition("/")[0] in _CDI_DOMAINS.get(vendor, ())


_CDI_DOMAINS: Mapping[str, tuple[str, ...]] = {"ascend": ("huawei.com",), "moore-threads": ("mthreads.com",)}


def held_by(env: Iterable[str], requests: Iterable[Mapping[str, Any]], paths: Iterable[str], card: Declared) -> bool:
    """Whether a container that is not ours has this card, as far as its settings say."""
    row = VENDORS.get(card.vendor)
    names = {card.uuid, str(card.index)}
    variables = dict(word.partition("=")[::2] for word in env)
    if row is not None:
        seen = variables.get(row.variable, "")
        # An image may carry "all" where no vendor's runtime reads it; it is counted as held all the same.
        if seen == "all" or names & {word.strip() for word in seen.split(",")}:
            return True
    for request in requests:
        ids = [str(one) for one in request.get("DeviceIDs") or ()]
        if request.get("Driver") == "cdi":
            if card.cdi in ids or any(
                _is_of(one.partition("=")[0], card.vendor) and one.partition("=")[2] in names | {"all"} for one in ids
            ):
                return True
        elif card.vendor == "nvidia" and any("gpu" in each for each in request.get("Capabilities") or ()):
            count = int(request.get("Count") or 0)
            # So many of any: the engine takes them from the first on.
            if names & set(ids) or count == -1 or card.index < count:
                return True
    mine = set(card.paths) | {path.format(index=card.index) for path in (row.paths if row else ())}
    return bool(mine & set(paths))
