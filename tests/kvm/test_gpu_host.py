"""Pass-through for real: cards behind an IOMMU, taken from the host, given to a machine and given back.

On a host in QEMU (nested.py), whose own machines are emulated twice over: a call may take the whole time that a driver
has, so each is made again where the driver says that it is to be.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from federation.drivers.base import (
    DeviceGrant,
    DeviceSeen,
    DriverConfig,
    Observation,
    Rejected,
    Unavailable,
    WorkloadSpec,
)
from federation.drivers.base import ObservedState as O
from federation.drivers.kvm.driver import KvmDriver
from federation.drivers.kvm.line import close_all
from tests.contracts.harness import spec as plain
from tests.kvm.nested import NODE

pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.timeout(600)]
PATIENCE = 180.0
THEIRS = """<domain type='qemu'><name>theirs</name><memory unit='MiB'>64</memory>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices><hostdev mode='subsystem' type='pci' managed='yes'>
    <source><address domain='0' bus='{bus}' slot='0' function='0'/></source></hostdev></devices></domain>"""


@pytest.fixture
def driver(gpu_host: Any) -> Iterator[KvmDriver]:
    found = KvmDriver(DriverConfig("cluster-1", "kvm", 1, {"server": gpu_host.server, "default_image": "guest.raw"}))
    yield found
    for ref in patient(lambda: list(found.refs())):
        until(lambda ref=ref: found.remove(ref), O.ABSENT)  # type: ignore[misc]
    close_all()


def patient(look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return look()
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def until(look: Callable[[], Observation], *states: O) -> Observation:
    deadline = time.monotonic() + PATIENCE
    while (seen := patient(look)).state not in states:
        assert time.monotonic() < deadline, seen
        time.sleep(0.5)
    return seen  # type: ignore[no-any-return]


def cards(driver: KvmDriver) -> Sequence[DeviceSeen]:
    (node,) = patient(lambda: list(driver.inventory()))
    assert node.name == NODE
    return list(node.devices)


def spec(ref: str, *devices: DeviceSeen, **changes: Any) -> WorkloadSpec:
    grants = tuple(DeviceGrant(d.index, d.uuid, 1000, 0) for d in devices)
    made = {"node": NODE, "devices": grants, "cpu_milli": 1000, "memory_mib": 64, "command": (), "grace_seconds": 0}
    return plain(ref, **{**made, **changes})


_names = iter(f"vm-{number}" for number in range(1000))


def driver_of(connection: Any, address: str) -> str:
    """Which driver of the host's kernel has the card now; empty: none."""
    name = "pci_" + address.replace(":", "_").replace(".", "_")
    found = re.search(r"<driver>\s*<name>(.*?)</name>", connection.nodeDeviceLookupByName(name).XMLDesc())
    return found.group(1) if found else ""


def test_cards_their_groups_and_what_is_told_of_them(driver: KvmDriver) -> None:
    found = cards(driver)
    alone, together = ["0000:01:00.0", "0000:02:00.0"], ["0000:04:01.0", "0000:04:02.0"]
    assert [card.resource for card in found] == [*alone, *together, "0000:05:00.0", "0000:06:00.0"]
    assert all(card.uuid.endswith(card.resource) and not card.is_identified for card in found)
    (node,) = driver.inventory()
    assert "0000:04:01.0 cannot be kept apart from 0000:04:02.0" in node.message


def test_a_card_is_taken_from_the_host_and_given_back(driver: KvmDriver, gpu_host: Any) -> None:
    card, ref, connection = cards(driver)[0], next(_names), gpu_host.open()
    before = driver_of(connection, card.resource)
    seen = until(lambda: driver.ensure(spec(ref, card)), O.RUNNING)
    assert seen.state == O.RUNNING
    assert driver_of(connection, card.resource) == "vfio-pci"
    domain = connection.lookupByName(f"aquifer-{ref}")
    assert "<hostdev mode='subsystem' type='pci' managed='yes'>" in domain.XMLDesc()
    assert patient(lambda: driver.observe(ref)).reason == ""
    until(lambda: driver.remove(ref), O.ABSENT)
    assert driver_of(connection, card.resource) == before != "vfio-pci"
    assert [c.foreign_milli for c in cards(driver)] == [0] * 6
    again = next(_names)
    until(lambda: driver.ensure(spec(again, card)), O.RUNNING)
    connection.close()


def test_a_card_is_not_given_twice_and_the_host_itself_would_refuse(driver: KvmDriver, gpu_host: Any) -> None:
    card, first, second = cards(driver)[0], next(_names), next(_names)
    until(lambda: driver.ensure(spec(first, card)), O.RUNNING)
    with pytest.raises(Rejected, match="DeviceBusy"):
        patient(lambda: driver.ensure(spec(second, card)))
    assert list(patient(lambda: list(driver.refs()))) == [first]


def test_a_card_that_a_foreign_machine_has_is_foreign_and_busy(driver: KvmDriver, gpu_host: Any) -> None:
    card, connection = cards(driver)[1], gpu_host.open()
    bus = int(card.resource.split(":")[1], 16)
    theirs = connection.createXML(THEIRS.format(bus=bus))
    try:
        assert [c.foreign_milli for c in cards(driver)] == [0, 1000, 0, 0, 0, 0]
        with pytest.raises(Rejected, match="DeviceBusy"):
            patient(lambda: driver.ensure(spec(next(_names), card)))
        assert theirs.isActive()
    finally:
        theirs.destroy()
        connection.close()


def test_a_machine_of_somebody_who_was_quicker_makes_the_start_a_refusal(driver: KvmDriver, gpu_host: Any) -> None:
    """Held work whose card somebody takes before it is let run: libvirt's own error 55 is DeviceBusy."""
    card, ref, connection = cards(driver)[1], next(_names), gpu_host.open()
    assert patient(lambda: driver.ensure(spec(ref, card, hold=True))).state == O.STARTING
    bus = int(card.resource.split(":")[1], 16)
    theirs = connection.createXML(THEIRS.format(bus=bus))
    try:
        with pytest.raises(Rejected, match=r"DeviceBusy.*in use by driver QEMU, domain theirs"):
            patient(lambda: driver.ensure(spec(ref, card)))
    finally:
        theirs.destroy()
        connection.close()


def test_cards_that_cannot_be_kept_apart_go_together_or_not_at_all(driver: KvmDriver, gpu_host: Any) -> None:
    found, ref = cards(driver), next(_names)
    with pytest.raises(Rejected, match="IommuGroupShared"):
        patient(lambda: driver.ensure(spec(next(_names), found[2])))
    until(lambda: driver.ensure(spec(ref, found[2], found[3])), O.RUNNING)
    connection = gpu_host.open()
    assert {driver_of(connection, c.resource) for c in found[2:4]} == {"vfio-pci"}
    connection.close()


def test_a_card_is_plugged_into_a_running_machine_and_taken_out(driver: KvmDriver, gpu_host: Any) -> None:
    found, ref, connection = cards(driver), next(_names), gpu_host.open()
    until(lambda: driver.ensure(spec(ref, found[0])), O.RUNNING)
    more = DeviceGrant(found[1].index, found[1].uuid, 1000, 0)
    for _ in range(2):  # twice is once
        assert patient(lambda: driver.plug(ref, more)).state == O.RUNNING
    assert driver_of(connection, found[1].resource) == "vfio-pci"
    assert patient(lambda: driver.observe(ref)).reason == "", "what was plugged is what was granted"
    with pytest.raises(Rejected, match="DeviceBusy"):
        patient(lambda: driver.ensure(spec(next(_names), found[1])))
    # The guest here has no driver that would let go of a device: the host tells that it was asked.
    seen = patient(lambda: driver.unplug(ref, more))
    assert (seen.state, seen.reason) in ((O.RUNNING, "Unplugging"), (O.RUNNING, ""))
    until(lambda: driver.remove(ref), O.ABSENT)
    assert driver_of(connection, found[1].resource) != "vfio-pci"
    connection.close()
