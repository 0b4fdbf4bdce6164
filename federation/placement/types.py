"""The placement engine's values: a frozen fleet, requests, and what came of each.

Compute is in 1/1000 of a device, memory in MiB, CPU in 1/1000 of a core. No database, no Django.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from federation.accelerators.catalogue import EXCLUSIVE
from federation.placement.terms import NO_TERMS, SITE, Terms

_NO_LABELS: Mapping[str, str] = MappingProxyType({})
CPU_FLAVOR = "cpu"  # what quota counts work without accelerators as, in 1/1000 of a core


@dataclass(frozen=True, slots=True)
class DeviceFree:
    index: int
    flavor: str  # what quota counts it as
    model: str
    vendor: str
    free_milli: int
    free_memory_mib: int
    memory_mib: int
    is_healthy: bool = True
    can_share: bool = False  # a fraction of it may be handed out
    step_milli: int = 1  # a fraction is rounded up to a multiple of this
    most_shares: int = 0  # holders at one time at most; 0: as many as fit
    held_shares: int = 0  # of those, there now
    mode: str = EXCLUSIVE  # how its site hands it out


@dataclass(frozen=True, slots=True)
class NodeFree:
    id: str
    name: str
    cluster: str
    site: str
    cpu_milli: int  # free
    memory_mib: int  # free
    devices: tuple[DeviceFree, ...] = ()
    rack: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    is_open: bool = True  # takes new work (ready, not drained, its cluster answers)
    closed_reason: str = ""
    total_cpu_milli: int = 0  # of the empty node, to tell "never fits" from "has to wait"; 0: unknown, may be any
    total_memory_mib: int = 0
    price: float = 0.0  # of power there, in any one currency
    carbon: float = 0.0  # grams of CO2 for a kWh there
    region: str = ""  # of its site
    network: str = ""  # nodes of a site with the same one reach each other over it
    forms: frozenset[str] = frozenset()  # what it runs: processes, containers, ...; empty: anything


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """What policies know of a site. `load` is its measured share in use, from 0 to 1; what its nodes show counts
    when that is more."""

    weight: float = 1.0
    load: float = 0.0


@dataclass(frozen=True, slots=True)
class Fleet:
    nodes: tuple[NodeFree, ...]
    sites: Mapping[str, SiteFacts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """One workload: `replicas` equal members, each wanting `devices` devices on one node; all (see `min_replicas`)
    or nothing.

    `milli` below 1000 asks for a share of one device (`devices` is then 1), and gets the next step of that device
    that is no less. `models` empty means any model.
    `device_memory_mib` is the least memory of each device, or of the share; 0 for a share means in proportion.
    `flavors` maps each flavor the tenant has quota for to the amount (in 1/1000) it may still take there;
    None means quota does not limit this plan. What other requests of a plan take is the caller's to count down.
    """

    id: str
    cpu_milli: int
    memory_mib: int
    devices: int = 0
    milli: int = 1000
    device_memory_mib: int = 0
    models: frozenset[str] = frozenset()
    vendors: frozenset[str] = frozenset()
    sites: frozenset[str] = frozenset()
    flavors: Mapping[str, int] | None = None
    replicas: int = 1
    min_replicas: int = 0  # of a gang: as many members as fit now, but no fewer than this; 0: all of them
    topology: str = SITE  # where members must be together, and
    spread: str = ""  # where no two may be; see terms.py
    network_class: str = ""  # of nodes; "" means any, as do empty modes, regions and labels
    modes: frozenset[str] = frozenset()  # how a device is handed out
    regions: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=lambda: _NO_LABELS)  # that a node must have, all of them
    prefer: str = ""  # what comes before what the policy prefers: money or energy
    form: str = ""  # what the work comes as; "" means that it does not matter
    deadline: float | None = None  # when it should be done, in seconds since 1970; changes nothing about where
    terms: Terms | None = field(init=False, compare=False, repr=False)  # of one member; None: no terms at all

    def __post_init__(self) -> None:
        # Most requests have none of these: whoever plans many of them looks at one thing, not at nine.
        is_plain = self.topology == SITE and not (
            self.network_class or self.modes or self.regions or self.labels or self.prefer or self.spread
            or self.min_replicas or self.form or self.deadline is not None
        )  # fmt: skip
        object.__setattr__(self, "terms", None if is_plain else self._terms())

    def _terms(self) -> Terms:
        wanted = (self.modes, self.regions, self.labels, self.network_class, self.prefer, self.form)
        if not any(wanted):
            return NO_TERMS
        labels = frozenset(self.labels.items())
        return Terms(self.modes, self.regions, labels, self.network_class, self.prefer, self.form)

    @property
    def wants_accelerators(self) -> bool:
        return self.devices > 0

    @property
    def least(self) -> int:
        """Members without which nothing is placed."""
        return self.min_replicas or self.replicas


@dataclass(frozen=True, slots=True)
class DeviceShare:
    index: int
    milli: int
    memory_mib: int


@dataclass(frozen=True, slots=True)
class MemberPlacement:
    node: str  # NodeFree.id
    flavor: str
    devices: tuple[DeviceShare, ...]

    @property
    def milli(self) -> int:
        """1/1000 of devices that it takes: what is asked, rounded up to the steps of the devices."""
        return sum(share.milli for share in self.devices)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that was scored, for the explanation. `parts` add up to the score; see parts.py for their names."""

    node: str
    score: float
    name: str = ""
    site: str = ""
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Placement:
    request: str
    members: tuple[MemberPlacement, ...]
    policy: str
    best: Sequence[Candidate] = ()  # the chosen node and the five next best, of the first member


@dataclass(frozen=True, slots=True)
class Miss:
    """The nearest miss for programs: what a node lacked, or for a gang what the place with most room lacked.

    Units: `devices`, `milli` (1/1000 of one), `mib`, `cpu-milli` (1/1000 of cores), `members`, `labels`; and where the
    filter does not count, the word of what is looked at, of which 1 is wanted and 0 there.
    """

    node: str  # NodeFree.id; "" when it is not about one node
    filter: str
    wanted: int
    has: int
    unit: str
    where: str = ""  # site, site/cluster, site/cluster/rack or site/network for members; else what is there instead


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request could not be placed now.

    `filters` counts, for each filter in order, how many nodes it removed. `is_final` tells "can never fit
    this fleet, even empty" from "has to wait".
    """

    request: str
    reason: str  # CamelCase: NoMatchingModel, NotEnoughFreeAccelerators, NotEnoughCpu, QuotaExhausted, ...
    message: str
    is_final: bool = False
    filters: Mapping[str, int] = field(default_factory=dict)
    nearest: str = ""  # the nearest miss, in plain words
    miss: Miss | None = None  # the same for programs, where a node came near


Outcome = Placement | Refusal
