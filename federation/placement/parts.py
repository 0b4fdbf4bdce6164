"""What a score is made of, by name: told after the fact, from the score and from what was added to it.

The loops keep one number for each node. Of what is in it all but the policy's own measure is known without them; and
packing's measure is whole points, of which 64 are a step of loss, so it comes apart by itself.
"""

from math import floor
from typing import NamedTuple

from federation.placement import modes
from federation.placement.policies import Policy
from federation.placement.types import Fleet

LOSS_POINTS = 64.0  # packing: a step of loss, which comes before all of fragmentation's points

# What a policy measures nodes by, and what it adds for the site.
_MEASURE = {
    modes.FGD: "fragmentation", modes.BEST_FIT: "fullness", modes.SPREAD: "emptiness", modes.DOT_PRODUCT: "alignment",
    modes.CLUSTERING: "clustering", modes.GPU_PACKING: "device-packing", modes.RANDOM: "chance",
}  # fmt: skip
_SITE = {
    modes.ROUND_ROBIN: "turn", modes.LEAST_LOADED: "waiting", modes.WEIGHTED: "fairness", modes.HASH: "hash",
}  # fmt: skip
NAMES = ("packing", "fullness", *_MEASURE.values(), *_SITE.values(), "shedding", "money", "energy", "preference")


class Scale(NamedTuple):
    """A policy before a fleet: what a unit of price and of carbon takes off, in points."""

    mode: int
    by_site: int
    sheds: bool
    price: float
    carbon: float

    @classmethod
    def of(cls, policy: Policy, fleet: Fleet) -> "Scale":
        price, carbon = policy.rates(fleet)
        return cls(policy.mode, policy.by_site, policy.shed > 0, price / modes.STEP, carbon / modes.STEP)

    def parts(self, score: float, site: float, shedding: float, price: float, carbon: float) -> dict[str, float]:
        """Points by name that add up to `score`. `site` and `shedding` are what was added for the node's site; `price`
        and `carbon` the node's."""
        found: dict[str, float] = {}
        if self.by_site != modes.NO_SITES:
            found[_SITE[self.by_site]] = site
        if self.sheds:
            found["shedding"] = shedding
        if self.price:
            found["money"] = -self.price * price
        if self.carbon:
            found["energy"] = -self.carbon * carbon
        rest = score - sum(found.values())
        if self.mode != modes.PACKING:
            return {_MEASURE[self.mode]: rest, **found}
        # Fullness is from 0 to half a point, fragmentation from -25 to 25.
        whole = floor(rest + 0.25)
        loss = LOSS_POINTS * floor((whole + LOSS_POINTS / 2) / LOSS_POINTS)
        return {"packing": loss, "fragmentation": whole - loss, "fullness": rest - whole, **found}
