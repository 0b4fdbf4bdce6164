"""Cards out of the XML of node devices: recorded from a real host with QEMU's cards, and written by hand for others."""

from collections.abc import Sequence

import pytest

from federation.accelerators.catalogue import EXCLUSIVE, PASSTHROUGH, VGPU, lookup
from federation.drivers.kvm.cards import Address, cards_of, model_of, seen_of
from federation.drivers.kvm.pci import MODELS, VENDORS

HOST = "3f7f1c52-6a0e-4f0e-9a4e-6f1b7a4f0c11"


def device(
    bus: int,
    *,
    function: int = 0,
    slot: int = 0,
    code: str = "0x030200",
    vendor: str = "0x10de",
    product: str = "0x20b5",
    name: str = "GA100 [A100 PCIe 80GB]",
    serial: str = "",
    group: Sequence[tuple[int, int, int]] = (),
    extra: str = "",
) -> str:
    fields = f"<fields access='readonly'><serial_number>{serial}</serial_number></fields>"
    vpd = f"<capability type='vpd'>{fields}</capability>"
    members = group or [(bus, slot, function)]
    addresses = "".join(
        f"<address domain='0x0000' bus='0x{b:02x}' slot='0x{s:02x}' function='0x{f:x}'/>" for b, s, f in members
    )
    return f"""<device><name>pci_0000_{bus:02x}_{slot:02x}_{function}</name><parent>computer</parent>
      <driver><name>vfio-pci</name></driver><capability type='pci'><class>{code}</class>
      <domain>0</domain><bus>{bus}</bus>
      <slot>{slot}</slot><function>{function}</function><product id='{product}'>{name}</product>
      <vendor id='{vendor}'>Some Vendor</vendor>{vpd if serial else ""}{extra}
      <iommuGroup number='1'>{addresses}</iommuGroup><numa node='1'/></capability></device>"""


def mdev(uuid: str, bus: int, kind: str = "nvidia-474") -> str:
    return f"""<device><name>mdev_{uuid.replace("-", "_")}</name><parent>pci_0000_{bus:02x}_00_0</parent>
      <capability type='mdev'><type id='{kind}'/><uuid>{uuid}</uuid><iommuGroup number='3'/></capability></device>"""


TYPES = """<capability type='mdev_types'>
  <type id='nvidia-474'><name>GRID A100-20C</name><deviceAPI>vfio-pci</deviceAPI>
    <availableInstances>{free}</availableInstances></type>
  <type id='nvidia-475'><name>GRID A100-40C</name><deviceAPI>vfio-pci</deviceAPI>
    <availableInstances>1</availableInstances></type></capability>"""


def test_a_card_is_found_by_its_class_and_named_by_its_numbers() -> None:
    (card,) = cards_of([device(0x3B, serial="1325021035489")], HOST).cards
    assert (card.uuid, card.is_identified) == ("1325021035489", True)
    (seen,) = seen_of(cards_of([device(0x3B, serial="1325021035489")], HOST), frozenset())
    assert (seen.vendor, seen.model, seen.memory_mib, seen.numa) == ("nvidia", "A100-80G", 81920, 1)
    assert (seen.mode, seen.step_milli, seen.most_shares, seen.resource) == (PASSTHROUGH, 1000, 1, "0000:3b:00.0")


@pytest.mark.parametrize(
    ("code", "vendor", "product", "is_card"),
    [
        ("0x030000", "0x10de", "0x2236", True),
        ("0x030200", "0x10de", "0x20b5", True),
        ("0x038000", "0x1002", "0x74a1", True),
        ("0x120000", "0x19e5", "0xd802", True),
        ("0x030000", "0x1a03", "0x2000", False),  # the chip of a board's own console
        ("0x020000", "0x15b3", "0x101b", False),  # a network card
        ("0x060400", "0x8086", "0x2030", False),  # a bridge
    ],
)
def test_what_is_a_card(code: str, vendor: str, product: str, is_card: bool) -> None:
    found = cards_of([device(1, code=code, vendor=vendor, product=product)], HOST).cards
    assert bool(found) == is_card


def test_a_card_without_a_serial_number_is_known_by_its_place_and_not_taken_for_identified() -> None:
    for serial in ("", "0", "0000000000", "x" * 100, "<>"):
        text = device(1, serial=serial.replace("<", "&lt;"))
        (card,) = cards_of([text], HOST).cards
        assert (card.uuid, card.is_identified) == (f"{HOST}/0000:01:00.0", False)


def test_cards_that_say_the_same_serial_number_have_none() -> None:
    found = cards_of([device(1, serial="SAME-1"), device(2, serial="SAME-1")], HOST)
    assert [c.uuid for c in found.cards] == [f"{HOST}/0000:01:00.0", f"{HOST}/0000:02:00.0"]
    assert not any(c.is_identified for c in found.cards)
    assert "shares its serial number" in found.notes[0]


def test_the_sound_of_a_card_goes_where_the_card_goes() -> None:
    group = [(1, 0, 0), (1, 0, 1)]
    texts = [device(1, group=group), device(1, function=1, code="0x040300", product="0x1aef", group=group)]
    (card,) = cards_of(texts, HOST).cards
    assert card.siblings == (Address(0, 1, 0, 1),)
    assert card.strangers == ()


def test_what_the_iommu_cannot_keep_apart_is_told_and_bridges_are_not() -> None:
    group = [(0, 1, 0), (1, 0, 0), (2, 0, 0)]
    texts = [
        device(0, slot=1, code="0x060400", vendor="0x8086", group=group),
        device(1, group=group),
        device(2, code="0x020000", vendor="0x8086", group=group),
    ]
    (card,) = cards_of(texts, HOST).cards
    assert card.strangers == (Address(0, 2, 0, 0),)


def test_mediated_devices_that_exist_are_parts_of_their_card() -> None:
    uuid = "0f6a5a52-1111-4222-8333-944455556666"
    found = cards_of([device(1, extra=TYPES.format(free=3)), mdev(uuid, 1)], HOST)
    card, part = seen_of(found, frozenset({uuid}))
    assert (card.mode, card.foreign_milli) == (VGPU, 0)
    assert (part.uuid, part.parent_uuid, part.model) == (uuid, card.uuid, "A100-80G/GRID A100-20C")
    assert (part.mode, part.foreign_milli, part.resource) == (EXCLUSIVE, 1000, "nvidia-474")


def test_places_for_mediated_devices_are_the_same_before_and_after_they_are_made() -> None:
    before = cards_of([device(1, extra=TYPES.format(free=4))], HOST, ["nvidia-474"]).cards[0].parts
    assert [p.uuid for p in before] == [f"{HOST}/0000:01:00.0/nvidia-474/{n}" for n in range(4)]
    made = before[2]
    texts = [device(1, extra=TYPES.format(free=3)), mdev(made.device, 1)]
    after = cards_of(texts, HOST, ["nvidia-474"]).cards[0].parts
    assert [p.uuid for p in after] == [p.uuid for p in before]
    assert [p.is_made for p in after] == [False, False, True, False]


def test_types_that_are_not_wanted_make_no_parts() -> None:
    (card,) = cards_of([device(1, extra=TYPES.format(free=4))], HOST).cards
    assert card.parts == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<device>",
        "no xml",
        "<!DOCTYPE x [<!ENTITY a 'b'>]><device/>",
        "<device><name>x</name><capability type='pci'><domain>0</domain></capability></device>",
        device(1).replace("<bus>1</bus>", "<bus>one</bus>"),
        device(1).replace("id='0x10de'", "id='?'"),
    ],
)
def test_what_is_strange_is_left_out_and_told(text: str) -> None:
    found = cards_of([text, device(2)], HOST)
    assert [c.address.bus for c in found.cards] == [2]
    assert len(found.notes) == 1


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("GA102 [GeForce RTX 3090]", "GeForce-RTX-3090"),
        ("Device 1234", "Device-1234"),
        ("", "10de-ffff"),
    ],
)
def test_a_card_that_is_not_in_the_table_has_the_name_that_the_host_gives_it(name: str, model: str) -> None:
    (card,) = cards_of([device(1, product="0xffff", name=name)], HOST).cards
    assert model_of(card.function) == model


def test_the_table_names_models_of_the_catalogue() -> None:
    for (vendor, _), model in MODELS.items():
        assert lookup(VENDORS[vendor], model).is_listed, model
