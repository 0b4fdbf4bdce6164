"""Waiting for an engine's connections, in a process that has many of them."""

import os
import resource
import socket
from collections.abc import Iterator

import pytest

from federation.drivers.docker.sockets import wait_to_read, wait_to_send

MANY = 1100


@pytest.fixture
def link() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection, their files beyond the 1024th, which select() would not know."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2 * MANY:
        pytest.skip(f"no more than {hard} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * MANY), hard))
    many = [os.open(os.devnull, os.O_RDONLY) for _ in range(MANY)]
    ours, theirs = socket.socketpair()
    try:
        assert ours.fileno() > 1024
        yield ours, theirs
    finally:
        ours.close()
        theirs.close()
        for file in many:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_what_comes_is_seen_and_what_does_not_is_not(link: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = link
    assert not wait_to_read(ours, 0)
    assert not wait_to_read(ours, -1)
    theirs.send(b"x")
    assert wait_to_read(ours, 5)
    assert ours.recv(1) == b"x"
    theirs.close()
    assert wait_to_read(ours, 5)  # the end is something to read too
    assert ours.recv(1) == b""


def test_one_that_takes_nothing_is_not_waited_for_longer_than_asked(link: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = link
    assert wait_to_send(ours, 5)
    ours.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            ours.send(b"x" * 65536)
    assert not wait_to_send(ours, 0.01)
