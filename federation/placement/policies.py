"""How nodes that can take a member are compared. A policy is a score (higher is better) and one preference."""

from collections.abc import Callable
from dataclasses import dataclass

from federation.placement.filters import Choice, Wish
from federation.placement.shapes import Shape

# CPU in 1/1000 core, as a fraction that decides only between equals: no node has 100,000 cores.
_CPU_TIE = 1e-8


@dataclass(frozen=True, slots=True)
class Policy:
    name: str
    score: Callable[[Wish, Shape, Choice], float]
    is_tight: bool  # a share goes on the fullest device that has room, not on the emptiest


def _best_fit(wish: Wish, shape: Shape, choice: Choice) -> float:
    """Minus what would be left on the node: 1/1000 of accelerators, then (after the point) CPU."""
    left = shape.free_milli - choice.milli
    return -left - (shape.cpu_milli - wish.cpu_milli) * _CPU_TIE


def _spread(wish: Wish, shape: Shape, choice: Choice) -> float:
    """The share (in 1/1000) of the node's accelerators that would stay free, then CPU; or CPU alone."""
    cpu_left = shape.cpu_milli - wish.cpu_milli
    if not wish.devices:
        return float(cpu_left)
    left = shape.free_milli - choice.milli
    return 1000 * left / shape.layout.whole_milli + cpu_left * _CPU_TIE


POLICIES = {
    policy.name: policy
    for policy in (
        Policy("best-fit", _best_fit, is_tight=True),
        Policy("spread", _spread, is_tight=False),
    )
}
