"""Images by address on a real libvirt: fetched into the host's pool in steps, once, checked, and started from."""

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from federation.drivers.base import Boot, DriverConfig, Rejected, WorkloadSpec
from federation.drivers.base import ObservedState as O
from federation.drivers.kvm.driver import KvmDriver
from federation.drivers.kvm.line import close_all
from federation.drivers.kvm.trees import parsed
from tests.kvm import guest
from tests.kvm.imageserver import ImageServer
from tests.kvm.test_real_work import domain_of, driver, has_ticked, spec, until

__all__ = ["driver"]  # a fixture
PADDED = 6 << 20


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ImageServer]:
    with ImageServer() as made:
        made.files["/guest.raw"] = guest.write_image(tmp_path / "guest.raw").read_bytes().ljust(PADDED, b"\0")
        yield made


@pytest.fixture
def fetching(driver: KvmDriver) -> KvmDriver:
    return KvmDriver(DriverConfig("cluster-1", "kvm", 1, {**driver.config.settings, "image_loopback": True}))


def by_address(server: ImageServer, path: str = "/guest.raw", ref: str = "work-1", **changes: Any) -> WorkloadSpec:
    boot = {"image_url": server.url(path), "image_sha256": hashlib.sha256(server.files[path]).hexdigest(), **changes}
    return spec(ref, boot=Boot(**boot))


def volumes(driver: KvmDriver, libvirtd: Any) -> list[str]:
    found = libvirtd.open().storagePoolLookupByName(driver.config.settings["pool"]).listVolumes()
    return sorted(name for name in found if name.startswith("aquifer-image."))


def test_a_machine_starts_from_an_image_that_was_fetched_once(
    fetching: KvmDriver, server: ImageServer, libvirtd: Any
) -> None:
    wanted = by_address(server)
    assert until(lambda: fetching.ensure(wanted), lambda seen: seen.state != O.PENDING).state == O.RUNNING
    assert has_ticked(fetching).startswith("tick\n")
    name, done = volumes(fetching, libvirtd)
    assert done == f"{name}.done.raw.{PADDED}" and wanted.boot is not None and wanted.boot.image_sha256 in name
    disk = parsed(domain_of(libvirtd).XMLDesc()).find("devices/disk/source")
    assert disk is not None
    volume = libvirtd.open().storageVolLookupByPath(disk.get("file"))
    assert (parsed(volume.XMLDesc()).findtext("backingStore/path") or "").endswith(name)
    asked = len(server.asked)
    again = by_address(server, ref="work-2", image_format="raw")
    assert until(lambda: fetching.ensure(again), lambda seen: seen.state != O.PENDING).state == O.RUNNING
    assert len(server.asked) == asked, "the host has it"
    until(lambda: fetching.remove("work-1"), lambda seen: seen.state == O.ABSENT)
    assert len(volumes(fetching, libvirtd)) == 2, "others may start from it"


def test_it_comes_in_steps_that_say_how_far_they_are(fetching: KvmDriver, server: ImageServer, libvirtd: Any) -> None:
    server.cut_at = 2 << 20
    said = []
    wanted = by_address(server)

    def step() -> Any:
        seen = fetching.ensure(wanted)
        said.append((seen.state, seen.reason, seen.message))
        return seen

    assert until(step, lambda seen: seen.state != O.PENDING).state == O.RUNNING
    assert said[0][:2] == (O.PENDING, "ImagePulling")
    assert "2 of 6 MiB are here." in said[0][2] and "4 of 6 MiB are here." in said[1][2]
    assert has_ticked(fetching)


def test_a_process_that_dies_leaves_it_to_another(
    fetching: KvmDriver, server: ImageServer, libvirtd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.cut_at = 2 << 20
    wanted = by_address(server)
    assert fetching.ensure(wanted).state == O.PENDING
    close_all()  # its process, and with it the checksum of what it had
    seen = fetching.ensure(wanted)
    assert (seen.state, seen.reason) == (O.PENDING, "ImagePulling")
    left = [name for name in volumes(fetching, libvirtd) if ".at." not in name]
    assert len(left) == 1, "nobody takes it from one who may be at it still"
    pool = libvirtd.open().storagePoolLookupByName(fetching.config.settings["pool"])
    for name in volumes(fetching, libvirtd):
        if ".at." in name:
            pool.storageVolLookupByName(name).delete(0)  # as if it were two minutes later
    assert until(lambda: fetching.ensure(wanted), lambda seen: seen.state != O.PENDING).state == O.RUNNING
    assert not set(left) & set(volumes(fetching, libvirtd)), "what it left is gone"


def qcow2(backing: int = 0, features: int = 0) -> bytes:
    head = b"QFI\xfb" + struct.pack(">IQIIQ", 3, backing, 0, 16, 64 << 20)
    return head.ljust(72, b"\0") + struct.pack(">Q", features) + bytes(4096)


@pytest.mark.parametrize(
    ("data", "said", "reason"),
    [
        (b"anything", {"image_sha256": "0" * 64}, "ImageChecksumWrong"),
        (b"anything", {"image_format": "qcow2"}, "ImageFormatWrong"),
        (b"anything", {"image_format": "iso"}, "ImageFormatNotSupported"),
        (b"anything", {"image_sha256": ""}, "ChecksumRequired"),
        (qcow2(backing=200), {}, "ImageNotWhole"),
        (qcow2(features=4), {"image_format": "qcow2"}, "ImageNotWhole"),
    ],
)
def test_what_is_not_what_was_said_is_refused_and_not_kept(
    fetching: KvmDriver, server: ImageServer, libvirtd: Any, data: bytes, said: dict[str, str], reason: str
) -> None:
    server.files["/x"] = data
    with pytest.raises(Rejected) as refused:
        until(lambda: fetching.ensure(by_address(server, "/x", **said)), lambda seen: seen.state != O.PENDING)
    assert refused.value.reason == reason
    assert volumes(fetching, libvirtd) == [] and list(fetching.refs()) == []


def test_what_was_taken_back_is_not_fetched_for(fetching: KvmDriver, server: ImageServer) -> None:
    server.cut_at = 2 << 20
    wanted = by_address(server)
    assert fetching.ensure(wanted).state == O.PENDING
    assert fetching.observe("work-1").state == O.ABSENT
    assert fetching.remove("work-1").state == O.ABSENT
    with pytest.raises(Rejected, match="OldGeneration"):
        fetching.ensure(wanted)


def test_only_where_a_site_may_be(driver: KvmDriver, server: ImageServer) -> None:
    with pytest.raises(Rejected, match="ImageAddressRefused"):
        driver.ensure(by_address(server))
    assert server.asked == []
