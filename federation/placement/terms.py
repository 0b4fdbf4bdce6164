"""What a request may say about where it goes, beside amounts: the words, and which of them make sense.

Without numba and without Django: models, actions and the engine read the same words.
"""

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

from federation.accelerators.catalogue import SLICING_MODES

if TYPE_CHECKING:
    from federation.placement.types import Request

ANY, SITE, CLUSTER, RACK, NETWORK, NODE = "any", "site", "cluster", "rack", "network", "node"
TOPOLOGIES = (ANY, SITE, CLUSTER, RACK, NETWORK, NODE)  # where the members of a gang are together
SPREADS = ("", NODE, RACK, SITE)  # where no two members are
MONEY, ENERGY = "money", "energy"
PREFERENCES = ("", MONEY, ENERGY)

NETWORK_CLASS_LABEL = "aquifer.io/network-class"
NETWORK_LABELS = ("aquifer.io/network", "nvidia.com/gpu.clique")  # the first that a node has names its network

MOST_DEVICES, MOST_MEMBERS, MOST_LABELS = 1024, 100_000, 100
_MOST = 1 << 40  # of any amount

# A place holds whole places of these kinds, so no two of its members could be apart by them.
_WITHIN = {
    NODE: {NODE, RACK, SITE}, RACK: {RACK, SITE}, CLUSTER: {SITE}, NETWORK: {SITE}, SITE: {SITE}, ANY: set[str](),
}  # fmt: skip


class Terms(NamedTuple):
    """What one member wants beside amounts, models and sites. Empty ones do not count."""

    modes: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    labels: frozenset[tuple[str, str]] = frozenset()
    network_class: str = ""
    prefer: str = ""
    form: str = ""  # what the work comes as, see federation/forms.py


NO_TERMS = Terms()


def contradict(topology: str, spread: str) -> bool:
    """Must members be together where no two may be?"""
    return spread in _WITHIN[topology]


def is_in(region: str, wanted: str) -> bool:
    """Is a site's region the wanted one or, by its name, a part of it? CN-SH is in CN. Capitals do not matter."""
    there, asked = region.casefold(), wanted.casefold()
    return bool(asked) and (there == asked or there.startswith(f"{asked}-"))


def network_of(labels: Mapping[str, str]) -> str:
    """Which network a node with these labels is on; "" when they do not say."""
    return next((name for label in NETWORK_LABELS if (name := labels.get(label))), "")


def check(request: "Request") -> None:
    """Raises ValueError for a request that makes no sense: a mistake of the caller, not a refusal."""
    r = request
    amounts = (r.cpu_milli, r.memory_mib, r.device_memory_mib)
    is_right = (
        all(0 <= amount <= _MOST for amount in amounts)  # false of what is not a number, too
        and 0 <= r.devices <= MOST_DEVICES
        and 1 <= r.milli <= 1000
        and 1 <= r.replicas <= MOST_MEMBERS
    )
    if not is_right:
        raise ValueError(f"Request {r.id} asks for an amount that cannot be.")
    if r.milli < 1000 and r.devices > 1:
        raise ValueError(f"Request {r.id} asks for shares of several devices; a share is of one device.")
    if r.terms is not None:
        _check_terms(r)


def _check_terms(r: "Request") -> None:
    if not 0 <= r.min_replicas <= r.replicas:
        raise ValueError(f"Request {r.id} asks for at least {r.min_replicas} of {r.replicas} members.")
    if r.topology not in TOPOLOGIES or r.spread not in SPREADS:
        raise ValueError(f"Request {r.id} asks for a place that there is not: {r.topology!r}, {r.spread!r}.")
    if contradict(r.topology, r.spread):
        raise ValueError(f"Request {r.id} asks for members on one {r.topology}, and no two of them on one {r.spread}.")
    if unknown := sorted(set(r.modes) - set(SLICING_MODES)):
        raise ValueError(f"Request {r.id} asks for a mode that there is not: {unknown[0]!r}.")
    if r.prefer not in PREFERENCES:
        raise ValueError(f"Request {r.id} asks to prefer what cannot be preferred: {r.prefer!r}.")
    if not all(r.regions) or len(r.labels) > MOST_LABELS:
        raise ValueError(f"Request {r.id} asks for a region without a name, or for more than {MOST_LABELS} labels.")
    if r.deadline is not None and not isfinite(r.deadline):
        raise ValueError(f"Request {r.id} asks for an end at no time.")
