"""A pipe over a layer that loses, repeats and delays: what arrives is whole and in order, or the break is seen."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer, channel_layers

from federation.api import pipes
from federation.api.pipes import BrokenPipe, Pipe
from tests.portal.sockets import run


class Layer(InMemoryChannelLayer):
    """In this process; `meddle` says how often each message comes."""

    def __init__(self) -> None:
        super().__init__()
        self.meddle: Callable[[dict[str, Any]], int] = lambda message: 1
        self.is_gone = False
        self.most_waiting = 0

    async def send(self, channel: str, message: dict[str, Any]) -> None:
        for _ in range(0 if self.is_gone else self.meddle(message)):
            await super().send(channel, message)
        waiting = (queue.qsize() for queue in self.channels.values())
        self.most_waiting = max(self.most_waiting, *waiting, 0)


@pytest.fixture
def layer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Layer]:
    made = Layer()
    channel_layers.set("default", made)
    monkeypatch.setattr(pipes, "ALIVE_SECONDS", 0.05)
    monkeypatch.setattr(pipes, "SILENT_SECONDS", 0.3)
    monkeypatch.setattr(pipes, "TAKE_SECONDS", 0.5)
    yield made
    channel_layers.backends.clear()


async def both() -> tuple[Pipe, Pipe]:
    near = await Pipe.open()
    far = await Pipe.open(near.name)
    near.far = far.name
    return near, far


def told(story: Callable[[Pipe, Pipe], Awaitable[None]]) -> None:
    async def whole() -> None:
        near, far = await both()
        try:
            await asyncio.wait_for(story(near, far), 20)
        finally:
            near.close()
            far.close()

    run(whole)


def test_all_comes_in_order_both_ways_and_never_more_than_the_window(layer: Layer) -> None:
    async def story(near: Pipe, far: Pipe) -> None:
        async def say(end: Pipe) -> None:
            for number in range(300):
                await end.send("data", data=number)

        saying = asyncio.gather(say(near), say(far))
        for end in (near, far):
            assert [(await end.receive())["data"] for _ in range(300)] == list(range(300))
        await saying

    told(story)
    assert layer.most_waiting <= pipes.WINDOW + 3


def test_what_comes_twice_is_taken_once(layer: Layer) -> None:
    layer.meddle = lambda message: 2

    async def story(near: Pipe, far: Pipe) -> None:
        saying = asyncio.create_task(say_all(near, 50))
        assert [(await far.receive())["data"] for _ in range(50)] == list(range(50))
        await saying

    told(story)


async def say_all(end: Pipe, many: int) -> None:
    for number in range(many):
        await end.send("data", data=number)


def test_a_lost_message_breaks_it_rather_than_to_leave_a_hole(layer: Layer) -> None:
    layer.meddle = lambda message: 0 if message.get("data") == 5 else 1

    async def story(near: Pipe, far: Pipe) -> None:
        saying = asyncio.create_task(say_all(near, 10))
        got = []
        with pytest.raises(BrokenPipe, match="lost"):
            while True:
                got.append((await far.receive())["data"])
        assert got == list(range(5))
        await saying

    told(story)


def test_who_does_not_take_is_waited_for_and_then_given_up(layer: Layer) -> None:
    async def story(near: Pipe, far: Pipe) -> None:
        with pytest.raises(BrokenPipe, match="not taken"):
            await say_all(near, pipes.WINDOW + 1)

    told(story)


def test_silence_of_the_other_end_is_noticed(layer: Layer) -> None:
    async def story(near: Pipe, far: Pipe) -> None:
        layer.is_gone = True
        with pytest.raises(BrokenPipe, match="gone"):
            await near.receive()
        with pytest.raises(BrokenPipe, match="gone"):
            await near.send("data", data=1)

    told(story)


def test_a_layer_that_gives_nothing_opens_no_pipe(layer: Layer, monkeypatch: pytest.MonkeyPatch) -> None:
    layer.is_gone = True

    async def story() -> None:
        with pytest.raises(BrokenPipe, match="does not answer"):
            await asyncio.wait_for(Pipe.open(), 20)

    run(story)


def test_a_layer_that_fails_now_and_then_is_asked_again(layer: Layer, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = layer.receive, iter(range(1000))

    async def receive(channel: str) -> dict[str, Any]:
        if next(calls) % 3 == 1:
            raise OSError("away")
        found: dict[str, Any] = await real(channel)
        return found

    monkeypatch.setattr(layer, "receive", receive)

    async def story(near: Pipe, far: Pipe) -> None:
        await near.send("data", data=1)
        assert (await far.receive())["data"] == 1

    told(story)
