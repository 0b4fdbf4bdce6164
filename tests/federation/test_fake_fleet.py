"""What a simulated site has, and what its devices show: nodes from three sources, figures by the clock."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from federation.drivers.base import DriverConfig, Health, Rejected, WorkloadSpec
from federation.drivers.base import ObservedState as O
from federation.drivers.fake import FakeDriver, World
from federation.drivers.fake_store import MemoryStore, set_control
from tests.contracts.fake import FakeHarness
from tests.contracts.harness import NODE, spec, uuid_of

AT = datetime(2027, 1, 15, 12, tzinfo=UTC)


def make(**settings: Any) -> FakeHarness:
    return FakeHarness("kubernetes", MemoryStore(), **settings)


def running(site: FakeHarness, wanted: WorkloadSpec) -> FakeHarness:
    site.until(lambda: site.driver().ensure(wanted), O.RUNNING)
    return site


# -- nodes ----------------------------------------------------------------------------------------


def test_a_node_says_which_machine_it_is_and_what_it_passed_to_whom() -> None:
    passed = {
        "index": 0,
        "uuid": "G",
        "vendor": "nvidia",
        "model": "T4",
        "memory_mib": 1,
        "passed_to": "vm",
        "pci": "p",
    }
    given = {"name": "h", "cpu_milli": 1, "memory_mib": 1, "system_uuid": "u", "guests": ["vm"], "devices": [passed]}
    (node,) = make(nodes=[given]).driver().inventory()
    assert (node.system_uuid, node.guests, node.devices[0].passed_to, node.devices[0].pci) == ("u", ("vm",), "vm", "p")


def test_a_fleet_of_the_size_that_was_asked_for() -> None:
    site = make()
    del site.settings["nodes"]
    assert sum(len(node.devices) for node in site.driver().inventory()) == 16
    site.settings["accelerators"] = 300
    assert sum(len(node.devices) for node in site.driver().inventory()) == 300
    site.settings["mix"] = {"ascend/910B": 1}
    assert {d.model for node in site.driver().inventory() for d in node.devices} == {"910B"}


def test_nodes_from_rows_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "nodes.csv"
    rows = "".join(f"openb-node-{i:04d},64000,262144,2,P100\n" for i in range(10))
    file.write_text(f"sn,cpu_milli,memory_mib,gpu,model\n{rows}")
    driver = FakeDriver(
        DriverConfig("c", "kubernetes", 1, {"nodes_file": str(file), "rows": [2, 5]}, port=World(MemoryStore()))
    )
    assert [node.name for node in driver.inventory()] == [f"openb-node-{i:04d}" for i in (2, 3, 4)]


@pytest.mark.parametrize(
    "settings",
    [
        {"nodes": [{"name": "n"}]},
        {"nodes": 5},
        {"nodes": [{"name": "n", "cpu_milli": 1, "memory_mib": 1, "colour": "red"}]},
        {"nodes_file": "/no/such/file.csv"},
        {"accelerators": "many"},
        {"error_rate": "often"},
        {"missing_nodes": 7},
        {"time_scale": 0},
    ],
    ids=str,
)
def test_wrong_settings_are_a_refusal_that_says_so(settings: dict[str, Any]) -> None:
    driver = FakeDriver(DriverConfig("c", "kubernetes", 1, settings, port=World(MemoryStore())))
    with pytest.raises(Rejected, match="BadSettings"):
        list(driver.inventory())


def test_nodes_and_devices_can_be_unwell() -> None:
    site = make()
    set_control(site.store, not_ready_nodes=[NODE], unhealthy_devices=[uuid_of(2)])
    (node,) = site.driver().inventory()
    assert not node.is_ready and node.message
    assert [d.health for d in node.devices] == [Health.HEALTHY, Health.HEALTHY, Health.UNHEALTHY, Health.HEALTHY]


# -- figures --------------------------------------------------------------------------------------


def test_devices_in_use_are_busy_and_idle_ones_are_not() -> None:
    site = running(make(), spec("a", card=0))
    running(site, spec("b", card=1, milli=250))
    site.driver().ensure(spec("starts", card=2))
    levels: dict[str, list[float]] = {uuid_of(i): [] for i in range(4)}
    for _ in range(200):
        site.advance(1)
        if site.driver().observe("starts").state == O.RUNNING:
            site.driver().remove("starts")
        for sample in site.driver().usage(AT, AT):
            if sample.uuid:
                assert sample.busy_percent is not None
                levels[sample.uuid].append(sample.busy_percent)
    assert min(levels[uuid_of(0)]) >= 5
    assert 0 < max(levels[uuid_of(1)]) <= 25
    assert max(levels[uuid_of(2)]) <= 2 and max(levels[uuid_of(3)]) <= 2
    steps = [abs(a - b) for a, b in zip(levels[uuid_of(0)], levels[uuid_of(0)][1:], strict=False)]
    assert 0 < max(steps) < 5  # it moves, and smoothly


def test_usage_of_two_thousand_busy_devices_is_quick() -> None:
    site = make(seed=5)
    site.settings = {"seed": 5, "accelerators": 2000}
    for node in site.driver().inventory():
        for device in node.devices:
            grant = replace(spec().devices[0], index=device.index, uuid=device.uuid)
            site.driver().ensure(replace(spec(device.uuid), node=node.name, devices=(grant,)))
    site.advance(60)
    spent = []
    for _ in range(5):
        began = time.process_time()
        samples = list(site.driver().usage(AT, AT))
        spent.append(time.process_time() - began)
    assert sum(1 for sample in samples if sample.uuid) == 2000
    assert min(spent) < 0.05
