"""The table of vendors: of one form, without contradictions, and told in docs/drivers.md as it is."""

import re
from pathlib import Path

import pytest

from federation.accelerators.catalogue import SLICING_MODES, all_records
from federation.drivers.kubernetes.hami import ALLOCATED
from federation.drivers.kubernetes.nodes import TOLERATED, is_tolerated
from federation.drivers.kubernetes.tokens import Role, token
from federation.drivers.kubernetes.vendors import BY_DOMAIN, VENDORS, Hami, Vendor

DOCS = Path(__file__).parents[3] / "docs" / "drivers.md"


def readable(pattern: str) -> str:
    """A pattern as people read it: `nvidia.com/mig-<size>g.<gib>gb`."""
    text = re.sub(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)", r"<\1>", pattern)
    text = re.sub(r"\((?:\?:)?[^()]*\)\??", lambda m: "" if m[0].endswith("?") or r"\..*" in m[0] else m[0], text)
    text = text.replace(r"(\..*)?", "").replace(r"\d+", "N").replace(r"\d", "N").replace("(-x\\w+)", "")
    return text.replace("\\", "").replace(".*", "*").replace("|", "\\|")


def cell(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in dict.fromkeys(names)) or "–"


def row(vendor: Vendor) -> str:
    registers = [
        hami.register.replace("{}", "…") for hami in vendor.hami if hami.register
    ]  # fmt: skip
    return "| " + " | ".join([
        vendor.name,
        cell([readable(card.name) for card in vendor.cards]),
        cell([s.name for s in vendor.shares] + [a.cores for a in vendor.amounts]),
        cell([readable(part.name) for part in vendor.parts]),
        cell([*vendor.product, *vendor.memory, *vendor.count, *vendor.layout]),
        cell(registers),
        cell([dra.driver for dra in vendor.dra]),
        vendor.source,
    ]) + " |"  # fmt: skip


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
def test_the_documentation_has_the_table(vendor: Vendor) -> None:
    assert row(vendor) in DOCS.read_text(encoding="utf-8"), f"docs/drivers.md lacks this line:\n{row(vendor)}"


def test_every_vendor_of_the_catalogue_is_there() -> None:
    known = {record.vendor for record in all_records()} - {"undisclosed"}
    assert {vendor.name for vendor in VENDORS} == known


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
def test_a_row_makes_sense(vendor: Vendor) -> None:
    assert vendor.source
    assert vendor.cards
    assert vendor.visible.endswith("_VISIBLE_DEVICES")
    modes = [c.mode for c in vendor.cards] + [h.mode for h in vendor.hami] + [d.mode for d in vendor.dra if d.mode]
    assert set(modes) <= set(SLICING_MODES)
    for share in vendor.shares:
        assert token(share.name).role is Role.SHARE, share.name
    for amount in vendor.amounts:
        assert token(amount.cores).role is Role.CORES, amount.cores
        assert token(amount.memory).role is Role.BESIDE, amount.memory
    for part in vendor.parts:
        assert part.whole or part.per_card or "gib" in part.name, "nothing would say how many make a card"
    for name in [h.resource for h in vendor.hami if h.resource and "{}" not in h.resource]:
        assert token(name).vendor == vendor.name


def every_hami() -> list[tuple[str, Hami]]:
    return [(vendor.name, hami) for vendor in VENDORS for hami in vendor.hami]


def test_annotations_of_hami_belong_to_one_row_each() -> None:
    for kind in ("register", "allocated"):
        keys = [getattr(h, kind).format(w) for _, h in every_hami() for w in h.words if getattr(h, kind)]
        assert len(keys) == len(set(keys))
    assert ALLOCATED["hami.io/vgpu-devices-allocated"] == "nvidia"
    assert ALLOCATED["hami.io/Ascend910B3-devices-allocated"] == "ascend"


def test_domains_and_drivers_belong_to_one_vendor_each() -> None:
    domains = [domain for vendor in VENDORS for domain in vendor.domains]
    drivers = [dra.driver for vendor in VENDORS for dra in vendor.dra]
    assert len(set(domains)) == len(domains) == len(BY_DOMAIN)
    assert len(set(drivers)) == len(drivers)


@pytest.mark.parametrize(
    ("resource", "role", "model", "sizes"),
    [
        ("nvidia.com/gpu", Role.CARD, "", {}), ("nvidia.com/mig-1g.10gb", Role.PART, "", {"size": "1", "gib": "10"}),
        ("nvidia.com/mig-1g.5gb.me", Role.PART, "", {"size": "1", "gib": "5"}), ("amd.com/cpx_nps4", Role.PART, "", {}),
        ("huawei.com/Ascend910B4-1", Role.CARD, "Ascend910B4-1", {}), ("huawei.com/npu", Role.CARD, "", {}),
        ("huawei.com/Ascend910-16c", Role.PART, "Ascend910", {"size": "16"}),
        ("huawei.com/Ascend310P-4c.3cpu", Role.PART, "Ascend310P", {"size": "4"}),
        ("cambricon.com/mlu370", Role.CARD, "mlu370", {}), ("cambricon.com/mlu370-x8", Role.CARD, "mlu370-x8", {}),
        ("cambricon.com/mlu370.mim-2m.8gb", Role.PART, "mlu370", {"size": "2", "gib": "8"}),
        ("hygon.com/dcu-mig-2g-15gb", Role.PART, "", {"size": "2", "gib": "15"}),
        ("hygon.com/dcu-share-30c-16g", Role.BESIDE, "", {}), ("hygon.com/hcu", Role.CARD, "", {}),
        ("iluvatar.ai/BI-V150-vgpu", Role.SHARE, "", {}), ("kunlunxin.com/vxpu-memory", Role.BESIDE, "", {}),
        ("cpu", Role.NOTHING, "", {}), ("requests.nvidia.com/gpu", Role.NOTHING, "", {}),
        ("acme.com/", Role.NOTHING, "", {}),
    ],
)  # fmt: skip
def test_names_of_resources(resource: str, role: Role, model: str, sizes: dict[str, str]) -> None:
    found = token(resource)
    assert (found.role, found.model, dict(found.sizes)) == (role, model, sizes)


def test_taints_by_the_name_of_a_card_are_tolerated() -> None:
    for vendor in VENDORS:
        cards = [re.sub(r"\((\w+)\|\w+\)", r"\1", card.name).replace("\\", "") for card in vendor.cards]
        assert TOLERATED & set(cards), f"{vendor.name}: none of {cards}"
    assert not is_tolerated({"key": "nvidia.com/gpu.deploy", "effect": "NoSchedule"})
    assert is_tolerated({"key": "anything", "effect": "PreferNoSchedule"})
