"""Parts are dealt out to cards as they could be, and the same way every time."""

import pytest

from federation.drivers.kubernetes.parts import deal, piece
from federation.drivers.kubernetes.tokens import token

CARD = 81920


def dealt(parts: dict[str, int], card_mib: int = CARD, at_least: int = 0) -> list[list[str]]:
    wanted = [(piece(name, token(name), 0, card_mib), count) for name, count in parts.items()]
    return [[made.resource.partition("-")[2] for made in card] for card in deal(wanted, card_mib, at_least)]


@pytest.mark.parametrize(
    ("parts", "at_least", "cards"),
    [
        ({"nvidia.com/mig-1g.10gb": 8}, 0, [["1g.10gb"] * 7, ["1g.10gb"]]),
        ({"nvidia.com/mig-1g.10gb": 8}, 4, [["1g.10gb"] * 2] * 4),
        ({"nvidia.com/mig-1g.20gb": 8}, 0, [["1g.20gb"] * 4] * 2),  # memory runs out before compute
        ({"nvidia.com/mig-3g.40gb": 3, "nvidia.com/mig-1g.10gb": 2}, 0,
         [["3g.40gb", "3g.40gb"], ["3g.40gb", "1g.10gb", "1g.10gb"]]),
        ({"nvidia.com/mig-7g.80gb": 2}, 1, [["7g.80gb"], ["7g.80gb"]]),
        ({}, 2, [[], []]),
    ],
)  # fmt: skip
def test_no_card_has_more_than_it_can_make(parts: dict[str, int], at_least: int, cards: list[list[str]]) -> None:
    assert dealt(parts, at_least=at_least) == cards


def test_names_of_parts_round_memory_up() -> None:
    assert dealt({"nvidia.com/mig-1g.12gb": 7}, card_mib=81559) == [["1g.12gb"] * 7]  # 84 of "80" GB


def test_a_part_of_unknown_size_fills_a_card() -> None:
    assert len(dealt({"cambricon.com/mlu370.mim-2m.8gb": 3}, card_mib=0)) == 3
    assert dealt({"cambricon.com/mlu370.mim-2m.8gb": 6}, card_mib=49152) == [["2m.8gb"] * 6]
