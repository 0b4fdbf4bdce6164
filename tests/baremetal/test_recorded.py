"""A recorded GB300 server, served as files: what is found there, read only."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from federation.drivers.abilities import Power
from federation.drivers.base import DriverConfig, Health
from federation.drivers.redfish.driver import RedfishDriver
from federation.drivers.redfish.ledger import MemoryLedger

pytestmark = [pytest.mark.baremetal, pytest.mark.processes]
AT = datetime(2027, 1, 15, 12, tzinfo=UTC)


@pytest.fixture
def driver(recorded: int) -> Iterator[RedfishDriver]:
    machine = {"name": "gb300", "server": f"http://127.0.0.1:{recorded}", "address": "127.0.0.1"}
    settings: dict[str, Any] = {"machines": [machine], "plain_http": True, "wipe": "none"}
    secrets = {"username": "root", "password": "x"}
    yield RedfishDriver(DriverConfig("c-1", "baremetal", 1, settings, secrets, MemoryLedger(lambda: 1000.0)))


def test_the_cards_are_those_of_the_board_beside_the_server(driver: RedfishDriver) -> None:
    (node,) = driver.inventory()
    assert [(d.index, d.vendor, d.model, d.health) for d in node.devices] == [
        (i, "nvidia", "NVIDIA GB300", Health.HEALTHY) for i in range(4)
    ]
    assert node.devices[0].uuid == "GPU-ffd6582a-64de-b17e-ad24-af5a28aed641", "as NVML names it"
    assert len({d.uuid for d in node.devices}) == 4, "their serial numbers are the boards', one for two cards"
    assert all(d.is_identified for d in node.devices)
    assert (node.cpu_milli, node.memory_mib) == (144_000, 960 * 1024)
    assert node.labels["serial"] == "S964512X5913271"


def test_a_server_that_is_on_and_not_leased_takes_no_work(driver: RedfishDriver) -> None:
    (node,) = driver.inventory()
    assert not node.is_ready
    assert "switched on and not leased" in node.message


def test_its_version_and_its_power(driver: RedfishDriver) -> None:
    assert driver.check().version == "Redfish 1.17.0"
    assert driver.power("gb300") == Power.ON


def test_the_cards_draw_what_the_report_says(driver: RedfishDriver) -> None:
    list(driver.inventory())
    samples = list(driver.usage(AT, AT))
    assert [round(s.power_watts or 0, 1) for s in samples] == [232.2, 238.7, 242.5, 240.4]
    assert [round(s.temperature_celsius or 0, 1) for s in samples] == [32.9, 33.2, 32.8, 33.3]


def test_without_the_report_each_chassis_is_asked(driver: RedfishDriver) -> None:
    list(driver.inventory())
    ledger: Any = driver._ledger
    picture = ledger.pictures()["gb300"]
    picture.seen["reports"] = []
    samples = list(driver.usage(AT, AT))
    assert [round(s.power_watts or 0, 1) for s in samples] == [231.9, 238.9, 242.5, 241.2]
    assert [s.temperature_celsius for s in samples] == [None, None, None, 33.3125], "three of them give a margin"


def test_the_sensors_have_names_units_and_possible_values(driver: RedfishDriver) -> None:
    readings = {reading.name: reading for reading in driver.sensors("gb300")}
    assert (readings["HGX_GPU_0_Power_0"].value, readings["HGX_GPU_0_Power_0"].unit) == (232.168, "W")
    assert (readings["Chassis_0_TotalHSC_Power_0"].unit, readings["Chassis_0_FAN_1_FRONT"].unit) == ("W", "{rpm}")
    assert readings["HGX_GPU_0_Energy_0"].unit == "J"
    assert "StorageBackplane_0_SSD_0_Temp_0" not in readings, "it says nan"
    assert len(readings) >= 80
