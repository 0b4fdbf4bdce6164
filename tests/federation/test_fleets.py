"""Generated fleets are what they say, the same each time; the openb file is read in its own columns."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from federation.accelerators.catalogue import lookup
from federation.drivers.base import Health, NodeSeen
from federation.fleets import ASSUMED_MEMORY_MIB, DEFAULT_MIX, generate, openb_nodes

KINDS = ["kubernetes", "kvm", "baremetal", "docker", "openstack", "vmware", "slurm"]


def models(nodes: tuple[NodeSeen, ...]) -> Counter[str]:
    return Counter(f"{d.vendor}/{d.model}" for node in nodes for d in node.devices)


@pytest.mark.parametrize("accelerators", [0, 1, 7, 8, 50, 333, 2000, 10_000])
def test_has_exactly_as_many_accelerators_as_asked_for(accelerators: int) -> None:
    assert models(generate(5, accelerators)).total() == accelerators


def test_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    assert generate(5, 300) == generate(5, 300)
    uuids = {seed: {d.uuid for n in generate(seed, 300) for d in n.devices} for seed in (5, 6)}
    assert len(uuids[5]) == 300
    assert not uuids[5] & uuids[6]


def test_is_the_same_in_another_process() -> None:
    """Workers have hash seeds of their own; the cards of a site must not depend on them."""
    code = "from federation.fleets import generate; print(generate(5, 40))"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    ).stdout.strip()
    assert shown == str(generate(5, 40))


def test_names_and_cards_stay_when_a_fleet_grows() -> None:
    small, large = generate(5, 500), generate(5, 1000)
    cards = {d.uuid for n in large for d in n.devices}
    full = [n for n in small if len(n.devices) == 8]
    assert {d.uuid for n in full for d in n.devices} <= cards


@pytest.mark.parametrize("kind", KINDS)
def test_is_believable_for_each_kind_of_site(kind: str) -> None:
    nodes = generate(1, 2000, kind)
    assert len({n.name for n in nodes}) == len(nodes)
    assert all(n.cpu_milli > 0 and n.memory_mib > 0 and n.rack for n in nodes)
    assert all([d.index for d in n.devices] == list(range(len(n.devices))) for n in nodes)
    assert all(d.memory_mib > 0 for n in nodes for d in n.devices)
    assert {len(n.devices) for n in nodes} >= {0, 4, 8, 16}, "servers of several sizes, and some without"
    assert all(d.numa in (0, 1) for n in nodes for d in n.devices)
    assert all(len({d.model for d in n.devices}) <= 1 for n in nodes)
    assert max(Counter(n.rack for n in nodes).values()) <= 20


def test_kinds_differ_in_how_they_call_their_nodes() -> None:
    assert len({generate(1, 8, kind)[0].name for kind in KINDS}) == len(KINDS)


def test_holds_the_mix_that_was_asked_for() -> None:
    found = models(generate(1, 2000))
    assert found.keys() == DEFAULT_MIX.keys()
    assert found["nvidia/H100"] == pytest.approx(2000 * 0.20, rel=0.05)
    assert models(generate(1, 100, mix={"nvidia/T4": 3, "amd/MI210": 1})) == {"nvidia/T4": 76, "amd/MI210": 24}


def test_a_few_cards_and_nodes_are_not_well() -> None:
    nodes = generate(1, 2000)
    unwell = sum(d.health == Health.UNHEALTHY for n in nodes for d in n.devices)
    silent = [n for n in nodes if not n.is_ready]
    assert 0 < unwell < 30
    assert 0 < len(silent) < 15
    assert all(n.message for n in silent)


def test_memory_is_the_catalogues_where_it_has_it() -> None:
    (node,) = (n for n in generate(1, 8, mix={"nvidia/H200": 1}) if n.devices)
    assert {d.memory_mib for d in node.devices} == {lookup("nvidia", "H200").memory_mib}
    (node,) = (n for n in generate(1, 8, mix={"cambricon/MLU590": 1}) if n.devices)
    assert {d.memory_mib for d in node.devices} == {ASSUMED_MEMORY_MIB}


@pytest.mark.parametrize(
    ("accelerators", "mix"),
    [(-1, None), (8, {"nvidia/T4": 0}), (8, {"nvidia/T4": 2, "amd/MI210": -1}), (8, {"T4": 1})],
)
def test_a_fleet_that_cannot_be_is_refused(accelerators: int, mix: dict[str, float] | None) -> None:
    with pytest.raises(ValueError, match="mix"):
        generate(1, accelerators, mix=mix)


CSV = """sn,cpu_milli,memory_mib,gpu,model
openb-node-0000,64000,262144,2,P100
openb-node-0032,96000,393216,8,G2
openb-node-0900,32000,262144,0,
"""


def test_openb_is_read_in_its_own_columns(tmp_path: Path) -> None:
    file = tmp_path / "nodes.csv"
    file.write_text(CSV)
    known, hidden, bare = openb_nodes(file)
    assert (known.name, known.cpu_milli, known.memory_mib) == ("openb-node-0000", 64000, 262144)
    assert [(d.index, d.vendor, d.model, d.memory_mib) for d in known.devices] == [
        (0, "nvidia", "P100", 16384),
        (1, "nvidia", "P100", 16384),
    ]
    assert {(d.vendor, d.model, d.memory_mib) for d in hidden.devices} == {("undisclosed", "G2", ASSUMED_MEMORY_MIB)}
    assert len({d.uuid for n in (known, hidden) for d in n.devices}) == 10
    assert bare.devices == ()
    assert openb_nodes(file) == [known, hidden, bare]


def test_a_file_that_is_something_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "pods.csv"
    file.write_text("name,cpu_milli\npod,1\n")
    with pytest.raises(ValueError, match="lacks the columns gpu, memory_mib, model, sn"):
        openb_nodes(file)
    with pytest.raises(OSError, match="nowhere"):
        openb_nodes(tmp_path / "nowhere.csv")
