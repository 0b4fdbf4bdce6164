"""The driver on a node where containers really run: cards, and every way to end."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from federation.drivers.base import (
    Health,
    Rejected,
    Unavailable,
)
from federation.drivers.base import ObservedState as O
from federation.drivers.kubernetes.names import object_name
from tests.kube.node import RealNode
from tests.kube.site import SPACE, Site, said
from tests.kube.test_rig import running as running_processes
from tests.kube.test_rig import wait_for

pytestmark = pytest.mark.processes


# -- cards ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("by_name")
def test_a_pod_gets_exactly_the_cards_that_were_chosen(site: Site) -> None:
    cards = site.shows().devices
    assert [card.uuid for card in cards] == site.node.uuids
    assert all(card.model == "h100-80g" or card.memory_mib == 81559 for card in cards)
    refs = [site.start("sleep 1000", cards[5], cards[2]), site.start("sleep 1000", cards[0])]
    for ref, wanted in zip(refs, [{"gpu-5", "gpu-2"}, {"gpu-0"}], strict=True):
        site.until(ref, O.RUNNING)
        with site.node.plane.api() as api:
            claim = api.get(f"/apis/resource.k8s.io/v1/namespaces/{SPACE}/resourceclaims/{object_name(ref)}")
        results = claim["status"]["allocation"]["devices"]["results"]
        assert {result["device"] for result in results} == wanted
        assert set(site.node.prepared()[claim["metadata"]["uid"]]) == wanted
    assert {card.foreign_milli for card in site.shows().devices} == {0}
    with pytest.raises(Rejected, match="DeviceBusy"):
        site.start("true", cards[2])
    for ref in refs:
        site.end(ref)
    wait_for(lambda: site.node.prepared() == {})
    with site.node.plane.api() as api:
        assert [*api.items(f"/apis/resource.k8s.io/v1/namespaces/{SPACE}/resourceclaims")] == []


def test_a_pod_gets_as_many_cards_as_were_chosen(site: Site) -> None:
    cards = site.shows().devices
    assert len(cards) == 8 and not any(card.is_identified for card in cards)
    ref, seen = site.run("echo $NVIDIA_VISIBLE_DEVICES", *cards[:3])
    assert (seen.state, seen.exit_code) == (O.SUCCEEDED, 0)
    uuids = site.log(ref).strip().split(",")
    assert len(uuids) == len(set(uuids) & set(site.node.uuids)) == 3
    ref, _ = site.run("echo cards: $NVIDIA_VISIBLE_DEVICES")
    assert site.log(ref) == "cards:\n"


def test_a_sick_card_is_shown_and_told_to_the_work_that_has_it(site: Site) -> None:
    cards = site.shows().devices
    ref = site.start("echo $NVIDIA_VISIBLE_DEVICES; sleep 1000", cards[0])
    site.until(ref, O.RUNNING)
    mine = wait_for(lambda: site.driver.logs(ref).text.strip())

    def sick() -> int:
        return sum(card.health == Health.UNHEALTHY for card in site.shows().devices)

    assert sick() == 0
    try:
        site.node.sicken(mine)
        wait_for(lambda: sick() == 1)
        seen = site.until(ref, O.RUNNING, reason="DeviceUnhealthy")
        assert mine in seen.message
        # What is left is handed out, and no more: the cluster counts the sick card that is held against the others.
        free = [card for card in site.shows().devices[1:] if card.health == Health.HEALTHY]
        assert len(free) == 6
        other, ended = site.run("echo $NVIDIA_VISIBLE_DEVICES", *free)
        assert ended.state == O.SUCCEEDED
        assert mine not in site.log(other)
    finally:
        site.node.sicken()
    wait_for(lambda: sick() == 0)
    wait_for(lambda: site.driver.observe(ref).reason == "")


# -- how it ends ------------------------------------------------------------------------------------------------------


def test_work_that_takes_too_much_memory_is_ended(site: Site) -> None:
    _, seen = site.run("tail /dev/zero", memory_mib=32)
    assert (seen.state, seen.reason, seen.exit_code) == (O.FAILED, "OutOfMemory", 137)


def test_the_exit_code_is_the_programs_own(site: Site) -> None:
    _, seen = site.run("sleep 1; echo it went wrong; exit 42")
    assert (seen.state, seen.reason, seen.exit_code) == (O.FAILED, "NonZeroExit", 42)
    assert "it went wrong" in seen.message
    assert seen.ran_seconds is not None and 1 <= seen.ran_seconds < 10


def test_the_site_stops_work_at_its_time_limit(site: Site) -> None:
    _, seen = site.run("sleep 1000", max_seconds=3)
    assert (seen.state, seen.reason) == (O.FAILED, "TimeLimit")


def test_an_image_that_cannot_be_had_is_told(site: Site) -> None:
    ref = site.start("true", image="localhost/not-there:1")
    assert "not-there" in site.until(ref, O.STARTING, reason="ImagePullFailed").message


def test_a_program_that_cannot_be_started_is_told(site: Site) -> None:
    _, seen = site.run("", command=("/no/such/program",))
    assert (seen.state, seen.reason) == (O.FAILED, "BadConfiguration"), seen
    assert "/no/such/program" in seen.message


def test_cancelled_work_has_its_grace(site: Site) -> None:
    ref = site.start("trap 'echo saving; sleep 1; echo saved; exit 0' TERM; echo ready; while :; do sleep 0.1; done",
                     grace_seconds=60)  # fmt: skip
    wait_for(lambda: site.driver.logs(ref).text == "ready\n")
    output = bytearray()
    reader = threading.Thread(target=lambda: output.extend(b"".join(site.driver.follow(ref))))
    reader.start()
    began = time.monotonic()
    assert site.driver.remove(ref).state == O.STOPPING
    site.end(ref)
    assert 1 <= time.monotonic() - began < 30
    reader.join(30)
    assert bytes(output) == b"ready\nsaving\nsaved\n"


def test_work_that_will_not_end_is_killed_after_its_grace(site: Site) -> None:
    ref = site.start("trap '' TERM; echo ready; while :; do sleep 0.1; done", grace_seconds=3)
    wait_for(lambda: site.driver.logs(ref).text == "ready\n")
    began = time.monotonic()
    site.end(ref)
    assert 2.5 <= time.monotonic() - began < 30


def test_what_is_said_to_be_gone_runs_no_more(site: Site) -> None:
    """Without any grace Kubernetes forgets a pod at once, whatever its containers still do."""
    ref = site.start("trap '' TERM; while :; do sleep 0.0987654; done", grace_seconds=0)
    site.until(ref, O.RUNNING)
    assert running_processes("sleep 0.0987654")
    site.end(ref)
    assert not running_processes("sleep 0.0987654")


def test_a_service_that_falls_over_is_started_again(site: Site) -> None:
    ref = site.start("echo hello; exit 3", kind="inference")
    seen = site.until(ref, O.STARTING, reason="CrashLoop")
    assert "exit code 3" in seen.message


# -- the node ---------------------------------------------------------------------------------------------------------


def test_work_goes_on_while_the_kubelet_is_away(site: Site) -> None:
    ref = site.start("while [ ! -e /tmp/stop ]; do sleep 0.1; done; exit 9")
    site.until(ref, O.RUNNING)
    began = site.driver.observe(ref).ran_seconds
    site.node.stop_kubelet()
    with pytest.raises((Rejected, Unavailable)):
        site.driver.shell(ref, ["true"])
    site.node.start_kubelet()
    wait_for(lambda: attempt(lambda: stop(site, ref)))
    seen = site.until(ref, O.FAILED)
    assert seen.exit_code == 9 and seen.ran_seconds is not None and began is not None
    wait_for(site.node._is_ready)


def test_after_a_crash_nothing_of_a_node_is_left(quiet: RealNode) -> None:
    """Killed with a container running: processes, mounts, cgroups, its address; settings never change."""

    def settings() -> list[str]:
        return [Path("/proc/sys", name).read_text() for name in ("vm/overcommit_memory", "kernel/panic")]

    def traces(name: str, address: str) -> list[str]:
        """Only its own: another session may have a node too."""
        addresses = subprocess.run(["ip", "-o", "address"], capture_output=True, text=True, check=True).stdout
        found = [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{name}")]
        return [*found, *re.findall(rf"inet {address}/", addresses)]

    program = (
        "from tests.kube import fleet; from tests.kube.node import RealNode; from tests.kube.plane import *\n"
        "plane = ControlPlane().start(); node = RealNode(plane, 'real-2').start(); api = plane.api()\n"
        "pod = fleet.pod('p'); pod['spec']['containers'][0]['command'] = ['sleep', '7654321']\n"
        "api.post('/api/v1/namespaces/default/pods', pod)\n"
        "while api.get('/api/v1/namespaces/default/pods/p')['status']['phase'] != 'Running': pass\n"
        "print(plane.folder, node._cgroup, node._address, flush=True); input()"
    )
    before = settings()
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as crashing:
        assert crashing.stdout
        folder, *names = crashing.stdout.readline().split()
        assert running_processes("7654321") and len(traces(*names)) > 1
        assert settings() == before
        os.kill(crashing.pid, signal.SIGKILL)
    wait_for(lambda: not running_processes(folder) and not Path(folder).exists())
    assert not running_processes("7654321")
    assert traces(*names) == []
    assert folder not in Path("/proc/self/mountinfo").read_text()


def stop(site: Site, ref: str) -> bool:
    with closing(site.driver.shell(ref, ["touch", "/tmp/stop"], is_tty=False)) as channel:
        said(channel)
        return channel.exit_code == 0


def attempt(act: Callable[[], bool]) -> bool:
    try:
        return act()
    except Exception:
        return False
