"""How nodes that can take a member are compared, by name: what a pool chooses from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from federation.placement import modes
from federation.placement.types import Fleet, NodeFree

_POINTS = 1000 * modes.STEP  # about what packing takes off for the loss of a whole device
_FIRST = 1000  # a weight that nothing else comes near: the rest decides between equals


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

    @property
    def needs_mix(self) -> bool:
        return self.mode in (modes.FGD, modes.PACKING)

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
        dearest = max((node.price for node in fleet.nodes), default=0.0) or 1.0
        dirtiest = max((node.carbon for node in fleet.nodes), default=0.0) or 1.0

        def merit(node: NodeFree) -> float:
            return -_POINTS * (self.money * node.price / dearest + self.energy * node.carbon / dirtiest)

        return [merit(node) for node in fleet.nodes]


DEFAULT = "packing"
_PACKING = Policy(DEFAULT, modes.PACKING, modes.LEAST_WASTE)

POLICIES: Mapping[str, Policy] = {
    policy.name: policy
    for policy in (
        _PACKING,
        Policy("fgd", modes.FGD, modes.LEAST_WASTE),
        Policy("best-fit", modes.BEST_FIT, modes.TIGHTEST),
        Policy("spread", modes.SPREAD, modes.EMPTIEST),
        Policy("random", modes.RANDOM, modes.ANY),
        Policy("dotprod", modes.DOT_PRODUCT, modes.TIGHTEST),
        Policy("gpu-clustering", modes.CLUSTERING, modes.TIGHTEST),
        Policy("gpu-packing", modes.GPU_PACKING, modes.TIGHTEST),
        replace(_PACKING, name="round-robin", by_site=modes.ROUND_ROBIN, site_weight=_FIRST),
        replace(_PACKING, name="least-loaded", by_site=modes.LEAST_LOADED, site_weight=_FIRST),
        replace(_PACKING, name="weighted", by_site=modes.WEIGHTED, site_weight=_FIRST),
        replace(_PACKING, name="hash", by_site=modes.HASH, site_weight=_FIRST),
        replace(_PACKING, name="cheapest", money=_FIRST),
        replace(_PACKING, name="greenest", energy=_FIRST),
    )
}

OBJECTIVES = ("utilisation", "waiting", "fairness", "money", "energy")


def named(name: str) -> Policy:
    """The policy of a name, or a combination: `utilisation:1+money:0.5`, each objective with its weight.

    Utilisation is packing, waiting the less loaded site, fairness the site furthest below its weight (of waiting and
    fairness one), money the price and energy the carbon of a node. Raises ValueError for what there is not.
    """
    if name in POLICIES:
        return POLICIES[name]
    if ":" not in name:
        raise ValueError(f"No placement policy is called {name!r}; there are {', '.join(POLICIES)}.")
    weights: dict[str, float] = {}
    for part in name.split("+"):
        objective, _, weight = part.partition(":")
        try:
            weights[objective.strip()] = float(weight)
        except ValueError:
            raise ValueError(f"{weight!r} is not the weight of an objective.") from None
    return combined(weights, name)


def combined(weights: Mapping[str, float], name: str = "") -> Policy:
    """Several objectives at once, each with a weight from 0 up; see `named`."""
    if unknown := sorted(set(weights) - set(OBJECTIVES)):
        raise ValueError(f"No objective is called {unknown[0]!r}; there are {', '.join(OBJECTIVES)}.")
    if any(not 0 <= weight <= _FIRST for weight in weights.values()) or not any(weights.values()):
        raise ValueError(f"Weights are from 0 to {_FIRST}, and not all 0.")
    waiting, fairness = weights.get("waiting", 0.0), weights.get("fairness", 0.0)
    if waiting and fairness:
        raise ValueError("Of waiting and fairness one: both choose the site.")
    # All is relative to utilisation; where it has no weight, packing still decides between equals.
    unit = weights.get("utilisation", 0.0) or 1.0 / _FIRST
    return replace(
        _PACKING,
        name=name or "+".join(f"{key}:{weight:g}" for key, weight in weights.items()),
        by_site=modes.LEAST_LOADED if waiting else modes.WEIGHTED if fairness else modes.NO_SITES,
        site_weight=(waiting or fairness) / unit,
        money=weights.get("money", 0.0) / unit,
        energy=weights.get("energy", 0.0) / unit,
    )
