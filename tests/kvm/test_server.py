"""Which servers are read, and which are refused in words."""

from typing import Any

import pytest

from federation.drivers.base import DriverConfig, Unavailable
from federation.drivers.kvm import dial
from federation.drivers.kvm.server import endpoint_of
from federation.drivers.kvm.ways import Ways

SSH = {"ssh_private_key": "key", "ssh_known_hosts": "h ssh-ed25519 AAAA"}


def config(server: str, secrets: dict[str, str] | None = None, **settings: Any) -> DriverConfig:
    return DriverConfig("c", "kvm", 1, {"server": server, **settings}, secrets or {})


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("qemu+tls://kvm-1/system", ("tls", "kvm-1", 16514, "", "")),
        ("qemu+tls://kvm-1:7000/system", ("tls", "kvm-1", 7000, "", "")),
        ("qemu+ssh://root@kvm-1/system", ("ssh", "kvm-1", 22, "root", "")),
        ("qemu+tcp://[::1]:5/system", ("tcp", "::1", 5, "", "")),
        ("qemu+unix:///run/libvirt/libvirt-sock", ("unix", "", 0, "", "/run/libvirt/libvirt-sock")),
        ("test:///a/b.xml", ("test", "", 0, "", "/a/b.xml")),
    ],
)
def test_servers_that_are_read(server: str, expected: tuple[str, str, int, str, str]) -> None:
    found = endpoint_of(config(server, SSH))
    assert (found.way, found.host, found.port, found.user, found.path) == expected


@pytest.mark.parametrize(
    "server",
    [
        "", "https://h/", "qemu:///system", "qemu+tls:///system", "qemu+tls://h/session", "qemu+ext://h/system",
        "qemu+ssh://-oProxyCommand=x@h/system", "qemu+ssh://-h/system", "qemu+ssh://u:p@h/system",
        "qemu+ssh://h/system?command=/bin/sh", "qemu+tls://h/system#x", "qemu+unix://h/path", "qemu+tcp://h:port/system",
    ],
)  # fmt: skip
def test_servers_that_are_refused(server: str) -> None:
    with pytest.raises(Unavailable):
        endpoint_of(config(server, SSH))


def test_ssh_wants_a_key_and_the_hosts_own() -> None:
    for name in SSH:
        with pytest.raises(Unavailable, match="SSH needs"):
            endpoint_of(config("qemu+ssh://h/system", {k: v for k, v in SSH.items() if k != name}))


def test_ssh_is_strict_and_reads_nothing_of_the_users() -> None:
    words = dial.ssh_words(endpoint_of(config("qemu+ssh://u@h:2222/system", SSH, address="10.1.2.3")), "K", "H")
    assert words[:3] == ["ssh", "-F", "none"] and words[-2] == "10.1.2.3" and words[-3] == "--"
    for option in (
        "StrictHostKeyChecking=yes", "UserKnownHostsFile=H", "GlobalKnownHostsFile=none", "HostKeyAlias=[h]:2222",
        "IdentityAgent=none", "IdentitiesOnly=yes", "IdentityFile=K", "BatchMode=yes", "ControlPath=none",
    ):  # fmt: skip
        assert option in words
    assert words[words.index("-l") + 1] == "u"


def test_settings_that_are_wrong_are_said() -> None:
    for settings in ({"pool": 5}, {"mdev_types": "x"}, {"mdev_types": [1]}, {"reserved_memory_mib": "much"}):
        with pytest.raises(Unavailable, match=next(iter(settings))):
            Ways.of(settings)
    assert Ways.of({"mdev_types": ["a"], "pool": "p", "server": "x"}) == Ways(mdev_types=("a",), pool="p")
