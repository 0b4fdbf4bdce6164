"""What identifies a machine, a board, a place on the bus; and what only looks like it."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.drivers.identities import forms_of, is_of_the_chip, machine_of, pci_of, serial_of

TOLD = "4c4c4544-0051-3510-8052-b4c04f4a3332"


@given(st.uuids(version=4))
def test_a_machine_is_the_same_in_both_orders_of_bytes(uuid: UUID) -> None:
    swapped = UUID(bytes=uuid.bytes_le)
    assert machine_of(str(uuid)) == machine_of(str(swapped).upper()) != ""
    assert {str(uuid), str(swapped)} == {*forms_of(machine_of(str(uuid)))}


@pytest.mark.parametrize("told", [TOLD, TOLD.upper(), f" {TOLD}\n", "44454c4c-5100-1035-8052-b4c04f4a3332"])
def test_a_machine_however_it_is_written(told: str) -> None:
    assert machine_of(told) == "44454c4c-5100-1035-8052-b4c04f4a3332"


@pytest.mark.parametrize("told", ["", "None", "Not Settable", "0" * 32, "f" * 32, "0" * 31 + "1", "x" * 400, "1234"])
def test_what_is_no_machine(told: str) -> None:
    assert machine_of(told) == ""


@given(st.text())
def test_nothing_that_is_told_breaks_anything(text: str) -> None:
    machine_of(text), serial_of(text), pci_of(text), is_of_the_chip(text)


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("1650422007", "1650422007"), (" ab-12 \t c ", "AB-12 C"), ("N/A", ""), ("[Not Supported]", ""),
        ("00000000", ""),
        ("To be filled by O.E.M.", ""), ("Default string", ""), ("....", ""), ("123", ""), ("0123456789", ""),
    ],
)  # fmt: skip
def test_serials(told: str, kept: str) -> None:
    assert serial_of(told) == kept


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("0000:65:00.0", "0000:65:00.0"), ("00000000:65:00.0", "0000:65:00.0"), ("65:00.0", "0000:65:00.0"),
        ("0001:C1:1F.7", "0001:c1:1f.7"), ("65:00", "0000:65:00.0"), ("00010000:65:00.0", "10000:65:00.0"), ("", ""),
        ("pci", ""), ("0000:65:00.9", ""),
    ],
)  # fmt: skip
def test_places_on_the_bus(told: str, kept: str) -> None:
    assert pci_of(told) == kept


def test_names_that_a_vendor_gave_one_chip() -> None:
    assert is_of_the_chip("GPU-6a3b8f0e-1111-4222-8333-abcdefabcdef")
    assert not is_of_the_chip("node-1/nvidia.com/gpu/0")
    assert not is_of_the_chip("1650422007")
