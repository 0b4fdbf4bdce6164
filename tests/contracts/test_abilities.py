"""What drivers promise that can show events, follow a log, open a shell or reach a port: one case each.

A driver without the ability is skipped, and the skip says so.
"""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from federation.drivers.abilities import (
    DEFAULT_SHELL,
    Channel,
    EventReader,
    LogFollower,
    LogReader,
    PortAccess,
    ShellAccess,
    Stream,
)
from federation.drivers.base import Rejected, Unavailable
from tests.contracts.harness import Harness, spec
from tests.contracts.test_drivers import end, start

PORT = 8888
PATIENCE = 20.0  # seconds, on the slowest machine; never waited for


def able(site: Harness, ability: Any) -> Any:
    driver = site.driver()
    if not site.has_containers:
        pytest.skip("no container runs here; tests/kube/test_real_work.py has these on a real node")
    if not isinstance(driver, ability):
        pytest.skip(f"has no {ability.__name__}")
    return driver


def heard(channel: Channel, until: bytes = b"", *, most: int = 1 << 30) -> dict[Stream, bytes]:
    """All that it says until it ends, or until it has said `until` on OUT."""
    found = {Stream.OUT: bytearray(), Stream.ERR: bytearray()}
    for _ in range(200_000):
        try:
            piece = channel.receive(PATIENCE)
        except EOFError:
            return {stream: bytes(data) for stream, data in found.items()}
        assert piece is not None, f"Silent for {PATIENCE} s after {bytes(found[Stream.OUT])[-200:]!r}"
        assert 0 < len(piece[1]) <= 65536
        found[piece[0]] += piece[1]
        if (until and until in found[Stream.OUT]) or len(found[Stream.OUT]) >= most:
            return {stream: bytes(data) for stream, data in found.items()}
    raise AssertionError("It never ends.")


# -- events ------------------------------------------------------------------------------------------------


def test_what_the_site_noted_is_told_oldest_first(site: Harness) -> None:
    able(site, EventReader)
    start(site, spec(run_seconds=30.0))
    before = list(site.driver().events("work-1"))
    assert before
    site.advance(60)
    after = list(site.driver().events("work-1"))
    assert after[: len(before)] == before
    assert len(after) > len(before), "its end was noted too"
    assert [event.at for event in after] == sorted(event.at for event in after)
    for event in after:
        assert event.at.utcoffset() == timedelta(0)
        assert event.reason and event.message and event.count >= 1


def test_unknown_work_has_no_events(site: Harness) -> None:
    assert list(able(site, EventReader).events("nobody")) == []


def test_a_dead_site_tells_no_events(site: Harness) -> None:
    driver = able(site, EventReader)
    site.break_site()
    with pytest.raises(Unavailable):
        list(driver.events("work-1"))


# -- following a log ---------------------------------------------------------------------------------------


def follow(site: Harness, lines: Iterator[bytes]) -> bytes:
    """To its end, with a second of the site's time for each time that nothing came."""
    text = bytearray()
    for piece in lines:
        text += piece
        if not piece:
            site.advance(1)
    return bytes(text)


def test_a_log_is_followed_to_the_end_of_the_work(site: Harness) -> None:
    driver = able(site, LogFollower)
    start(site, spec(run_seconds=20.0))
    lines = driver.follow("work-1")
    first = next(piece for piece in lines if piece)
    whole = first + follow(site, lines)
    assert isinstance(driver, LogReader)
    assert whole.decode() == driver.logs("work-1").text
    assert follow(site, driver.follow("work-1", 10)) == whole[10:], "of ended work: what there is, and no waiting"
    assert follow(site, driver.follow("work-1", len(whole))) == b""


def test_following_can_be_given_up(site: Harness) -> None:
    lines = able(site, LogFollower).follow("work-1")
    start(site, spec())
    next(lines, b"")
    lines.close()


# -- shells ------------------------------------------------------------------------------------------------


def test_a_command_sees_the_end_of_its_input(site: Harness) -> None:
    driver = able(site, ShellAccess)
    start(site, spec())
    channel = driver.shell("work-1", ["cat"], is_tty=False)
    channel.send(b"all\n")
    channel.send(b"")
    assert heard(channel)[Stream.OUT] == b"all\n"
    assert channel.exit_code == 0
    channel.close()


@pytest.mark.parametrize(
    ("command", "out", "err", "code"),
    [
        (["echo", "hello"], b"hello\n", b"", 0),
        (["sh", "-c", "echo out; echo err >&2; exit 7"], b"out\n", b"err\n", 7),
        (["sh", "-c", "exit 0"], b"", b"", 0),
        (["sh", "-c", "yes | head -n 100000"], b"y\n" * 100_000, b"", 0),
    ],
    ids=["echo", "both ways and a code", "nothing", "much"],
)
def test_a_command_runs_and_its_exit_code_comes(
    site: Harness, command: list[str], out: bytes, err: bytes, code: int
) -> None:
    driver = able(site, ShellAccess)
    start(site, spec())
    channel = driver.shell("work-1", command, is_tty=False)
    assert channel.exit_code is None
    said = heard(channel)
    assert (said[Stream.OUT], said[Stream.ERR], channel.exit_code) == (out, err, code)
    channel.close()


def test_one_can_talk_to_a_shell(site: Harness) -> None:
    driver = able(site, ShellAccess)
    start(site, spec(env={"COLOUR": "teal"}))
    channel = driver.shell("work-1", DEFAULT_SHELL)
    channel.resize(132, 43)
    channel.send(b"stty size\r")
    heard(channel, b"43 132")
    channel.send(b"env\r")
    heard(channel, b"COLOUR=teal")
    channel.send(b"exit 3\r")
    heard(channel)
    assert channel.exit_code == 3
    channel.close()
    channel.close()


def test_what_is_typed_is_read_by_the_command(site: Harness) -> None:
    driver = able(site, ShellAccess)
    start(site, spec())
    channel = driver.shell("work-1", ["cat"])
    channel.send(b"one line\r")
    assert heard(channel, b"one line\r\none line\r\n")
    channel.send(b"\x04")
    heard(channel)
    assert channel.exit_code == 0
    channel.close()


def test_closing_ends_what_waits(site: Harness) -> None:
    driver = able(site, ShellAccess)
    start(site, spec())
    channel = driver.shell("work-1", ["cat"], is_tty=False)
    closer = threading.Timer(0.05, channel.close)
    closer.start()
    with pytest.raises(EOFError):
        while channel.receive(PATIENCE) is None:
            pass
    closer.join()
    with pytest.raises(Unavailable):
        for _ in range(10_000):
            channel.send(b"x" * 1000)


def test_there_is_no_shell_in_what_does_not_run(site: Harness) -> None:
    able(site, ShellAccess)
    start(site, spec(run_seconds=5.0))
    site.advance(60)
    for ref in ("work-1", "nobody"):
        with pytest.raises(Rejected):
            heard(site.driver().shell(ref, ["echo", "x"]))
    end(site, "work-1")
    with pytest.raises(Rejected):
        heard(site.driver().shell("work-1", ["echo", "x"]))


def test_a_command_that_is_not_there_is_refused_or_ends_at_once(site: Harness) -> None:
    able(site, ShellAccess)
    start(site, spec())
    try:
        channel = site.driver().shell("work-1", ["no-such-command"])
        heard(channel)
    except Rejected as refused:
        assert refused.reason and refused.message
    else:
        assert channel.exit_code


def test_a_dead_site_opens_nothing(site: Harness) -> None:
    driver = able(site, ShellAccess)
    start(site, spec())
    site.break_site()
    with pytest.raises(Unavailable):
        driver.shell("work-1", ["cat"]).receive(PATIENCE)


# -- ports -------------------------------------------------------------------------------------------------


def test_a_port_is_reached_both_ways(site: Harness) -> None:
    driver = able(site, PortAccess)
    start(site, spec(ports=(PORT,)))
    channel = driver.reach("work-1", PORT)
    channel.send(b"ping \x00\xff")
    assert heard(channel, most=7)[Stream.OUT] == b"ping \x00\xff"
    assert channel.exit_code is None
    channel.close()


def test_much_goes_through_a_port_and_none_is_lost(site: Harness) -> None:
    """The other side says what it hears, so neither way may wait for the other for ever."""
    driver = able(site, PortAccess)
    start(site, spec(ports=(PORT,)))
    channel = driver.reach("work-1", PORT)
    block = bytes(range(256)) * 256
    count = 64
    sender = threading.Thread(target=lambda: [channel.send(block) for _ in range(count)])
    sender.start()
    assert heard(channel, most=count * len(block))[Stream.OUT] == block * count
    sender.join(PATIENCE)
    assert not sender.is_alive()
    channel.close()


def test_nothing_listens_in_what_does_not_run_or_on_other_ports(site: Harness) -> None:
    able(site, PortAccess)
    start(site, spec(ports=(PORT,)))
    for ref, port in (("nobody", PORT), ("work-1", PORT + 1)):
        with pytest.raises(Rejected):
            heard(site.driver().reach(ref, port))
