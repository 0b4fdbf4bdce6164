"""What a Docker host does beside the contract, on a real engine and by its own clock."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from federation.drivers.abilities import Restartable, Suspendable, Watchable
from federation.drivers.base import DriverConfig, Observation, Rejected, Unavailable, Volume, VolumeKind, WorkloadSpec
from federation.drivers.base import ObservedState as O
from federation.drivers.docker.driver import DockerDriver
from federation.drivers.docker.names import name_of
from tests.contracts.harness import spec
from tests.docker.engine import IMAGE, Engine
from tests.docker.registry import Registry

CARD = {"index": 0, "uuid": "GPU-0", "vendor": "nvidia", "model": "A100-80G", "memory_mib": 81920}


HEARS = "echo hears; while :; do sleep 0.1; done"  # by then its trap is set


class Site:
    def __init__(self, engine: Engine) -> None:
        self.engine, self.cluster = engine, f"cluster-{uuid4()}"

    def driver(self, epoch: int = 1, **settings: Any) -> DockerDriver:
        given = {"server": self.engine.unix, "name": "node-1", "default_image": IMAGE, "devices": [CARD],
                 "devices_by": "env", **settings}  # fmt: skip
        return DockerDriver(DriverConfig(self.cluster, "docker", epoch, given))

    def until(self, look: Callable[[], Observation], *states: O, seconds: float = 20.0) -> Observation:
        ends = time.monotonic() + seconds
        while (seen := look()).state not in states:
            assert time.monotonic() < ends, seen
            time.sleep(0.05)
        return seen

    def run(self, wanted: WorkloadSpec, *states: O, **settings: Any) -> Observation:
        driver = self.driver(**settings)
        driver.ensure(wanted)
        return self.until(lambda: driver.observe(wanted.ref), *(states or (O.RUNNING,)))

    def inspect(self, ref: str) -> Any:
        return self.engine.call("GET", f"/containers/{name_of(ref)}/json")


def work(*command: str, **changes: Any) -> WorkloadSpec:
    words = command or ("sleep", "600")
    plain = replace(spec(), cpu_milli=500, memory_mib=64, devices=(), command=words, grace_seconds=1)
    return replace(plain, **changes)


@pytest.fixture
def site(engine: Engine) -> Iterator[Site]:
    yield Site(engine)
    engine.clear()


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as registry:
        yield registry


pytestmark = pytest.mark.processes


def test_limits_labels_and_rights_stand_on_the_container(site: Site) -> None:
    volumes = (
        Volume("/dev/shm", VolumeKind.MEMORY, size_mib=32),
        Volume("/scratch"),
        Volume("/data", VolumeKind.CLAIM, source="datasets", is_read_only=True),
    )
    site.run(work(volumes=volumes, env={"NVIDIA_VISIBLE_DEVICES": "all"}, ports=(8888,)))
    found = site.inspect("work-1")
    host = found["HostConfig"]
    assert (host["NanoCpus"], host["Memory"], host["MemorySwap"]) == (500_000_000, 64 << 20, 64 << 20)
    assert (host["ShmSize"], host["PidsLimit"], host["RestartPolicy"]["Name"]) == (32 << 20, 4096, "no")
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert not host["Privileged"]
    mounts = {mount["Destination"]: (mount["Name"], mount["RW"]) for mount in found["Mounts"]}
    assert mounts["/data"] == ("datasets", False)
    assert mounts["/scratch"][1]
    assert "NVIDIA_VISIBLE_DEVICES=void" in found["Config"]["Env"], "nobody asks for a card by a variable"
    assert found["Config"]["Labels"]["aquifer.io/tenant"] == "acme"
    assert [one["HostIp"] for one in found["NetworkSettings"]["Ports"]["8888/tcp"]] == ["127.0.0.1"]
    site.engine.call("DELETE", f"/containers/{found['Id']}?force=1&v=1")
    site.engine.call("DELETE", "/volumes/datasets")


def test_a_host_without_the_toolkit_refuses_a_card_in_clear_words(site: Site) -> None:
    wanted = replace(work(), devices=spec().devices)
    with pytest.raises(Rejected) as refused:
        site.driver(devices_by="requests").ensure(wanted)
    assert refused.value.reason == "DeviceRefused"
    assert "container toolkit is missing" in refused.value.message
    site.until(lambda: site.driver().remove("work-1"), O.ABSENT)


def test_running_out_of_memory_a_signal_and_a_missing_command_are_told_apart(site: Site) -> None:
    hungry = site.run(work("dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1", ref="hungry"), O.FAILED)
    assert (hungry.reason, hungry.exit_code) == ("OutOfMemory", 137)
    lost = site.run(work("no-such-command", ref="lost"), O.FAILED)
    assert (lost.reason, lost.exit_code) == ("CommandNotFound", 127)
    failed = site.run(work("sh", "-c", "exit 7", ref="failed"), O.FAILED)
    assert (failed.reason, failed.exit_code) == ("NonZeroExit", 7)
    killed = site.run(work("sh", "-c", "kill -9 $$", ref="killed"), O.FAILED, O.SUCCEEDED)
    assert killed.exit_code in (0, 137), "PID 1 cannot kill itself"


def test_a_time_limit_is_kept_by_whoever_looks(site: Site) -> None:
    patient = work("sh", "-c", f"trap 'exit 0' TERM; {HEARS}", max_seconds=2, grace_seconds=15)
    seen = site.run(patient, O.FAILED)
    assert (seen.reason, seen.exit_code) == ("TimeLimit", 124)


def test_grace_is_given_and_then_no_more(site: Site) -> None:
    site.run(work("sh", "-c", f"trap 'echo heard' TERM; {HEARS}"))
    while "hears" not in site.driver().logs("work-1").text:  # a shell that has no trap yet ends at once
        time.sleep(0.05)
    began = time.monotonic()
    assert site.driver().remove("work-1").state == O.STOPPING
    site.until(lambda: site.driver().remove("work-1"), O.ABSENT)
    assert 0.5 < time.monotonic() - began < 10


def test_work_stands_still_goes_on_and_starts_anew_and_its_time_counts_on(site: Site) -> None:
    driver = site.driver()
    assert isinstance(driver, Suspendable) and isinstance(driver, Restartable)
    site.run(work())
    for _ in range(2):
        assert (driver.suspend("work-1").reason, site.inspect("work-1")["State"]["Paused"]) == ("Suspended", True)
    for _ in range(2):
        assert (driver.resume("work-1").reason, site.inspect("work-1")["State"]["Paused"]) == ("", False)
    before = driver.observe("work-1").ran_seconds or 0.0
    after = driver.restart("work-1", is_hard=True)
    assert (after.state, (after.ran_seconds or 0.0) >= before) == (O.RUNNING, True)
    with pytest.raises(Rejected):
        driver.suspend("nobody")


def test_what_was_vanished_is_not_made_again(site: Site) -> None:
    site.run(work())
    site.engine.call("DELETE", f"/containers/{name_of('work-1')}?force=1")
    assert site.driver().observe("work-1").state == O.ABSENT
    assert site.driver().ensure(work()).state == O.ABSENT
    assert site.engine.containers() == []


def test_a_ledger_that_was_pruned_is_read_from_the_containers(site: Site) -> None:
    site.run(replace(work(), devices=spec().devices))
    site.engine.call("POST", "/volumes/prune")  # as an operator of this version does who tidies up
    seen = site.driver().observe("work-1")
    assert site.engine.call("GET", "/volumes")["Volumes"] == []
    assert (seen.state, seen.epoch, seen.generation) == (O.RUNNING, 1, 1)
    with pytest.raises(Rejected, match="DeviceBusy"):
        site.driver().ensure(replace(work(ref="work-2"), devices=spec().devices))


def test_two_who_grant_one_card_at_once_do_not_both_have_it(site: Site) -> None:
    answers: list[object] = []

    def ask(ref: str) -> None:
        try:
            answers.append(site.driver().ensure(replace(work(ref=ref), devices=spec().devices)).state)
        except (Rejected, Unavailable) as error:
            answers.append(error)

    threads = [threading.Thread(target=ask, args=(f"work-{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(answer == O.RUNNING for answer in answers) <= 1, answers
    assert len(site.engine.containers()) <= 1


def test_what_others_run_is_taken_off_and_never_touched(site: Site) -> None:
    body = {
        "Image": IMAGE, "Cmd": ["sleep", "600"], "Env": ["NVIDIA_VISIBLE_DEVICES=GPU-0"], "Labels": {"stranger": "yes"},
        "HostConfig": {"NanoCpus": 250_000_000, "Memory": 32 << 20},
    }  # fmt: skip
    made = site.engine.call("POST", "/containers/create", body)["Id"]
    site.engine.call("POST", f"/containers/{made}/start")
    (node,) = site.driver().inventory()
    assert (node.foreign_cpu_milli, node.foreign_memory_mib) == (250, 32)
    assert [device.foreign_milli for device in node.devices] == [1000]
    assert list(site.driver().refs()) == []
    site.engine.call("DELETE", f"/containers/{made}?force=1")
    (node,) = site.driver().inventory()
    assert (node.foreign_cpu_milli, node.devices[0].foreign_milli) == (0, 0)


def test_use_of_work_is_measured_between_two_looks(site: Site) -> None:
    site.run(work("sh", "-c", "dd if=/dev/zero of=/written bs=1M count=8 conv=fsync; while :; do :; done"))
    at = datetime.now(UTC)
    list(site.driver().usage(at, at))
    time.sleep(0.3)  # for there to be something to measure
    (sample,) = site.driver().usage(at, at)
    assert sample.ref == "work-1"
    assert sample.cpu_milli is not None and 100 < sample.cpu_milli < 900, "it may have half a core"
    assert sample.net_in_kibps is not None and sample.net_out_kibps is not None
    assert sample.disk_read_kibps is None or sample.disk_read_kibps >= 0


def test_changes_are_told_live(site: Site) -> None:
    driver = site.driver()
    assert isinstance(driver, Watchable)
    watch, stop = driver.watch(), threading.Event()
    threads = [threading.Thread(target=loop, args=(stop,)) for loop in watch.loops()]
    for thread in threads:
        thread.start()
    try:
        assert watch.wait(10)
        first = watch.changes()
        assert first.is_complete and [node.name for node in first.nodes] == ["node-1"]
        site.run(work())
        assert watch.wait(10)
        ends = time.monotonic() + 10
        while list(watch.running()) != ["work-1"] and time.monotonic() < ends:
            time.sleep(0.02)
        assert "work-1" in watch.changes().refs
        site.until(lambda: driver.remove("work-1"), O.ABSENT)
        while watch.running() and time.monotonic() < ends:
            time.sleep(0.02)
        assert list(watch.running()) == [] and watch.trouble() == ""
    finally:
        stop.set()
        for thread in threads:
            thread.join(5)


def test_a_restart_of_the_engine_ends_what_ran_and_keeps_how(site: Site) -> None:
    site.run(work())
    site.run(work("sh", "-c", "exit 5", ref="ended"), O.FAILED)
    site.engine.stop_daemon()
    with pytest.raises(Unavailable):
        site.driver().observe("work-1")
    site.engine.start_daemon()
    assert site.driver().observe("ended").exit_code == 5
    assert site.driver().observe("work-1").state == O.FAILED
    site.driver(2).ensure(work(epoch=2, ref="new"))
    with pytest.raises(Rejected, match="OldGeneration"):
        site.driver().ensure(work(ref="late"))


# -- images --------------------------------------------------------------------------------------------------


def test_an_image_is_fetched_while_nobody_waits(site: Site, registry: Registry) -> None:
    wanted = work("cat", "/hello", image=registry.image("slow", hello="fetched"), ref="puller")
    registry.hold.set()  # the layer's second half does not come yet
    began = time.monotonic()
    for _ in range(3):
        seen = site.driver().ensure(wanted)
        assert (seen.state, seen.reason) == (O.STARTING, "ImagePulling")
    assert time.monotonic() - began < 5
    assert site.engine.containers() == []
    registry.hold.clear()
    seen = site.until(lambda: site.driver().observe("puller"), O.FAILED, O.SUCCEEDED, seconds=30)
    assert registry.served["blobs"] == 1, "one fetch, not one for each call"
    assert seen.reason in ("", "CommandNotFound"), "the image has a file and no program"


def test_an_image_that_is_not_there_is_told_and_tried_again(site: Site, registry: Registry) -> None:
    name = f"127.0.0.1:{registry.port}/none:1"
    seen = site.driver().ensure(work(image=name))
    for _ in range(50):
        if seen.reason == "ImagePullFailed":
            break
        seen = site.driver().observe("work-1")
    assert (seen.state, seen.reason) == (O.STARTING, "ImagePullFailed")
    assert "none" in seen.message or "manifest" in seen.message
    site.until(lambda: site.driver().remove("work-1"), O.ABSENT)


# -- trust -----------------------------------------------------------------------------------------------------


def test_a_stranger_is_not_let_in_and_a_wrong_name_not_believed(engine: Engine) -> None:
    def why(**changes: Any) -> str:
        secrets = {**engine.secrets, **changes.pop("secrets", {})}
        settings = {"server": engine.url, "address": "127.0.0.1", **changes}
        with pytest.raises(Unavailable) as refused:
            DockerDriver(DriverConfig("c", "docker", 1, settings, secrets)).check()
        assert "PRIVATE KEY" not in str(refused.value)
        return str(refused.value)

    cert, key = engine.papers.stranger
    assert "TLSInvalid" in why(secrets={"client_cert_pem": cert, "client_key_pem": key})
    assert "another name" in why(tls_server_name="other.test")
    assert "authority" in why(secrets={"ca_pem": cert}) or "TLSInvalid" in why(secrets={"ca_pem": cert})
    assert "neither" in why(server="http://docker.test:2375")
