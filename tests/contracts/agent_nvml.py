"""A server whose agent is real where it looks at its cards: a process with nvidia-ml-py on the NVML stub.

What it reports of cards and figures is what its driver shows here. Its work is played by the double, because the
cases move time by hours and a process cannot; real work on such cards is in agent/tests/test_agent_nvml.py.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.agent import AgentHarness
from tests.contracts.harness import CARDS, NODES

sys.path.append(str(Path(__file__).resolve().parents[2] / "agent"))
sys.path.append(str(Path(__file__).resolve().parents[2] / "agent" / "tests"))

from agentsite import Site
from fakehub import FakeHub
from nvmlstub import Cards, compiled

_reports: list[Mapping[str, Any]] = []  # the process is started once: what it shows does not change


def report_of_a_process(factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """A whole report of a real agent on a machine with the contract's cards."""
    if not _reports:
        pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")
        cards = Cards(factory.mktemp("cards") / "state", compiled(factory.mktemp("nvml")), CARDS)
        hub = FakeHub()
        site = Site(hub, factory.mktemp("agent") / "state")
        try:
            site.start(**cards.variables)
            hub.wait(lambda: any(r["inventory"] and r["inventory"]["devices"] and r["figures"] for r in hub.reports))
            _reports.append(next(r for r in hub.reports if r["inventory"] and r["inventory"]["devices"]))
        finally:
            site.close()
            hub.stop()
    return _reports[0]


class NvmlAgentHarness(AgentHarness):
    """The machine's own size and name differ from place to place; the contract's are put there."""

    def __init__(self, report: Mapping[str, Any]) -> None:
        self.inventory = {**NODES[0], "devices": report["inventory"]["devices"]}
        self.figures = report["figures"]
        super().__init__()
