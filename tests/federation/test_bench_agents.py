"""Real agents under a hub that is killed: all come back, nothing is lost, nothing runs twice."""

import json
from typing import Any

import pytest

from federation.bench import agents

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]
NOTHING = {
    "agents_lost": 0, "sites_fenced": 0, "work_lost": 0, "work_started_twice": 0, "work_placed_twice": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("count", "down"), [(4, 3.0), pytest.param(100, 20.0, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_all_come_back_to_a_hub_that_was_killed_and_nothing_runs_twice(count: int, down: float) -> None:
    figures: dict[str, Any] = agents.run({"agents": count, "down": down, "starts_at_once": 4})
    print(json.dumps(figures))
    assert {name: figures[name] for name in NOTHING} == NOTHING, figures
    assert figures["back_max_seconds"] <= 60
    assert figures["agent_memory_max_mib"] < 64 and figures["agent_memory_after_mib"] < 64
