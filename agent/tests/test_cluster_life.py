"""The agent of a cluster as a process, from its first look to its end; hub and site may be away, slow or forgetful."""

import signal
import time
from pathlib import Path
from uuid import uuid4

import pytest
from agentsite import wait_for
from clustersite import NODE, ClusterSite
from fakehub import FakeHub, problem

pytestmark = pytest.mark.processes


def test_work_from_its_order_to_its_end(hub: FakeHub, cluster: ClusterSite) -> None:
    ref, second = str(uuid4()), str(uuid4())
    cluster.want(ref, "sleep")
    cluster.start()
    work = hub.wait_state(ref, "running")
    assert (work["generation"], work["epoch"], work["exit_code"]) == (1, 1, None)
    hub.wait(lambda: hub.nodes.get("n1", ("", {}))[1] == NODE)
    assert hub.reports[0]["site"]["silent_seconds"] is not None, "the first report is whole"
    hub.wait(lambda: any(r["figures"] for r in hub.reports))
    last = hub.reports[-1]
    assert (last["site"]["version"], last["inventory"]) == ("file 1.0", None)
    assert set(last["site"]["abilities"]) == {"logs", "hold"}
    cluster.want(second, "true")
    hub.wait_state(second, "succeeded")
    hub.wait(lambda: hub.logs.get(second) == "said\n")
    hub.wait(lambda: (hub.work(second) or {}).get("log_bytes") == 5)
    late = hub.orders[ref]
    for one in (ref, second):
        hub.want_absent(one)
        hub.wait_gone(one)
    assert (cluster.there(), cluster.made()) == ([], {ref: 1, second: 1})
    hub.stray_orders = [late]
    assert hub.wait_state(ref, "rejected")["reason"] == "OldGeneration"
    assert cluster.heartbeat.exists()


def test_a_signal_ends_it_and_the_work_goes_on(hub: FakeHub, cluster: ClusterSite) -> None:
    ref = str(uuid4())
    cluster.want(ref, "sleep")
    agent = cluster.start()
    hub.wait_state(ref, "running")
    agent.terminate()
    assert agent.wait(10) == 0, cluster.log()
    assert cluster.there() == [ref]


def test_a_refusal_is_told_until_it_is_taken_back(hub: FakeHub, cluster: ClusterSite) -> None:
    ref, bad = str(uuid4()), str(uuid4())
    cluster.want(ref, "true", node="nowhere")
    cluster.want(bad, "true", cpu_milli="many")
    cluster.start()
    work = hub.wait_state(ref, "rejected")
    assert (work["reason"], work["generation"]) == ("NoSuchNode", 1)
    assert hub.wait_state(bad, "rejected")["reason"] == "InvalidSpec"
    hub.want_absent(ref)
    hub.wait_gone(ref)
    assert cluster.made() == {}


def test_a_member_of_a_gang_waits_until_it_is_let_go(hub: FakeHub, cluster: ClusterSite) -> None:
    ref = str(uuid4())
    cluster.want(ref, "sleep", hold=True)
    cluster.start()
    hub.wait_state(ref, "starting")
    hub.wait_reports(3)
    assert (hub.work(ref) or {})["state"] == "starting"
    cluster.want(ref, "sleep", hold=False)
    hub.wait_state(ref, "running")
    assert cluster.made() == {ref: 1}


def test_an_answer_that_is_lost_costs_nothing(hub: FakeHub, cluster: ClusterSite) -> None:
    ref = str(uuid4())
    cluster.want(ref, "sleep")
    cluster.fault(ensure="lost", remove="lost")
    hub.next_answers = ["fine", "lose", "garbage", "lose"]
    cluster.start()
    hub.wait_state(ref, "running", seconds=30)
    hub.want_absent(ref)
    hub.wait_state(ref, "stopping")
    cluster.fault(remove=None)
    hub.wait_gone(ref, seconds=30)
    assert cluster.made() == {ref: 1}


def test_work_that_is_on_its_way_is_never_left_out(hub: FakeHub, cluster: ClusterSite) -> None:
    """A report without it would be the proof that it is not there, and a moment later it is."""
    ref = str(uuid4())
    cluster.want(ref, "sleep")
    cluster.fault(ensure=1.5)
    cluster.start()
    hub.wait(lambda: any(w["ref"] == ref for r in hub.reports for w in r["work"] or []))
    first = next(i for i, r in enumerate(hub.reports) if any(w["ref"] == ref for w in r["work"] or []))
    hub.want_absent(ref)  # while the site is being told to make it
    cluster.fault(ensure=None)
    hub.wait_gone(ref)
    gone = next(i for i, r in enumerate(hub.reports) if i > first and r["work"] == [])
    assert all(r["work"] for r in hub.reports[first:gone]), "reported at every moment until the end"
    hub.wait_reports(5)
    assert cluster.there() == [] and all(not r["work"] for r in hub.reports[gone:])


def test_one_call_that_takes_its_time_does_not_stop_the_others(hub: FakeHub, cluster: ClusterSite) -> None:
    ref = str(uuid4())
    cluster.want(ref, "sleep")
    cluster.fault(inventory=8, check=8, usage=8)
    cluster.start()
    hub.wait_state(ref, "running", seconds=6)
    hub.wait_reports(5, seconds=4)


def test_a_site_that_is_away_is_said_to_be_and_nothing_is_concluded(hub: FakeHub, cluster: ClusterSite) -> None:
    ref = str(uuid4())
    cluster.want(ref, "sleep")
    cluster.fault(all="down")
    cluster.start()
    hub.wait_reports(2)
    assert [r["work"] for r in hub.reports] == [None] * len(hub.reports)
    said = hub.reports[-1]["site"]
    assert (said["silent_seconds"], said["is_degraded"], said["message"]) == (None, True, "The site does not answer.")
    cluster.fault(all=None)
    hub.wait_state(ref, "running", seconds=30)
    assert hub.reports[-1]["site"]["silent_seconds"] < 10


def test_a_driver_with_a_bug_does_not_take_the_agent_along(hub: FakeHub, cluster: ClusterSite) -> None:
    ref = str(uuid4())
    cluster.want(ref, "sleep")
    cluster.fault(ensure="bug", inventory="bug")
    cluster.start()
    hub.wait(lambda: "driver failed" in ((hub.work(ref) or {}).get("message") or ""))
    cluster.fault(ensure=None, inventory=None)
    hub.wait_state(ref, "running", seconds=30)


def test_a_hub_that_is_away_finds_all_as_it_is(hub: FakeHub, cluster: ClusterSite) -> None:
    ref, late = str(uuid4()), str(uuid4())
    cluster.want(ref, "sleep")
    cluster.start()
    hub.wait_state(ref, "running")
    hub.stop()
    with cluster.site() as site:
        site["work"][ref] |= {"state": "failed", "exit_code": 7}
    cluster.want(late, "sleep")
    hub.start_again()
    assert hub.wait_state(ref, "failed", seconds=30)["exit_code"] == 7
    hub.wait_state(late, "running", seconds=30)
    assert cluster.made() == {ref: 1, late: 1}


def test_what_a_crash_left_over_is_found_and_strangers_stay(hub: FakeHub, cluster: ClusterSite) -> None:
    ref = str(uuid4())
    left = {"gone": False, "state": "running", "exit_code": None, "output": "", "generation": 3, "epoch": 1}
    cluster.set(work={ref: left, "made-by-hand": left})
    cluster.start()
    hub.wait_state(ref, "running", "stopping")  # the hub does not know it, and answers: absent
    hub.wait_gone(ref)
    assert cluster.there() == ["made-by-hand"]
    assert all(w["ref"] != "made-by-hand" for r in hub.reports for w in r["work"] or [])


def test_work_that_was_deleted_by_hand_is_not_made_again(hub: FakeHub, cluster: ClusterSite) -> None:
    ref = str(uuid4())
    cluster.want(ref, "sleep")
    cluster.start()
    hub.wait_state(ref, "running")
    with cluster.site() as site:
        del site["work"][ref]
    assert hub.wait_state(ref, "broken")["reason"] == "VanishedAtSite"
    hub.wait_reports(5)  # this hub still wants it; the real one does not
    assert cluster.made() == {ref: 1}
    hub.want_absent(ref)
    hub.wait_gone(ref)
    with cluster.site() as site:
        assert site["work"][ref]["gone"], "removed at the site, not only forgotten here"


def test_a_hub_that_does_not_know_it_any_more_ends_it(hub: FakeHub, cluster: ClusterSite) -> None:
    agent = cluster.start()
    hub.wait_reports(1)
    hub.revoked = True
    assert agent.wait(15) == 3, cluster.log()


def test_a_second_one_waits_asks_nothing_and_takes_over(hub: FakeHub, cluster: ClusterSite, tmp_path: Path) -> None:
    """Two replicas, or a copy of the Deployment: the hub refuses the second while the first lives."""
    ref = str(uuid4())
    cluster.want(ref, "sleep")
    in_use = problem(409, "agent-identity-in-use")
    hub.next_answers = [in_use, in_use, in_use]
    cluster.start()
    hub.wait(lambda: not hub.next_answers)
    assert hub.reports == [] and cluster.made() == {}
    with cluster.site() as site:
        looks = site["calls"]["observe"]
    assert looks <= 3, "who waits asks nothing"
    hub.wait_state(ref, "running")
    assert hub.reports[0]["work"] is None, "what it knew before it waited counts no more"
    assert "Another process reports" in cluster.log()


def test_orders_of_an_older_epoch_are_refused(hub: FakeHub, cluster: ClusterSite) -> None:
    """An old pod wakes with what it was told an hour ago; the site has seen a newer epoch meanwhile."""
    ref, other = str(uuid4()), str(uuid4())
    agent = cluster.start()
    hub.wait_reports(1)
    agent.send_signal(signal.SIGSTOP)
    cluster.want(ref, "sleep")
    cluster.set(epoch=5)
    agent.send_signal(signal.SIGCONT)
    assert hub.wait_state(ref, "rejected")["reason"] == "OldGeneration"
    hub.epoch = 6
    cluster.want(other, "sleep")
    hub.wait_state(other, "running")
    assert cluster.made() == {other: 1}


def test_no_heartbeat_while_a_call_hangs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from aquifer_agent.cluster import loop
    from aquifer_agent.cluster.site import Site, load
    from aquifer_agent.hub import Address

    file = tmp_path / "beat"
    agent = loop.ClusterAgent(Address("http://127.0.0.1:9"), "x", Site(load("filesite:FileDriver"), "c", "k"), file)
    monkeypatch.setattr(loop, "HUNG_SECONDS", -1.0)
    agent._beat()
    assert not file.exists()
    monkeypatch.setattr(loop, "HUNG_SECONDS", 1.0)
    monkeypatch.setattr(agent, "_next_heartbeat", 0.0)
    with agent._threads.calling():
        agent._beat()
    assert file.exists()
    assert wait_for(lambda: time.time() - file.stat().st_mtime < 60)
