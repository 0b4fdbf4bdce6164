"""What a real API server answered once (tests/kube/record.py), read without one: runs everywhere."""

import json
from pathlib import Path
from typing import Any

import pytest

from federation.drivers.kubernetes.nodes import nodes_seen
from federation.drivers.kubernetes.objects import SERVICES
from federation.drivers.kubernetes.pods import pod_held
from federation.drivers.kubernetes.records import _parse
from federation.drivers.kubernetes.states import seen_of
from federation.reconcile.inventory import believable
from tests.kube.vendors import KINDS

FOLDER = Path(__file__).parent / "recorded"
WORK: dict[str, Any] = json.loads((FOLDER / "work.json").read_text(encoding="utf-8"))
NODES: dict[str, Any] = json.loads((FOLDER / "nodes.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", WORK)
def test_work_is_read_as_it_was(name: str) -> None:
    case = WORK[name]
    record = _parse(case["record"])
    assert record is not None
    is_service = record.kind in SERVICES
    seen = seen_of(record, case["owner"], case["pods"], now=case["at"], is_service=is_service)
    assert (seen.state, seen.reason) == (case["state"], case["reason"])
    assert (seen.epoch, seen.generation) == (1, 1)
    if seen.state in ("running", "succeeded"):
        assert seen.ran_seconds is not None and 0 <= seen.ran_seconds < 60


@pytest.mark.parametrize("name", [n for n, c in WORK.items() if c["state"] in ("running", "starting") and c["pods"]])
def test_pods_of_ours_hold_and_are_ours(name: str) -> None:
    for pod in WORK[name]["pods"]:
        held = pod_held(pod)
        if pod["spec"].get("nodeName"):
            assert held is not None and held.is_ours and held.cpu_milli == 1000
        else:
            assert held is None


def test_nodes_of_every_vendor_show_as_many_cards_as_there_are() -> None:
    nodes = nodes_seen(NODES["nodes"], NODES["slices"], [], [])
    assert believable(nodes) == (nodes, [])
    found = {n.name.removeprefix("node-"): len([d for d in n.devices if not d.parent_uuid]) for n in nodes}
    assert found == {kind: facts.cards for kind, facts in KINDS.items()}
