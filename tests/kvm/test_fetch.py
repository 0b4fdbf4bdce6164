"""What becomes of an image on its way: it comes whole in pieces, goes on where it broke off, or is refused and why."""

import hashlib
import os
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from federation import addresses
from federation.drivers.base import Rejected
from federation.drivers.kvm import fetch
from federation.drivers.kvm.fetch import Changed, Fetch, Rules
from tests.certificates import signed
from tests.kvm.imageserver import ImageServer

DATA = os.urandom(1_500_000)
HERE = Rules(is_loopback_allowed=True)


@pytest.fixture
def server() -> Iterator[ImageServer]:
    with ImageServer() as made:
        made.files["/disk.raw"] = DATA
        yield made


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "WAIT_SECONDS", 0.0)
    monkeypatch.setattr(fetch, "SILENT_SECONDS", 0.5)


def taken(wanted: Fetch, steps: int = 20) -> bytes:
    found = bytearray()
    for _ in range(steps):
        try:
            if wanted.take(time.monotonic() + 5, found.extend):
                return bytes(found)
        except Changed:
            found.clear()
    raise AssertionError(f"It did not end: {wanted.trouble}")


def refusal(wanted: Fetch) -> str:
    with pytest.raises(Rejected) as refused:
        taken(wanted)
    return refused.value.reason


def test_it_comes_whole_and_its_checksum_is_known(server: ImageServer) -> None:
    for server.has_length in (True, False):
        wanted = Fetch(server.url("/disk.raw"), HERE)
        assert taken(wanted) == DATA
        assert wanted.sha256 == hashlib.sha256(DATA).hexdigest()
        assert wanted.head == DATA[: fetch.HEAD_BYTES]


def test_what_broke_off_goes_on_where_it_was(server: ImageServer) -> None:
    server.cut_at = 400_000
    wanted = Fetch(server.url("/disk.raw"), HERE)
    assert taken(wanted) == DATA
    assert [span for _, span in server.asked] == ["", "bytes=400000-", "bytes=800000-", "bytes=1200000-"]
    assert wanted.sha256 == hashlib.sha256(DATA).hexdigest()


def test_a_moment_takes_no_longer_than_it_was_given(server: ImageServer) -> None:
    wanted = Fetch(server.url("/disk.raw"), HERE)
    found = bytearray()
    assert not wanted.take(time.monotonic(), found.extend)
    assert taken(wanted) == DATA[len(found) :]


def test_without_ranges_it_begins_anew_and_not_for_ever(server: ImageServer) -> None:
    server.cut_at, server.has_ranges = 400_000, False
    wanted = Fetch(server.url("/disk.raw"), HERE)
    assert refusal(wanted) == "ImagePullFailed"
    assert len(server.asked) == 2 * fetch.MOST_BEGINNINGS


def test_a_server_in_trouble_is_asked_again_some_times(server: ImageServer) -> None:
    server.statuses = [503, 429, 500]
    assert taken(Fetch(server.url("/disk.raw"), HERE)) == DATA
    server.statuses = [503] * 10
    assert refusal(Fetch(server.url("/disk.raw"), HERE)) == "ImagePullFailed"
    assert len(server.statuses) == 10 - fetch.MOST_FAILURES


def test_a_silent_server_is_given_up(server: ImageServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        wanted = Fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/x", HERE)
        assert refusal(wanted) == "ImagePullFailed"
        assert "in time" in wanted.trouble


def test_a_certificate_is_believed_or_nothing_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = signed("127.0.0.1")
    for name, text in (("ca.pem", made.ca_pem), ("cert.pem", made.server_pem), ("key.pem", made.server_key)):
        (tmp_path / name).write_text(text)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with ImageServer(context) as server:
        server.files["/disk.raw"] = DATA
        wanted = Fetch(server.url("/disk.raw"), HERE)
        assert refusal(wanted) == "ImagePullFailed"
        assert "not believed" in wanted.trouble and server.asked == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert taken(Fetch(server.url("/disk.raw"), HERE)) == DATA


def test_redirections_are_followed_and_looked_at(server: ImageServer) -> None:
    server.redirections = {"/latest": "/disk.raw", "/round": "/round", "/inside": "http://169.254.169.254/latest"}
    assert taken(Fetch(server.url("/latest"), HERE)) == DATA
    assert refusal(Fetch(server.url("/round"), HERE)) == "ImagePullFailed"
    assert refusal(Fetch(server.url("/inside"), HERE)) == "ImageAddressRefused"
    server.redirections["/file"] = "file:///etc/passwd"
    assert refusal(Fetch(server.url("/file"), HERE)) == "ImageAddressRefused"


@pytest.mark.parametrize(
    "url", ["ftp://h/x", "http://u:p@127.0.0.1/x", "http://127.0.0.1:99999/x", "http:///x", "http://h/a b", "x"]
)
def test_what_is_no_address_of_an_image_is_refused(url: str) -> None:
    assert refusal(Fetch(url, HERE)) == "ImageAddressRefused"


def test_only_where_a_site_may_be(server: ImageServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(Fetch(server.url("/disk.raw"), Rules())) == "ImageAddressRefused"
    monkeypatch.setattr(addresses, "system_resolver", lambda name, port: ["10.9.0.1"])
    assert refusal(Fetch("http://images.example/x", Rules(networks=("10.8.0.0/16",)))) == "ImageAddressRefused"
    assert server.asked == []


def test_what_is_not_there_or_too_large_is_refused(server: ImageServer) -> None:
    assert refusal(Fetch(server.url("/other.raw"), HERE)) == "ImagePullFailed"
    small = Rules(is_loopback_allowed=True, most_bytes=1_000_000)
    for server.has_length in (True, False):
        assert refusal(Fetch(server.url("/disk.raw"), small)) == "ImageTooLarge"


def test_what_could_not_be_written_is_read_once_more(server: ImageServer) -> None:
    wanted, found = Fetch(server.url("/disk.raw"), HERE), bytearray()

    def full(data: bytes) -> None:
        raise RuntimeError("the host's disk is full")

    with pytest.raises(RuntimeError):
        wanted.take(time.monotonic() + 5, full)
    assert wanted.got == 0
    found += taken(wanted)
    assert found == DATA
