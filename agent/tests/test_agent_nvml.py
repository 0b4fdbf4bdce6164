"""The agent as a process, with the real nvidia-ml-py, on a driver library of our own: cards, faults and parts."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agentsite import Site
from fakehub import FakeHub
from nvmlstub import Cards, compiled

pytestmark = pytest.mark.processes
PROFILES = {"1g.10gb": 7, "1g.20gb": 4, "2g.20gb": 3, "3g.40gb": 2, "4g.40gb": 1, "7g.80gb": 1}
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="--allow-partitioning needs root")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def cards(tmp_path: Path, library: Path) -> Cards:
    pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")
    return Cards(tmp_path / "cards", library)


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    hub = FakeHub()
    hub.poll_seconds = 0.1
    yield hub
    hub.stop()


def devices(hub: FakeHub) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = next((r["inventory"]["devices"] for r in reversed(hub.reports) if r["inventory"]), [])
    return found


def parts(hub: FakeHub, card: str = "GPU-0") -> list[dict[str, Any]]:
    return [device for device in devices(hub) if device.get("parent_uuid") == card]


def said(hub: FakeHub, card: str = "GPU-0") -> tuple[str, str]:
    told = next((p for p in (hub.reports[-1]["partitions"] if hub.reports else []) if p["uuid"] == card), None)
    return (told["state"], told["reason"]) if told else ("", "")


def ask(hub: FakeHub, generation: int, **profiles: int) -> None:
    wanted = {name.replace("_", ".").removeprefix("p"): count for name, count in profiles.items()}
    hub.partitions = {"GPU-0": {"profiles": wanted, "generation": generation}}


def test_cards_and_their_figures_are_told_by_the_real_library(hub: FakeHub, site: Site, cards: Cards) -> None:
    site.start(**cards.variables)
    hub.wait(lambda: devices(hub))
    common = {"vendor": "nvidia", "model": "A100-80G", "memory_mib": 81920, "health": "healthy", "numa": None}
    places = ("0000:01:00.0", "0000:02:00.0")
    assert devices(hub) == [
        {**common, "uuid": f"GPU-{i}", "index": i, "pci": places[i], "profiles": PROFILES} for i in (0, 1)
    ]
    assert hub.reports[-1]["figures"][0] == {
        "uuid": "GPU-0", "busy_percent": 37, "memory_used_mib": 1024, "power_watts": 251.5, "temperature_celsius": 61,
    }  # fmt: skip
    cards.set({"card.1.rows_failed": 1, "card.0.lost": 1})
    hub.wait(lambda: [d["health"] for d in devices(hub)] == ["unhealthy", "unhealthy"])
    cards.set({"card.1.rows_failed": None, "card.0.lost": None})
    hub.wait(lambda: [d["health"] for d in devices(hub)] == ["healthy", "healthy"])


def test_a_driver_that_hangs_does_not_hold_up_reports(hub: FakeHub, site: Site, cards: Cards) -> None:
    cards.set({"card.0.hang": 60})
    site.start(**cards.variables)
    hub.wait_reports(3)
    assert devices(hub) == []
    assert "not answered yet" in hub.reports[0]["inventory"]["message"]


@needs_root
def test_a_card_is_cut_its_parts_are_granted_and_it_is_made_whole_again(hub: FakeHub, site: Site, cards: Cards) -> None:
    ask(hub, 1, p3g_40gb=1, p1g_10gb=2)
    site.start("--allow-partitioning", **cards.variables)
    hub.wait(lambda: said(hub) == ("applied", ""))
    assert sorted(cards.instances(0)) == ["19,1", "19,1", "9,1"]
    hub.wait(lambda: len(parts(hub)) == 3)
    assert [(d["uuid"], d["index"], d["model"], d["memory_mib"], d["mode"], d["resource"]) for d in parts(hub)] == [
        ("MIG-0-1-9", 2, "A100-80G/3g.40gb", 40192, "partitioned", "mig-3g.40gb"),
        ("MIG-0-2-19", 3, "A100-80G/1g.10gb", 9728, "partitioned", "mig-1g.10gb"),
        ("MIG-0-3-19", 4, "A100-80G/1g.10gb", 9728, "partitioned", "mig-1g.10gb"),
    ]
    assert [(d["uuid"], d["index"], d.get("mode")) for d in devices(hub)[:2]] == [
        ("GPU-0", 0, "partitioned"), ("GPU-1", 1, None),
    ]  # fmt: skip

    hub.want("w", "sh", "-c", "echo $NVIDIA_VISIBLE_DEVICES; sleep 60", devices=[{"uuid": "MIG-0-2-19", "milli": 1000}])
    hub.wait(lambda: hub.logs.get("w") == "MIG-0-2-19\n")
    ask(hub, 2)
    hub.wait(lambda: said(hub) == ("waiting", "CardHeld"))
    hub.wait(lambda: {d["health"] for d in parts(hub)} == {"unknown"})
    assert len(cards.instances(0)) == 3
    hub.want_absent("w")
    hub.wait(lambda: said(hub) == ("applied", ""))
    hub.wait(lambda: parts(hub) == [])
    assert (cards.instances(0), cards.lines()["card.0.mig"]) == ([], "0")
    assert devices(hub)[0]["health"] == "healthy"


@needs_root
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"card.0.processes": 1}, "CardInUse"),
        ({"card.0.needs_reset": 1}, "ResetRequired"),
        ({"card.0.refuses": 1}, "DoesNotFit"),
        ({"card.0.mig": None}, "NotPartitionable"),
    ],
)
def test_a_card_that_refuses_says_why(
    hub: FakeHub, site: Site, cards: Cards, fault: dict[str, Any], reason: str
) -> None:
    cards.set(fault)
    ask(hub, 1, p1g_10gb=7)
    site.start("--allow-partitioning", **cards.variables)
    hub.wait(lambda: said(hub) == ("refused", reason))
    assert cards.instances(0) == []
    assert devices(hub)[0]["health"] == "healthy", "it goes on being used whole"
    if reason == "CardInUse":  # a new wish is tried at once
        cards.set({"card.0.processes": None})
        ask(hub, 2, p1g_10gb=7)
        hub.wait(lambda: said(hub) == ("applied", ""))


def test_nothing_is_cut_that_the_machines_owner_has_not_allowed(hub: FakeHub, site: Site, cards: Cards) -> None:
    ask(hub, 1, p1g_10gb=7)
    site.start(**cards.variables)
    hub.wait(lambda: said(hub) == ("refused", "PartitioningNotAllowed"))
    assert "--allow-partitioning" in hub.reports[-1]["partitions"][0]["message"]
    assert cards.lines()["card.0.mig"] == "0"


@needs_root
def test_what_was_cut_by_hand_is_shown_and_left_alone(hub: FakeHub, site: Site, cards: Cards) -> None:
    cards.set({"card.1.mig": 1, "gi.1.5": "14,1", "gi.1.6": "19,0"})
    site.start("--allow-partitioning", **cards.variables)
    hub.wait(lambda: [d["uuid"] for d in parts(hub, "GPU-1")] == ["MIG-1-5-14"])
    hub.wait_reports(3)
    assert cards.instances(1) == ["14,1", "19,0"], "an instance without a compute instance is no device"


def test_a_card_that_does_not_say_its_profiles_has_those_of_its_model(hub: FakeHub, site: Site, cards: Cards) -> None:
    cards.set({"card.0.hides_profiles": 1})
    site.start(**cards.variables)
    hub.wait(lambda: devices(hub))
    assert devices(hub)[0]["profiles"] == PROFILES
