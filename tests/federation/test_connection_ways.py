"""What a connection of each driver may have, and what is refused with the field and the words."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from federation.certificates import BadConnection
from federation.connections import Connection, Machine, Way, checked
from tests.certificates import NOW, authority, client

CERT, KEY = client()
PAIR = {"client_cert_pem": CERT, "client_key_pem": KEY}
LOGIN = {"username": "admin", "password": "canary-password"}
HOSTS = "kvm-1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGzBQ1tHbJ0yU3n0cQpF0mVhY2VkYmVlZjAwMTEyMjMz admin@kvm-1\n"
MACHINES = [{"name": "srv-1", "server": "https://10.9.0.1"}, {"name": "srv-2", "server": "https://10.9.0.2/"}]


@pytest.fixture(scope="module")
def ssh() -> str:
    key = ed25519.Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def way(driver: str, machines: Any = (), **parts: str) -> Connection:
    return checked(parts, now=NOW, driver=driver, machines=machines)


def test_each_driver_takes_what_lets_it_in(ssh: str) -> None:
    docker = way("docker", server="https://Docker-1:2376", ca_pem=authority(), **PAIR)
    assert (docker.server, docker.way) == ("https://docker-1:2376", Way.CERTIFICATE)
    assert set(docker.secrets) == {"ca_pem", "client_cert_pem", "client_key_pem"}
    tls = way("kvm", server="qemu+tls://kvm-1", ca_pem=authority(), **PAIR)
    assert (tls.server, tls.way) == ("qemu+tls://kvm-1/system", Way.CERTIFICATE)
    over_ssh = way("kvm", server="qemu+ssh://root@kvm-1:2222/system", ssh_private_key=ssh, ssh_known_hosts=HOSTS)
    assert (over_ssh.server, over_ssh.way) == ("qemu+ssh://root@kvm-1:2222/system", Way.SSH_KEY)
    assert over_ssh.ssh_known_hosts == " ".join(HOSTS.split()[:3]) + "\n", "comments are not kept"
    assert way("kvm", server="qemu+unix:///run/libvirt/libvirt-sock").way == Way.SOCKET
    bare = way("redfish", MACHINES, **LOGIN)
    assert bare.machines == (Machine("srv-1", "https://10.9.0.1"), Machine("srv-2", "https://10.9.0.2"))
    assert (bare.server, bare.way) == ("https://10.9.0.1", Way.PASSWORD)
    for one in (docker, tls, over_ssh, bare):
        shown = repr(one)
        assert not any(secret.strip() in shown for secret in one.secrets.values())


def test_a_key_in_another_form_becomes_openssh() -> None:
    assert way("kvm", server="qemu+ssh://a@h", ssh_private_key=KEY, ssh_known_hosts=HOSTS).ssh_private_key.startswith(
        "-----BEGIN OPENSSH PRIVATE KEY-----"
    )
    key = ed25519.Ed25519PrivateKey.generate()
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"words")).decode()
    with pytest.raises(BadConnection, match="password") as refused:
        way("kvm", server="qemu+ssh://a@h", ssh_private_key=locked, ssh_known_hosts=HOSTS)
    assert (refused.value.pointer, refused.value.code) == ("/ssh_private_key", "key-encrypted")


@pytest.mark.parametrize(
    ("driver", "parts", "pointer", "code"),
    [
        ("docker", {"server": "https://h"}, "/client_cert_pem", "required"),
        ("docker", {"server": "https://h", "client_cert_pem": CERT}, "/client_key_pem", "required"),
        ("docker", {"server": "https://h", "token": "t" * 20, **PAIR}, "/token", "not-taken"),
        ("docker", {"server": "tcp://h:2375"}, "/server", "not-https"),
        ("docker", {"server": "unix:///run/../etc/x"}, "/server", "bad-path"),
        ("kvm", {"server": "https://h"}, "/server", "bad-scheme"),
        ("kvm", {"server": "qemu+tls://root@h/system", **PAIR}, "/server", "userinfo"),
        ("kvm", {"server": "qemu+ssh://root:word@h/system"}, "/server", "userinfo"),
        ("kvm", {"server": "qemu+ssh://h/system?command=/bin/sh"}, "/server", "query"),
        ("kvm", {"server": "qemu+ssh://h/etc"}, "/server", "bad-path"),
        ("kvm", {"server": "qemu+ssh://h/system"}, "/ssh_private_key", "required"),
        ("kvm", {"server": "qemu+ssh://h", "ssh_private_key": KEY, "ssh_known_hosts": "h"}, "/ssh_known_hosts",
         "bad-known-hosts"),
        ("kvm", {"server": "qemu+ssh://h", "ssh_private_key": "x", "ssh_known_hosts": HOSTS}, "/ssh_private_key",
         "bad-key"),
        ("kvm", {"server": "qemu+tcp://h"}, "/username", "required"),
        ("redfish", {**LOGIN}, "/machines", "required"),
    ],
)  # fmt: skip
def test_what_does_not_let_one_in_is_refused(driver: str, parts: dict[str, str], pointer: str, code: str) -> None:
    with pytest.raises(BadConnection) as refused:
        way(driver, **parts)
    assert (refused.value.pointer, refused.value.code) == (pointer, code)


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"name": "srv-1"}, "/machines/1/name", "twice"),
        ({"name": "../x"}, "/machines/1/name", "bad-name"),
        ({"server": "https://10.9.0.1"}, "/machines/1/server", "twice"),
        ({"server": "http://10.9.0.1"}, "/machines/1/server", "not-https"),
        ({"system": "/redfish/v1/Chassis/1"}, "/machines/1/system", "bad-path"),
        ({"fingerprint": "abc"}, "/machines/1/fingerprint", "bad-fingerprint"),
    ],
)
def test_a_machine_that_cannot_be_is_refused_by_its_place(change: dict[str, str], pointer: str, code: str) -> None:
    with pytest.raises(BadConnection) as refused:
        way("redfish", [MACHINES[0], {**MACHINES[1], **change}], **LOGIN)
    assert (refused.value.pointer, refused.value.code) == (pointer, code)


def test_passwords_are_told_apart_only_with_their_server() -> None:
    first = way("redfish", MACHINES[:1], **LOGIN)
    assert first.fingerprint != way("redfish", MACHINES[1:], **LOGIN).fingerprint
    assert first.fingerprint == way("redfish", MACHINES[:1], **LOGIN).fingerprint
