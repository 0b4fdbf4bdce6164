"""The ways to a real libvirt: sockets, TCP, TLS, SSH; and what happens when it falls silent."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from federation.drivers.base import DriverConfig, SiteInfo, Unavailable
from federation.drivers.kvm import line as lines
from federation.drivers.kvm.driver import KvmDriver
from federation.drivers.kvm.line import Line, close_all, line_for
from federation.drivers.kvm.server import endpoint_of
from tests.certificates import signed

NODE = "host-1"


@pytest.fixture(autouse=True)
def _no_line_is_left() -> Iterator[None]:
    yield
    close_all()


def config(server: str, address: str = "", **secrets: str) -> DriverConfig:
    settings = {"server": server, "address": address, "node": NODE, "default_image": "guest.raw"}
    return DriverConfig("cluster-1", "kvm", 1, settings, secrets)


def trouble(one: DriverConfig) -> str:
    with pytest.raises(Unavailable) as raised:
        KvmDriver(one).check()
    return str(raised.value)


def tls_secrets(host: Any) -> dict[str, str]:
    return {"ca_pem": host.ca_pem, "client_cert_pem": host.client_pem, "client_key_pem": host.client_key}


# -- ways -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["unix", "tcp"])
def test_a_host_is_reached(libvirtd: Any, way: str) -> None:
    assert KvmDriver(config(libvirtd.server(way))).check().version


def test_a_host_is_reached_over_tls_and_both_sides_are_certified(libvirtd: Any) -> None:
    one = config(libvirtd.server("tls"), **tls_secrets(libvirtd))
    assert KvmDriver(one).check().version
    (node,) = KvmDriver(one).inventory()
    assert node.name == NODE


def test_over_tls_the_address_is_dialled_and_the_name_is_proven(libvirtd: Any) -> None:
    named = libvirtd.server("tls").replace("127.0.0.1", "host.example")
    assert KvmDriver(config(named, "127.0.0.1", **tls_secrets(libvirtd))).check().version
    third = config(named.replace("host.", "other."), "127.0.0.1", **tls_secrets(libvirtd))
    settings = {**third.settings, "tls_server_name": "host.example"}
    assert KvmDriver(replace(third, settings=settings)).check().version
    wrong = libvirtd.server("tls").replace("127.0.0.1", "other.example")
    said = trouble(config(wrong, "127.0.0.1", **tls_secrets(libvirtd)))
    assert "certificate is not good" in said and "other.example" in said


def test_a_host_of_another_authority_is_not_spoken_to(libvirtd: Any) -> None:
    secrets = tls_secrets(libvirtd) | {"ca_pem": signed("127.0.0.1").ca_pem}
    assert "certificate is not good" in trouble(config(libvirtd.server("tls"), **secrets))


def test_without_our_certificate_the_host_does_not_let_us_in(libvirtd: Any) -> None:
    other = signed("127.0.0.1")
    strange = {"client_cert_pem": other.client_pem, "client_key_pem": other.client_key}
    for secrets in ({"ca_pem": libvirtd.ca_pem}, {"ca_pem": libvirtd.ca_pem, **strange}):
        said = trouble(config(libvirtd.server("tls"), **secrets))
        assert "TLS with the host failed" in said or "does not take our certificate" in said


def test_certificates_that_are_none_are_said_to_be(libvirtd: Any) -> None:
    for secrets in ({"ca_pem": "nonsense"}, tls_secrets(libvirtd) | {"client_key_pem": "nonsense"}):
        assert "cannot be read" in trouble(config(libvirtd.server("tls"), **secrets))


def test_no_secret_is_in_a_file_or_on_a_command_line(libvirtd: Any) -> None:
    one = config(libvirtd.server("tls"), **tls_secrets(libvirtd))
    KvmDriver(one).check()
    line = line_for(one)
    words = Path(f"/proc/{line.pid}/cmdline").read_bytes() + Path(f"/proc/{line.pid}/environ").read_bytes()
    key = libvirtd.client_key.splitlines()[1]
    assert key.encode() not in words
    for path in Path(line._folder).rglob("*"):
        assert not path.is_file(), path
    assert key not in repr(one) and key not in repr(endpoint_of(one))


# -- silence ----------------------------------------------------------------------------------------------------


def test_a_host_that_takes_connections_and_says_nothing_is_unavailable_in_time(libvirtd: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        one = config(f"qemu+tcp://127.0.0.1:{silent.getsockname()[1]}/system")
        line = Line(one, endpoint_of(one), seconds=1.0)
        began = time.monotonic()
        with pytest.raises(Unavailable, match="did not answer within 1 seconds"):
            line.ask("check")
        assert time.monotonic() - began < 3
        assert line.pid is None
        line.close()


def test_a_libvirt_that_hangs_in_the_middle_is_given_up_and_found_again(libvirtd: Any) -> None:
    one = config(libvirtd.server("tcp"))
    line = Line(one, endpoint_of(one), seconds=2.0)
    line.ask("check")
    first = line.pid
    libvirtd.hang_daemon(is_hung=True)
    try:
        with pytest.raises(Unavailable, match="did not answer"):
            line.ask("inventory")
        assert not _lives(first)
    finally:
        libvirtd.hang_daemon(is_hung=False)
    line._seconds = 9.0
    assert line.ask("check")["version"]
    assert line.pid != first
    line.close()


def test_the_limit_is_below_what_a_driver_may_take() -> None:
    assert lines.ANSWER_SECONDS < 10


def test_who_waits_for_a_busy_line_waits_no_longer_than_a_call_may_take(libvirtd: Any) -> None:
    one = config(libvirtd.server("tcp"))
    line = Line(one, endpoint_of(one), seconds=1.0)
    line._turn.acquire()
    with pytest.raises(Unavailable, match="busy"):
        line.ask("check")
    line._turn.release()
    line.close()


def test_a_restarted_libvirt_is_spoken_to_again(libvirtd: Any) -> None:
    driver = KvmDriver(config(libvirtd.server("unix")))
    driver.check()
    libvirtd.stop_daemon()
    with pytest.raises(Unavailable):
        driver.check()
    libvirtd.start_daemon()
    assert driver.check().version


def test_where_nobody_listens_is_said() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    said = trouble(config(f"qemu+tcp://127.0.0.1:{port}/system"))
    assert "cannot be dialled" in said or "not installed" in said


# -- the process ------------------------------------------------------------------------------------------------


def test_calls_share_one_process_and_other_clusters_have_others(libvirtd: Any) -> None:
    one = config(libvirtd.server("unix"))
    KvmDriver(one).check()
    first = line_for(one).pid
    KvmDriver(replace(one, epoch=2)).check()
    assert line_for(one).pid == first
    other = replace(one, cluster_id="cluster-2")
    KvmDriver(other).check()
    assert line_for(other).pid != first


def test_only_so_many_processes_live_at_once(libvirtd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MOST_LINES", 2)
    pids = []
    for number in range(3):
        one = replace(config(libvirtd.server("unix")), cluster_id=f"many-{number}")
        KvmDriver(one).check()
        pids.append(line_for(one).pid)
    assert [_lives(pid) for pid in pids] == [False, True, True]


def test_a_process_that_was_killed_is_made_again(libvirtd: Any) -> None:
    one = config(libvirtd.server("unix"))
    KvmDriver(one).check()
    pid = line_for(one).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert KvmDriver(one).check().version


def test_threads_take_turns(libvirtd: Any) -> None:
    one = config(libvirtd.server("unix"))
    found: list[SiteInfo] = []
    threads = [threading.Thread(target=lambda: found.append(KvmDriver(one).check())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(found) == 8 and len(set(found)) == 1


def test_nothing_is_left_when_the_hub_dies(libvirtd: Any) -> None:
    script = (
        "import os, signal, sys\n"
        "from federation.drivers.base import DriverConfig\n"
        "from federation.drivers.kvm.driver import KvmDriver\n"
        "from federation.drivers.kvm.line import line_for\n"
        "one = DriverConfig('c', 'kvm', 1, {'server': sys.argv[1]})\n"
        "KvmDriver(one).check()\n"
        "line = line_for(one)\n"
        "print(line.pid, line._folder, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, "-c", script, libvirtd.server("unix")]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=30)
    pid, folder = done.stdout.split()
    deadline = time.monotonic() + 20
    while _lives(int(pid)) or Path(folder).exists():
        assert time.monotonic() < deadline, "The process that spoke to the host outlives the hub."
        time.sleep(0.05)


def _lives(pid: int | None) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


# -- SSH --------------------------------------------------------------------------------------------------------


def test_a_host_is_reached_over_ssh(ssh_host: Any) -> None:
    assert KvmDriver(config(ssh_host.server, **ssh_host.secrets)).check().version


def test_over_ssh_the_host_must_have_the_key_that_is_known(ssh_host: Any) -> None:
    secrets = ssh_host.secrets | {"ssh_known_hosts": ssh_host.other_known_hosts}
    assert "SSH to the host failed" in trouble(config(ssh_host.server, **secrets))


def test_over_ssh_a_key_that_is_not_known_there_is_refused(ssh_host: Any) -> None:
    secrets = ssh_host.secrets | {"ssh_private_key": ssh_host.other_key}
    assert "Permission denied" in trouble(config(ssh_host.server, **secrets))


def test_over_ssh_the_address_is_dialled_and_the_name_is_proven(ssh_host: Any) -> None:
    named = ssh_host.server.replace("127.0.0.1", "host.example")
    known = {"ssh_known_hosts": ssh_host.secrets["ssh_known_hosts"].replace("127.0.0.1", "host.example")}
    assert KvmDriver(config(named, "127.0.0.1", **(ssh_host.secrets | known))).check().version
    assert "SSH to the host failed" in trouble(config(named, "127.0.0.1", **ssh_host.secrets))
