"""Wherever the agent of a cluster dies: one object for each piece of work, none twice, none left over."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from agentsite import wait_for
from aquifer_agent import crash
from clustersite import ClusterSite
from crashpoints import at_each_point
from fakehub import FakeHub


@pytest.mark.processes
def test_no_crash_makes_work_twice_or_leaves_it_over(tmp_path: Path) -> None:
    at_each_point(crash.CLUSTER_POINTS, lambda point: _crash_once(tmp_path / point, point), few=4)


def _crash_once(place: Path, point: str) -> None:
    hub = FakeHub()
    cluster = ClusterSite(hub, place)
    crashed = place / "crashed"
    variables = {crash.VARIABLE: point, crash.ONCE: str(crashed)}
    ref, ended = str(uuid4()), str(uuid4())
    try:
        cluster.want(ref, "sleep")
        cluster.want(ended, "true")
        cluster.start(**variables)
        _until(cluster, variables, lambda: (hub.work(ref) or {}).get("state") == "running")
        _until(cluster, variables, lambda: (hub.work(ended) or {}).get("state") == "succeeded")
        late = hub.orders[ref]
        for one in (ref, ended):
            hub.want_absent(one)
            _until(cluster, variables, partial(_is_gone, hub, one))
            assert one not in cluster.there(), "what is not reported is not there"
        assert crashed.exists(), "the point was never reached"
        assert cluster.made() == {ref: 1, ended: 1}
        hub.stray_orders = [late]
        _until(cluster, variables, lambda: (hub.work(ref) or {}).get("state") == "rejected")
        assert cluster.there() == []
        assert cluster.made() == {ref: 1, ended: 1}
    finally:
        cluster.close()
        hub.stop()


def _is_gone(hub: FakeHub, ref: str) -> bool:
    return hub.work(ref) is None


def _until(cluster: ClusterSite, variables: dict[str, str], is_so: Callable[[], bool]) -> None:
    """Wait, starting the agent again when the crash took it. Only what is reported from now on counts."""
    seen = len(cluster.hub.reports)

    def look() -> bool:
        if cluster.agents[-1].poll() is not None:
            assert cluster.agents[-1].returncode == 137, cluster.log()
            cluster.start(**variables)
        fresh = [report for report in cluster.hub.reports[seen:] if report["work"] is not None]
        return bool(fresh) and is_so()

    wait_for(look, 40)
