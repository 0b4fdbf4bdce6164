"""One machine on a real libvirt from its order to its end, through the child process: what the contract leaves out."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from federation.drivers.abilities import (
    BulkObserver,
    DevicePlug,
    EventReader,
    LogReader,
    Restartable,
    ScreenAccess,
    Suspendable,
    WorkLister,
)  # fmt: skip
from federation.drivers.base import Boot, DriverConfig, Observation, Rejected, Unavailable, WorkloadSpec
from federation.drivers.base import ObservedState as O
from federation.drivers.kvm.driver import KvmDriver
from federation.drivers.kvm.line import close_all
from federation.drivers.kvm.trees import parsed
from tests.contracts.harness import spec as plain

NODE = "host-1"
_numbers = count(1)
PATIENCE = 30.0


@pytest.fixture
def driver(libvirtd: Any) -> Iterator[KvmDriver]:
    pool = f"work-{next(_numbers)}"
    settings = {
        "server": libvirtd.server(), "node": NODE, "default_image": "guest.raw", "pool": pool,
        "pool_path": f"/var/lib/libvirt/images/{pool}",
    }  # fmt: skip
    yield KvmDriver(DriverConfig("cluster-1", "kvm", 1, settings))
    close_all()
    connection = libvirtd.open()
    for domain in connection.listAllDomains():
        if domain.isActive():
            domain.destroy()
        domain.undefine()
    connection.close()


def spec(ref: str = "work-1", **changes: Any) -> WorkloadSpec:
    return plain(ref, **{"node": NODE, "devices": (), "cpu_milli": 1000, "memory_mib": 64, "command": (), **changes})


def until(look: Callable[[], Any], is_so: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not is_so(found := look()):
        assert time.monotonic() < deadline, f"It never came to that: {found}"
        time.sleep(0.05)
    return found


def domain_of(libvirtd: Any, ref: str = "work-1") -> Any:
    return libvirtd.open().lookupByName(f"aquifer-{ref}")


def has_ticked(driver: KvmDriver, ref: str = "work-1") -> str:
    return str(until(lambda: driver.logs(ref).text, lambda text: text.count("tick") >= 1))


def test_its_abilities(driver: KvmDriver) -> None:
    for ability in (
        BulkObserver, DevicePlug, EventReader, LogReader, Restartable, ScreenAccess, Suspendable, WorkLister,
    ):  # fmt: skip
        assert isinstance(driver, ability)


def test_the_node_says_what_it_is(driver: KvmDriver, libvirtd: Any) -> None:
    (node,) = driver.inventory()
    connection = libvirtd.open()
    _, memory, cpus, *_ = connection.getInfo()
    assert (node.name, node.cpu_milli, node.memory_mib) == (NODE, cpus * 1000, memory)
    uuid = parsed(connection.getCapabilities()).findtext("host/uuid")
    assert node.labels["aquifer.io/host-uuid"] == uuid


def test_what_the_host_keeps_for_itself_is_not_handed_out(driver: KvmDriver) -> None:
    settings = {**driver.config.settings, "reserved_cpu_milli": 500, "reserved_memory_mib": 100}
    (less,) = KvmDriver(replace(driver.config, settings=settings)).inventory()
    (all_,) = driver.inventory()
    assert (all_.cpu_milli - less.cpu_milli, all_.memory_mib - less.memory_mib) == (500, 100)


def test_a_machine_of_somebody_else_is_counted_and_left_alone(driver: KvmDriver, libvirtd: Any) -> None:
    connection = libvirtd.open()
    connection.createXML(
        "<domain type='qemu'><name>theirs</name><memory unit='MiB'>96</memory><vcpu>2</vcpu>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os></domain>"
    )
    (node,) = driver.inventory()
    assert (node.foreign_cpu_milli, node.foreign_memory_mib) == (2000, 96)
    assert list(driver.refs()) == []
    assert connection.lookupByName("theirs").isActive()
    connection.lookupByName("theirs").destroy()


def test_a_machine_boots_its_image_and_its_console_is_read(driver: KvmDriver) -> None:
    assert driver.ensure(spec()).state == O.RUNNING
    text = has_ticked(driver)
    assert text.startswith("tick\n")
    chunk = driver.logs("work-1", 2, 3)
    assert (chunk.text, chunk.next_offset, chunk.is_complete) == ("ck\n", 5, False)


def test_its_disk_is_its_own_and_the_image_stays_as_it_is(driver: KvmDriver, libvirtd: Any) -> None:
    driver.ensure(spec(boot=Boot(disk_mib=64)))
    root = parsed(domain_of(libvirtd).XMLDesc())
    disks = {d.get("device"): d for d in root.iterfind("devices/disk")}
    path = disks["disk"].find("source").get("file")  # type: ignore[union-attr]
    assert path == f"{driver.config.settings['pool_path']}/aquifer-work-1.qcow2"
    volume = libvirtd.open().storageVolLookupByPath(path)
    assert volume.info()[1] == 64 << 20
    store = parsed(volume.XMLDesc()).findtext("backingStore/path")
    assert store == "/var/lib/libvirt/images/guest.raw"
    assert "cdrom" in disks


def test_it_is_asked_to_go_and_goes(driver: KvmDriver, libvirtd: Any) -> None:
    driver.ensure(spec(grace_seconds=30))
    has_ticked(driver)
    began = time.monotonic()
    assert driver.remove("work-1").state == O.STOPPING
    until(lambda: driver.remove("work-1"), lambda seen: seen.state == O.ABSENT)
    assert time.monotonic() - began < 20, "it was not waited for to the end of its grace"
    pool = libvirtd.open().storagePoolLookupByName(driver.config.settings["pool"])
    pool.refresh()
    left = [name for name in pool.listVolumes() if "gone" not in name and "epoch" not in name]
    assert left == []
    assert driver.observe("work-1") == Observation("work-1", O.ABSENT)


def test_who_does_not_hear_has_the_plug_pulled_after_its_grace(driver: KvmDriver, libvirtd: Any) -> None:
    driver.ensure(spec(grace_seconds=2))  # its firmware is still at work, and hears nothing
    began = time.monotonic()
    assert driver.remove("work-1").state == O.STOPPING
    domain = domain_of(libvirtd)
    assert domain.isActive()
    until(lambda: driver.remove("work-1"), lambda seen: seen.state == O.ABSENT)
    assert time.monotonic() - began < 12


def test_a_machine_that_goes_off_by_itself_has_succeeded(driver: KvmDriver, libvirtd: Any) -> None:
    driver.ensure(spec())
    has_ticked(driver)
    domain_of(libvirtd).shutdown()
    seen = until(lambda: driver.observe("work-1"), lambda one: one.state != O.RUNNING)
    assert (seen.state, seen.exit_code, seen.reason) == (O.SUCCEEDED, 0, "")
    time.sleep(0.3)
    assert driver.observe("work-1") == seen
    assert driver.ensure(spec()) == seen
    assert driver.logs("work-1").is_complete


def test_an_end_is_known_to_the_second_while_somebody_listens(driver: KvmDriver, libvirtd: Any) -> None:
    driver.ensure(spec())
    has_ticked(driver)
    alive = driver.observe("work-1").ran_seconds or 0.0
    domain_of(libvirtd).shutdown()
    began = time.monotonic()
    course = "urn:aquifer:kvm:course:1"
    until(lambda: domain_of(libvirtd).metadata(2, course), lambda text: "ended=" in text)
    seen = driver.observe("work-1")
    assert alive <= (seen.ran_seconds or 0.0) <= alive + (time.monotonic() - began) + 1.5


def test_a_machine_that_is_killed_has_failed(driver: KvmDriver, libvirtd: Any) -> None:
    driver.ensure(spec())
    domain_of(libvirtd).destroy()
    seen = until(lambda: driver.observe("work-1"), lambda one: one.state != O.RUNNING)
    assert (seen.state, seen.reason) == (O.FAILED, "StoppedAtSite")


def test_a_machine_outlives_its_libvirt_and_its_count_goes_on(driver: KvmDriver, libvirtd: Any) -> None:
    driver.ensure(spec())
    has_ticked(driver)
    before = driver.observe("work-1").ran_seconds or 0.0
    libvirtd.stop_daemon()
    libvirtd.start_daemon()
    seen = until(lambda: _tried(lambda: driver.observe("work-1")), lambda one: one is not None)
    assert (seen.state, seen.epoch, seen.generation) == (O.RUNNING, 1, 1)
    assert seen.ran_seconds > before
    with pytest.raises(Rejected, match="OldGeneration"):
        driver.ensure(spec("other", epoch=0))


def test_it_runs_as_long_as_the_clock_says(driver: KvmDriver) -> None:
    driver.ensure(spec())
    first, began = driver.observe("work-1").ran_seconds or 0.0, time.monotonic()
    time.sleep(2)
    ran = (driver.observe("work-1").ran_seconds or 0.0) - first
    assert ran == pytest.approx(time.monotonic() - began, abs=0.3)


def test_its_time_limit_is_kept(driver: KvmDriver) -> None:
    driver.ensure(spec(max_seconds=1))
    seen = until(lambda: driver.observe("work-1"), lambda one: one.state != O.RUNNING)
    assert (seen.state, seen.reason, seen.ran_seconds) == (O.FAILED, "TimeLimit", 1.0)


def test_it_stands_still_and_goes_on(driver: KvmDriver, libvirtd: Any) -> None:
    driver.ensure(spec())
    has_ticked(driver)
    for _ in range(2):
        assert driver.suspend("work-1").reason == "Suspended"
    still = driver.logs("work-1").text
    time.sleep(1.5)
    assert driver.logs("work-1").text == still
    for _ in range(2):
        assert (driver.resume("work-1").state, driver.resume("work-1").reason) == (O.RUNNING, "")
    until(lambda: driver.logs("work-1").text, lambda text: len(text) > len(still))
    assert [e.reason for e in driver.events("work-1")] == ["Accepted", "Started", "Suspended", "Resumed"]


def test_it_is_started_anew_in_place(driver: KvmDriver, libvirtd: Any) -> None:
    driver.ensure(spec())
    has_ticked(driver)
    number = domain_of(libvirtd).ID()
    assert driver.restart("work-1", is_hard=True).state == O.RUNNING
    assert domain_of(libvirtd).ID() == number
    before = driver.logs("work-1").text.count("tick")
    until(lambda: driver.logs("work-1").text.count("tick"), lambda ticks: ticks > before + 1)


def test_its_screen_is_at_the_host_behind_a_password(driver: KvmDriver) -> None:
    driver.ensure(spec())
    screen = driver.screen("work-1")
    assert screen is not None
    assert (screen.kind, screen.host) == ("vnc", "127.0.0.1")
    assert screen.port >= 5900 and len(screen.password) == 8


def test_figures_of_a_machine(driver: KvmDriver) -> None:
    driver.ensure(spec())
    now = datetime.now(UTC)
    list(driver.usage(now - timedelta(seconds=10), now))
    time.sleep(1)
    (sample,) = driver.usage(now - timedelta(seconds=10), now + timedelta(seconds=5))
    assert sample.ref == "work-1" and sample.memory_used_mib and sample.cpu_milli is not None
    assert sample.disk_read_kibps is not None and sample.disk_write_kibps == 0, "its guest only reads"
    assert sample.net_in_kibps is None, "QEMU's own network is counted by nobody"


def test_memory_that_was_changed_at_the_host_is_seen(driver: KvmDriver, libvirtd: Any) -> None:
    driver.ensure(spec(hold=True))
    domain_of(libvirtd).setMaxMemory(128 << 10)
    driver.ensure(spec())
    seen = driver.observe("work-1")
    assert (seen.state, seen.reason) == (O.BROKEN, "ChangedAtSite")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"image": "nothing.raw"}, "NoSuchImage"),
        ({"image": "/nowhere/nothing.raw"}, "NoSuchImage"),
        ({"boot": Boot(image_url="https://example.org/x.qcow2")}, "ChecksumRequired"),
        ({"node": "other"}, "NoSuchNode"),
        ({"secret_env": ("s",)}, "SecretsNotSupported"),
    ],
)
def test_what_cannot_be_is_refused(driver: KvmDriver, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Rejected) as refused:
        driver.ensure(spec(**changes))
    assert refused.value.reason == reason
    assert list(driver.refs()) == []


def test_a_domain_of_that_name_that_is_not_ours_is_not_touched(driver: KvmDriver, libvirtd: Any) -> None:
    connection = libvirtd.open()
    connection.defineXML(
        "<domain type='qemu'><name>aquifer-work-1</name><memory unit='MiB'>32</memory>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os></domain>"
    )
    with pytest.raises(Rejected, match="NameTaken"):
        driver.ensure(spec())
    assert driver.remove("work-1").state == O.ABSENT
    assert connection.lookupByName("aquifer-work-1")


def test_tombstones_are_forgotten_after_two_days(driver: KvmDriver, libvirtd: Any) -> None:
    driver.remove("fresh")
    pool = libvirtd.open().storagePoolLookupByName(driver.config.settings["pool"])
    old = f"aquifer-gone.{'0' * 40}.{time.time() - 49 * 3600:.0f}"
    pool.createXML(f"<volume><name>{old}</name><capacity>0</capacity></volume>")
    assert old in pool.listVolumes()
    list(driver.refs())
    assert old not in pool.listVolumes()
    with pytest.raises(Rejected, match="OldGeneration"):
        driver.ensure(spec("fresh"))


def _tried(look: Callable[[], Observation]) -> Observation | None:
    try:
        return look()
    except Unavailable:
        return None
