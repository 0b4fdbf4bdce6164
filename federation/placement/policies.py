"""How nodes that can take a member are compared, by name: what a pool chooses from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from federation.placement import modes
from federation.placement.types import Fleet

_POINTS = 1000 * modes.STEP  # about what packing takes off for the loss of a whole device
MOST_WEIGHT = 1000  # nothing else comes near it: the rest decides between equals
_MOST = 4000.0  # of all weights of a policy, in devices: much more is not told from a node that does not fit


@dataclass(frozen=True, slots=True)
class Policy:
    """A score of nodes (`mode`), which device takes a share (`device`), and what is added to it.

    The weights are in devices lost: `site_weight` for the worst site, `money` and `energy` for the dearest node and the
    one with the dirtiest power, others in proportion; `shed` for each load of 1 that a site has above 80 %.
    """

    name: str
    mode: int
    device: int
    by_site: int = modes.NO_SITES
    site_weight: float = 0.0
    money: float = 0.0
    energy: float = 0.0
    shed: float = 0.0
    title: str = ""
    description: str = ""

    @property
    def needs_mix(self) -> bool:
        return self.mode in (modes.FGD, modes.PACKING)

    @property
    def needs_sites(self) -> bool:
        """Whether weights and measured loads of sites make a difference."""
        return self.shed > 0 or self.by_site in (modes.LEAST_LOADED, modes.WEIGHTED)

    @property
    def objectives(self) -> tuple[str, ...]:
        """Which of OBJECTIVES it weighs."""
        weighs = {
            "utilisation": self.mode not in (modes.SPREAD, modes.RANDOM),
            "waiting": self.by_site == modes.LEAST_LOADED,
            "fairness": self.by_site == modes.WEIGHTED,
            "shedding": self.shed > 0,
            "money": self.money > 0,
            "energy": self.energy > 0,
        }
        return tuple(name for name in OBJECTIVES if weighs[name])

    @property
    def site_scale(self) -> float:
        return self.site_weight * _POINTS

    @property
    def shed_scale(self) -> float:
        return self.shed * _POINTS

    def merits(self, fleet: Fleet) -> list[float] | None:
        """What each node is worth whatever is on it; None when all are worth the same."""
        if not self.money and not self.energy:
            return None
        price, carbon = self.rates(fleet)
        return [-(price * node.price + carbon * node.carbon) for node in fleet.nodes]

    def rates(self, fleet: Fleet) -> tuple[float, float]:
        """What a unit of price, and of carbon, takes off a score."""
        return (
            _POINTS * self.money / (max((node.price for node in fleet.nodes), default=0.0) or 1.0),
            _POINTS * self.energy / (max((node.carbon for node in fleet.nodes), default=0.0) or 1.0),
        )


DEFAULT = "packing"
_PACKING = Policy(DEFAULT, modes.PACKING, modes.LEAST_WASTE)


def _then_packing(
    name: str, title: str, what: str, by_site: int = modes.NO_SITES, money: float = 0.0, energy: float = 0.0,
    shed: float = 0.0,
) -> Policy:  # fmt: skip
    return replace(
        _PACKING, name=name, title=title, description=f"{what} Then packing.", by_site=by_site, money=money,
        site_weight=0.0 if by_site == modes.NO_SITES else MOST_WEIGHT, energy=energy, shed=shed,
    )  # fmt: skip


POLICIES: Mapping[str, Policy] = {
    policy.name: policy
    for policy in (
        replace(_PACKING, title="Packing", description="Leaves the gaps that are worth most to what is likely asked."),
        Policy("fgd", modes.FGD, modes.LEAST_WASTE, title="Least fragmentation",
               description="The steepest fall of fragmentation (Weng et al., USENIX ATC '23)."),
        Policy("best-fit", modes.BEST_FIT, modes.TIGHTEST, title="Best fit",
               description="The node with the least CPU and devices left."),
        Policy("spread", modes.SPREAD, modes.EMPTIEST, title="Spread", description="The emptiest node and device."),
        Policy("random", modes.RANDOM, modes.ANY, title="Random",
               description="Any node that fits, each as likely: a baseline to compare with."),
        Policy("dotprod", modes.DOT_PRODUCT, modes.TIGHTEST, title="Dot product",
               description="The node whose free amounts point where the request does: a baseline."),
        Policy("gpu-clustering", modes.CLUSTERING, modes.TIGHTEST, title="Clustering",
               description="Requests of one size together: a baseline."),
        Policy("gpu-packing", modes.GPU_PACKING, modes.TIGHTEST, title="Device packing",
               description="Devices in use first, then nodes in use, then free nodes: a baseline."),
        _then_packing("round-robin", "Sites in turn", "The site that got work longest ago.",
                      by_site=modes.ROUND_ROBIN),
        _then_packing("least-loaded", "Least loaded site", "The site with the lowest live load.",
                      by_site=modes.LEAST_LOADED),
        _then_packing("weighted", "Sites by weight", "The site furthest below its weight.",
                      by_site=modes.WEIGHTED),
        _then_packing("hash", "Sites by hash", "The site that a hash of the request picks.",
                      by_site=modes.HASH),
        _then_packing("shedding", "Away from hot sites", "Sites above 80 % load last, the hottest at the very end.",
                      shed=MOST_WEIGHT),
        _then_packing("cheapest", "Cheapest power", "The lowest price of power.", money=MOST_WEIGHT),
        _then_packing("greenest", "Cleanest power", "The least carbon for a kWh.", energy=MOST_WEIGHT),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Objective:
    """What a combination can weigh."""

    name: str
    title: str
    description: str


OBJECTIVES: Mapping[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective("utilisation", "Utilisation", "Packing: the gaps that are left are worth most to what is asked."),
        Objective("waiting", "Waiting", "The site with the lower live load. Not together with fairness."),
        Objective("fairness", "Fairness", "The site furthest below its weight. Not together with waiting."),
        Objective("shedding", "Shedding", "Sites above 80 % load give new work to cooler ones."),
        Objective("money", "Money", "The lower price of power."),
        Objective("energy", "Energy", "The less carbon for a kWh."),
    )
}
EXAMPLE = "utilisation:1+money:0.5"


def named(name: str) -> Policy:
    """The policy of a name, or a combination: `utilisation:1+money:0.5`, objectives each once and with its weight.

    Raises ValueError for what there is not, in words for who wrote it.
    """
    if name in POLICIES:
        return POLICIES[name]
    if ":" not in name:
        raise ValueError(
            f"No placement policy is called {name!r}; there are {', '.join(POLICIES)}, and combinations like {EXAMPLE}."
        )
    weights: dict[str, float] = {}
    for part in name.split("+"):
        objective, _, weight = (piece.strip() for piece in part.partition(":"))
        if objective in weights:
            raise ValueError(f"{objective!r} is there twice; each objective has one weight.")
        try:
            weights[objective] = float(weight)
        except ValueError:
            raise ValueError(f"{weight!r} is not the weight of an objective; write it as {EXAMPLE}.") from None
    return combined(weights, name)


def combined(weights: Mapping[str, float], name: str = "") -> Policy:
    """Several objectives at once, each with a weight from 0 up; see `named`."""
    if unknown := sorted(set(weights) - set(OBJECTIVES)):
        raise ValueError(f"No objective is called {unknown[0]!r}; there are {', '.join(OBJECTIVES)}.")
    if any(not 0 <= weight <= MOST_WEIGHT for weight in weights.values()) or not any(weights.values()):
        raise ValueError(f"Weights are from 0 to {MOST_WEIGHT}, and not all 0.")
    waiting, fairness = weights.get("waiting", 0.0), weights.get("fairness", 0.0)
    if waiting and fairness:
        raise ValueError("Of waiting and fairness one: both choose the site.")
    others = {name: weight for name, weight in weights.items() if name != "utilisation"}
    # All is relative to utilisation; where it has no weight, packing still decides between equals.
    unit = max(weights.get("utilisation", 0.0) or 1.0 / MOST_WEIGHT, sum(others.values()) / _MOST)
    return replace(
        _PACKING,
        name=name or "+".join(f"{key}:{weight:g}" for key, weight in weights.items()),
        by_site=modes.LEAST_LOADED if waiting else modes.WEIGHTED if fairness else modes.NO_SITES,
        site_weight=(waiting or fairness) / unit,
        money=weights.get("money", 0.0) / unit,
        energy=weights.get("energy", 0.0) / unit,
        shed=weights.get("shedding", 0.0) / unit,
    )
