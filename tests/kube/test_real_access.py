"""Looking into work that really runs: its output, what the site noted, a shell, a port."""

import queue
import threading
import time
from contextlib import closing

import pytest

from federation.drivers.abilities import Stream
from federation.drivers.base import ObservedState as O
from federation.drivers.base import Rejected
from tests.kube.site import Site, said
from tests.kube.test_rig import wait_for

pytestmark = pytest.mark.processes


# -- output and events ------------------------------------------------------------------------------------------------


def test_output_is_followed_line_by_line_while_it_runs(site: Site) -> None:
    ref = site.start("for i in 1 2 3 4 5; do echo line $i; sleep 0.5; done")
    site.until(ref, O.RUNNING)
    arrived: list[tuple[float, bytes]] = []
    states = []
    for piece in site.driver.follow(ref):
        if piece:
            arrived.append((time.monotonic(), piece))
            states.append(site.driver.observe(ref).state)
    whole = b"".join(f"line {i}\n".encode() for i in range(1, 6))
    assert b"".join(piece for _, piece in arrived) == whole
    assert len(arrived) >= 3 and states[0] == O.RUNNING
    assert arrived[-1][0] - arrived[0][0] > 0.8
    site.until(ref, O.SUCCEEDED)
    assert site.log(ref) == whole.decode()
    assert b"".join(site.driver.follow(ref, 14)) == whole[14:]
    part = site.driver.logs(ref, offset=7, limit=7)
    assert (part.text, part.next_offset, part.is_complete) == ("line 2\n", 14, False)


def test_a_follower_waits_for_work_that_has_not_begun(site: Site) -> None:
    for number in range(8):  # each meets another moment of its pod's beginning
        ref = site.start(f"echo there {number}")
        assert b"".join(site.driver.follow(ref)) == f"there {number}\n".encode()


def test_what_the_site_noted_is_read(site: Site) -> None:
    ref, _ = site.run("true")

    def noted() -> set[str]:
        return {event.reason for event in site.driver.events(ref)}

    wanted = {"SuccessfulCreate", "Scheduled", "Pulled", "Created", "Started", "Completed"}
    wait_for(lambda: wanted <= noted())
    moments = [event.at for event in site.driver.events(ref)]
    assert moments == sorted(moments)


# -- a shell ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def running(site: Site) -> str:
    ref = site.start("httpd -p 8080 -h /etc; echo serving; sleep 1000", ports=(8080,))
    site.until(ref, O.RUNNING)
    wait_for(lambda: "serving" in site.driver.logs(ref).text)  # it runs before its server listens
    return ref


@pytest.mark.parametrize("is_tty", [False, True])
@pytest.mark.parametrize("code", [0, 7])
def test_a_shell_gives_output_and_exit_code(site: Site, running: str, code: int, is_tty: bool) -> None:
    command = ["sh", "-c", f"echo out; echo err >&2; [ -t 0 ] && echo screen; exit {code}"]
    with closing(site.driver.shell(running, command, is_tty=is_tty)) as channel:
        found = said(channel)
        assert channel.exit_code == code
    assert channel._socket.sock is None  # also when the other side has closed first
    if is_tty:
        assert found == {Stream.OUT: b"out\r\nerr\r\nscreen\r\n", Stream.ERR: b""}
    else:
        assert found == {Stream.OUT: b"out\n", Stream.ERR: b"err\n"}


@pytest.mark.parametrize("is_tty", [False, True])
def test_a_command_that_is_not_there_cannot_be_run(site: Site, running: str, is_tty: bool) -> None:
    with closing(site.driver.shell(running, ["no-such-command"], is_tty=is_tty)) as channel:
        said(channel)
        assert channel.exit_code in (126, 127)


def test_a_shell_takes_input_and_its_end(site: Site, running: str) -> None:
    with closing(site.driver.shell(running, ["sort"], is_tty=False)) as channel:
        channel.send(b"b\n")
        channel.send(b"a\n")
        channel.send(b"")
        assert said(channel)[Stream.OUT] == b"a\nb\n"
        assert channel.exit_code == 0


def test_a_screen_has_the_size_it_is_given(site: Site, running: str) -> None:
    with closing(site.driver.shell(running, ["sh"])) as channel:
        channel.resize(132, 43)
        channel.send(b"stty size; exit 5\n")
        assert b"43 132\r\n" in said(channel)[Stream.OUT]
        assert channel.exit_code == 5


def test_a_megabyte_comes_through_whole_both_ways(site: Site, running: str) -> None:
    sent = bytes(range(256)) * 4096
    with closing(site.driver.shell(running, ["cat"], is_tty=False)) as channel:
        found: queue.Queue[dict[Stream, bytes]] = queue.Queue()
        reader = threading.Thread(target=lambda: found.put(said(channel)))
        reader.start()
        channel.send(sent)
        channel.send(b"")
        reader.join(60)
        assert found.get_nowait()[Stream.OUT] == sent
        assert channel.exit_code == 0


def test_there_is_no_shell_in_what_does_not_run(site: Site) -> None:
    ref, _ = site.run("true")
    with pytest.raises(Rejected, match="NotRunning"):
        site.driver.shell(ref, ["sh"])


# -- a port -----------------------------------------------------------------------------------------------------------


def test_a_port_of_the_work_is_reached(site: Site, running: str) -> None:
    with closing(site.driver.reach(running, 8080)) as channel:
        channel.send(b"GET /passwd HTTP/1.0\r\n\r\n")
        answer = said(channel)[Stream.OUT]
    assert answer.startswith(b"HTTP/1.") and b"root:x:0:0" in answer


def test_a_port_where_nobody_listens_is_told(site: Site, running: str) -> None:
    with pytest.raises((Rejected, EOFError)), closing(site.driver.reach(running, 9)) as channel:
        for _ in range(20):
            channel.receive(1)
