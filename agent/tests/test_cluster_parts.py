"""The parts of a cluster's agent by themselves: pieces of work, the picture of the nodes, output."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from aquifer_agent.cluster import options, pieces, tails
from aquifer_agent.cluster.following import Following
from aquifer_agent.cluster.picture import Picture
from aquifer_agent.cluster.pieces import Job, Pieces
from aquifer_agent.cluster.site import BadDriver, Site, file_settings, load
from aquifer_agent.cluster.specs import spec_of
from aquifer_agent.cluster.tails import Tails
from aquifer_agent.orders import Order
from filesite import FileDriver

from federation.drivers.abilities import LogChunk, SiteChanges
from federation.drivers.agent_nodes import digest_of, node_to_json, stamp_of
from federation.drivers.base import DeviceSeen, NodeSeen, Observation, Rejected, Unavailable, VolumeKind
from federation.drivers.base import ObservedState as O

NOTHING_WANTED: Callable[[str], bool] = lambda ref: False  # noqa: E731


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def run(ref: str = "a", generation: int = 1, epoch: int = 1, **spec: Any) -> Order:
    return Order(ref, generation, epoch, True, {"node": "n", **spec})


def end(ref: str = "a", generation: int = 1, epoch: int = 1) -> Order:
    return Order(ref, generation, epoch, False, {})


def seen(state: O, ref: str = "a", generation: int = 1, epoch: int = 1) -> Observation:
    return Observation(ref, state, generation, epoch)


class World:
    def __init__(self) -> None:
        self.clock = Clock()
        self.pieces = Pieces(self.clock)

    def hear(self, *orders: Order, epoch: int = 1) -> None:
        self.pieces.take(orders, epoch)

    def look(
        self,
        *found: Observation,
        began: float = 0.0,
        asked: tuple[str, ...] = ("a",),
        named: tuple[str, ...] | None = None,
    ) -> None:
        self.clock.now += 0.01
        self.pieces.looked(began or self.clock.now, asked, {one.ref: one for one in found}, named)

    def job(self) -> Job:
        self.clock.now += 0.01
        job = self.pieces.next_job(NOTHING_WANTED)
        assert job is not None
        return job

    def idle(self) -> bool:
        return self.pieces.next_job(NOTHING_WANTED) is None

    def states(self) -> dict[str, str]:
        return {item["ref"]: item["state"] for item in self.pieces.reports()}


@pytest.fixture
def world() -> World:
    return World()


# Pieces of work


def test_an_order_is_pending_from_the_moment_it_is_heard(world: World) -> None:
    world.hear(run())
    assert world.states() == {"a": "pending"}
    world.look()
    assert world.states() == {"a": "pending"}, "not there yet is not gone"
    job = world.job()
    assert world.states() == {"a": "pending"}
    world.hear()  # the hub takes it back while the call is out
    assert world.states() == {"a": "pending"}
    world.pieces.ensured(job, seen(O.STARTING))
    assert world.states() == {"a": "starting"}


def test_a_look_that_began_before_a_call_ended_says_nothing_of_it(world: World) -> None:
    world.hear(run())
    began = world.clock.now
    job = world.job()
    world.look(began=began)
    world.pieces.ensured(job, seen(O.RUNNING))
    world.look(began=began)
    assert world.states() == {"a": "running"}
    world.clock.now += 1
    world.look()
    assert world.states() == {"a": "broken"}, "a newer one does"
    assert world.idle(), "what has vanished is not made again"
    world.hear(end())
    world.pieces.removed(world.job(), seen(O.ABSENT))
    assert world.states() == {}


def test_a_look_while_a_call_is_out_says_nothing_of_it(world: World) -> None:
    world.look(seen(O.RUNNING))
    world.hear(run(generation=2))
    job = world.job()
    world.look()
    assert world.states() == {"a": "running"}
    world.pieces.ensured(job, seen(O.RUNNING, generation=2))
    assert world.states() == {"a": "running"}


def test_what_a_site_still_names_is_removed_before_it_counts_as_gone(world: World) -> None:
    """A record of a grant whose work was deleted by hand holds its devices until somebody removes it."""
    world.look(named=("a",))
    item = world.pieces.reports()[0]
    assert (item["state"], item["reason"]) == ("broken", "VanishedAtSite")
    world.look()  # only asked how its work does
    assert world.states() == {"a": "broken"}
    world.hear(end())
    world.pieces.removed(world.job(), seen(O.ABSENT))
    assert world.states() == {}
    world.look(seen(O.RUNNING, "b"), asked=("a", "b"), named=("b",))
    world.look(asked=("a", "b"), named=())
    assert (world.states(), world.pieces.refs()) == ({}, [])


def test_a_removal_ends_when_the_driver_says_so_and_not_before(world: World) -> None:
    world.look(seen(O.RUNNING))
    world.hear(end())
    assert world.states() == {"a": "stopping"}
    began = world.clock.now
    job = world.job()
    world.pieces.removed(job, seen(O.STOPPING))
    world.clock.now += 0.1
    world.look()
    assert world.states() == {"a": "stopping"}, "the driver has still to write its tombstone"
    assert world.idle()
    world.clock.now += 1
    job = world.job()
    world.pieces.removed(job, seen(O.ABSENT))
    assert (world.states(), world.pieces.refs()) == ({}, [])
    world.look(seen(O.STOPPING), began=began)  # one that was slow
    assert world.states() == {}


def test_ends_come_before_starts_and_one_call_at_a_time_for_each(world: World) -> None:
    world.look(seen(O.RUNNING, "b"), asked=("b",))
    world.hear(run("a"), end("b"))
    assert world.job().ref == "b"
    assert world.job().ref == "a"
    assert world.idle()


def test_trouble_is_told_and_tried_again_ever_less_often(world: World) -> None:
    world.hear(run())
    waits = []
    for _ in range(8):
        world.pieces.failed(world.job(), "It did not answer.")
        began = world.clock.now
        while world.idle():
            world.clock.now += 0.25
            world.hear(run())
        waits.append(world.clock.now - began)
        world.pieces.failed(Job("a", run()), "It did not answer.")
        world.clock.now += 100
        world.hear(run())
    assert waits[0] < 3
    assert all(wait <= pieces.MOST_BACKOFF_SECONDS + 1 for wait in waits)
    assert waits[-1] > 20
    item = world.pieces.reports()[0]
    assert (item["state"], item["reason"], item["message"]) == ("pending", "SiteUnavailable", "It did not answer.")


def test_the_site_may_say_when_to_come_again(world: World) -> None:
    world.hear(run())
    world.pieces.failed(world.job(), "Busy.", retry_after=30)
    world.clock.now += 29
    assert world.idle()
    world.clock.now += 2
    assert world.job().ref == "a"


def test_orders_to_run_lapse_when_the_hub_is_silent_and_orders_to_end_do_not(world: World) -> None:
    world.look(seen(O.RUNNING, "b"), asked=("b",))
    world.hear(run(), end("b"))
    world.clock.now += pieces.ORDER_LIFE_SECONDS + 1
    assert world.job().ref == "b"
    assert world.idle(), "by now the hub may have placed it elsewhere"
    assert world.states()["a"] == "pending"
    world.hear(run(), end("b"))
    assert world.job().ref == "a"


def test_what_runs_as_ordered_is_not_ordered_of_the_site_again(world: World) -> None:
    """After a restart of the agent, with thousands at work."""
    world.look(seen(O.RUNNING, generation=2), seen(O.FAILED, "b"), asked=("a", "b"))
    world.hear(run(generation=2), run("b"))
    assert world.idle()
    world.hear(run(generation=3), run("b"))
    assert world.job().order.generation == 3


def test_an_order_without_its_spec_asks_for_nothing(world: World) -> None:
    world.look(seen(O.RUNNING))
    bare = Order("a", 1, 1, True, {})
    world.hear(bare)
    assert world.idle()
    world.clock.now += 1
    world.look()
    world.hear(bare)
    assert (world.idle(), world.states()) == (True, {"a": "broken"})


def test_an_order_of_the_past_to_end_it_is_ignored(world: World) -> None:
    world.look(seen(O.RUNNING, generation=3, epoch=2))
    for old in (end(generation=2, epoch=2), end(generation=3, epoch=1)):
        world.hear(old)
        assert world.states() == {"a": "running"}
    world.hear(end(generation=3, epoch=2))
    assert world.states() == {"a": "stopping"}


def test_a_refusal_does_not_hide_what_runs(world: World) -> None:
    world.look(seen(O.RUNNING))
    world.hear(run(generation=2))
    world.pieces.refused(world.job(), Rejected("GrantChanged", "No."))
    assert world.states() == {"a": "running"}
    world.clock.now += 1
    world.look(seen(O.STARTING))
    assert world.states() == {"a": "rejected"}
    assert world.idle(), "and it is not asked for again"
    world.hear(run(generation=2))
    assert world.idle()
    world.hear(run(generation=3))
    world.pieces.ensured(world.job(), seen(O.RUNNING, generation=3))
    assert world.states() == {"a": "running"}


def test_ended_work_waits_a_moment_for_its_output(world: World) -> None:
    world.look(seen(O.FAILED), seen(O.RUNNING, "b"), asked=("a", "b"))
    world.hear(end(), end("b"))
    job = world.pieces.next_job(lambda ref: True)
    assert job is not None and job.ref == "b"
    assert world.pieces.next_job(lambda ref: True) is None
    world.clock.now += pieces.LINGER_SECONDS + 1
    job = world.pieces.next_job(lambda ref: True)
    assert job is not None and job.ref == "a"


def test_who_is_told_to_wait_forgets_what_it_knew(world: World) -> None:
    world.look(seen(O.RUNNING, "b"), asked=("b",))
    world.hear(run())
    job = world.job()
    world.pieces.be_blind()
    assert (world.pieces.is_known(), world.idle()) == (False, True)
    world.pieces.ensured(job, seen(O.RUNNING))
    assert world.idle()


def test_an_old_look_is_no_knowledge(world: World) -> None:
    assert (world.pieces.is_known(), world.pieces.silence()) == (False, None)
    world.look()
    assert world.pieces.is_known()
    world.clock.now += pieces.FRESH_SECONDS + 1
    assert not world.pieces.is_known()
    world.look(began=world.clock.now - pieces.FRESH_SECONDS - 5)  # asleep in the middle of it
    assert not world.pieces.is_known()


# Specs


def test_a_spec_arrives_whole_and_unknown_fields_are_left_out() -> None:
    sent = {
        "name": "j", "tenant": "t", "project": "p", "kind": "training", "node": "n", "cpu_milli": 1, "memory_mib": 2,
        "devices": [{"index": 0, "uuid": "u", "milli": 500, "memory_mib": 9}], "command": ["a", "b"], "hold": True,
        "env": {"A": "b"}, "ports": [80], "volumes": [{"path": "/x", "kind": "claim", "source": "s"}],
        "secret_env": ["k"], "pull_secrets": ["r"], "grace_seconds": 3, "max_seconds": None, "run_seconds": 1.5,
        "workload": "w", "attempt": 2, "colour": "red", "replica": 1, "replicas": 2,
    }  # fmt: skip
    spec = spec_of(Order("a", 4, 5, True, sent))
    assert (spec.ref, spec.generation, spec.epoch, spec.hold, spec.ports) == ("a", 4, 5, True, (80,))
    assert (spec.devices[0].uuid, spec.devices[0].milli) == ("u", 500)
    assert (spec.volumes[0].kind, spec.volumes[0].source) == (VolumeKind.CLAIM, "s")
    assert (spec.command, spec.secret_env, spec.pull_secrets) == (("a", "b"), ("k",), ("r",))


@pytest.mark.parametrize(
    "odd",
    [
        {"cpu_milli": "1"}, {"cpu_milli": True}, {"name": 5}, {"command": "x"}, {"command": [1]}, {"env": {"A": 1}},
        {"env": []}, {"devices": {"a": 1}}, {"devices": [{"uuid": "u"}]}, {"ports": [0]}, {"ports": "x"},
        {"volumes": [{"kind": "claim"}]}, {"volumes": [{"path": "/x", "kind": "moon"}]}, {"node": None},
    ],
)  # fmt: skip
def test_a_spec_that_makes_no_sense_is_refused(odd: dict[str, Any]) -> None:
    good = {"name": "j", "tenant": "t", "project": "p", "kind": "batch", "node": "n", "cpu_milli": 1, "memory_mib": 2}
    spec_of(Order("a", 1, 1, True, good))
    with pytest.raises(Rejected, match="InvalidSpec"):
        spec_of(Order("a", 1, 1, True, good | odd))


# The picture of the nodes


def node(number: int, **changes: Any) -> NodeSeen:
    return replace(NodeSeen(f"n{number}", 1, 1, (DeviceSeen(0, f"u{number}", "v", "m", 1),)), **changes)


class HubOfNodes:
    """What the hub does with parts."""

    def __init__(self) -> None:
        self.held: dict[str, str] = {}
        self.parts = 0
        self.biggest = 0

    def take(self, part: dict[str, Any]) -> dict[str, Any]:
        self.parts += 1
        for item in part["changed"]:
            self.held[item["node"]["name"]] = item["digest"]
        for name in part["gone"]:
            self.held.pop(name, None)
        return {"stamp": stamp_of(self.held), "digests": dict(self.held) if part.get("want_digests") else None}


def settle(picture: Picture, hub: HubOfNodes, lost: Callable[[int], bool] = lambda n: False, most: int = 3000) -> int:
    """Reports until the hub has it all; how many. `lost` says whose answer never comes."""
    for number in range(1, 200):
        part = picture.part(most)
        assert part is not None
        answer = hub.take(part)
        if not lost(number):
            picture.answered(answer)
        if not picture.has_more():
            return number
    raise AssertionError("It never came to an end.")


def held(*nodes: NodeSeen) -> dict[str, str]:
    return {n.name: digest_of(node_to_json(n)) for n in nodes}


def test_the_hub_has_it_all_after_a_few_parts_and_then_only_what_changes() -> None:
    picture, hub = Picture(), HubOfNodes()
    assert picture.part() is None
    nodes = [node(i) for i in range(20)]
    picture.look(nodes)
    assert settle(picture, hub) > 5
    assert hub.held == held(*nodes)
    hub.parts = 0
    picture.look(nodes)
    assert not picture.has_more()
    changed = [node(0, is_ready=False), *nodes[2:], node(99)]
    picture.look(changed)
    assert settle(picture, hub) == 1
    assert hub.held == held(*changed)


@pytest.mark.parametrize("lost", [{1}, {2}, {2, 3}, {1, 3, 5}, {4}])
def test_answers_that_are_lost_cost_nothing(lost: set[int]) -> None:
    picture, hub = Picture(), HubOfNodes()
    nodes = [node(i) for i in range(10)]
    picture.look(nodes)
    settle(picture, hub, lost.__contains__)
    assert hub.held == held(*nodes)


def test_a_part_that_the_hub_never_saw_is_sent_again() -> None:
    picture, hub = Picture(), HubOfNodes()
    nodes = [node(i) for i in range(10)]
    picture.look(nodes)
    picture.answered(hub.take(picture.part(3000) or {}))
    picture.part(3000)  # this report is lost
    picture.part(3000)
    settle(picture, hub)
    assert hub.held == held(*nodes)


def test_a_hub_that_was_set_back_gets_what_it_lacks() -> None:
    picture, hub = Picture(), HubOfNodes()
    nodes = [node(i) for i in range(6)]
    picture.look(nodes)
    settle(picture, hub)
    hub.held = {**held(*nodes[:3]), "stranger": "x"}
    picture.answered(hub.take(picture.part() or {}))  # another stamp than it should be
    picture.answered(hub.take(picture.part() or {}))  # its digests
    assert picture.needs_look(), "the nodes themselves are not kept"
    picture.look(nodes)
    settle(picture, hub)
    assert hub.held == held(*nodes)


def test_an_agent_that_begins_anew_sends_nothing_that_is_there() -> None:
    hub = HubOfNodes()
    nodes = [node(i) for i in range(6)]
    first = Picture()
    first.look(nodes)
    settle(first, hub)
    second = Picture()
    second.look([*nodes, node(7)])
    asked = second.part()
    assert asked is not None and asked["changed"] == []
    second.answered(hub.take(asked))
    part = second.part()
    assert part is not None and [item["node"]["name"] for item in part["changed"]] == ["n7"]


def test_nodes_change_while_they_are_told() -> None:
    picture, hub = Picture(), HubOfNodes()
    nodes = [node(i) for i in range(20)]
    for turn in range(12):
        nodes[turn] = node(turn, message=f"turn {turn}")
        picture.look(nodes[turn // 2 :])
        part = picture.part(3000)
        assert part is not None
        picture.answered(hub.take(part))
    settle(picture, hub)
    assert hub.held == held(*nodes[5:])


def test_a_picture_that_is_told_by_changes_is_the_same() -> None:
    picture, hub = Picture(), HubOfNodes()
    picture.look(node(i) for i in range(5))
    settle(picture, hub)
    picture.change([node(1, message="new"), node(7), node(8)], ["n0", "n3"])
    picture.change([node(3)], ["n8", "n99"])
    settle(picture, hub)
    assert hub.held == held(node(1, message="new"), node(2), node(3), node(4), node(7))
    picture.change([node(4)], ["n4"])  # gone and made again in one breath
    settle(picture, hub)
    assert "n4" in hub.held
    picture.change([node(2, message="x")], [])
    picture.change([node(2)], [])  # and back, before anybody was told
    assert not picture.has_more()


def test_five_thousand_nodes_go_in_parts_that_a_hub_takes() -> None:
    """40,000 cards: each part far below the 5 MB of a report, and nothing of them is kept once the hub has it."""
    picture, hub = Picture(), HubOfNodes()
    cards = tuple(
        DeviceSeen(i, f"GPU-{i:036}", "nvidia", "H100-80G", 81559, numa=i // 4, resource="nvidia.com/gpu")
        for i in range(8)
    )
    labels = {f"topology.example.org/level-{i}": f"place-{i}" for i in range(20)}
    picture.look(NodeSeen(f"node-{i:05}", 192_000, 2_000_000, cards, labels=labels) for i in range(5000))
    sizes = []
    while picture.has_more():
        part = picture.part()
        assert part is not None
        sizes.append(len(json.dumps(part)))
        picture.answered(hub.take(part))
    assert (len(hub.held), max(sizes) < 2_000_000, len(sizes) < 40) == (5000, True, True), sizes
    assert picture._unsent == {}


def test_a_hub_that_never_agrees_is_not_asked_without_end() -> None:
    picture, hub = Picture(), HubOfNodes()
    picture.look(node(i) for i in range(3))
    for _ in range(30):
        part = picture.part()
        assert part is not None
        part["changed"] = [item for item in part["changed"] if item["node"]["name"] != "n1"]
        picture.answered(hub.take(part))
    assert not picture.has_more()
    assert hub.held.keys() == {"n0", "n2"}


class FakeWatch:
    def __init__(self, *changes: SiteChanges) -> None:
        self.told = [*changes]
        self.bad = ""
        self.stopped: threading.Event | None = None

    def loops(self) -> list[Callable[[threading.Event], None]]:
        return [lambda stop: setattr(self, "stopped", stop)]

    def wait(self, seconds: float) -> bool:
        return bool(self.told)

    def changes(self) -> SiteChanges:
        return self.told.pop(0)

    def trouble(self) -> str:
        return self.bad

    def running(self) -> list[str]:
        return []


def test_a_site_that_tells_of_changes_is_followed() -> None:
    clock, watches = Clock(), []

    class Driver(FileDriver):
        def watch(self) -> FakeWatch:
            watches.append(FakeWatch(SiteChanges([node(1), node(2)], is_complete=True), SiteChanges(gone=["n1"])))
            return watches[-1]

    secrets = {"ca_pem": "old"}
    site = Site(Driver, "c", "k", dict, lambda: dict(secrets))
    picture, hub, woken = Picture(), HubOfNodes(), []
    following = Following(site, picture, lambda: woken.append(1), clock)
    following.step(site.driver())
    settle(picture, hub)
    assert hub.held == held(node(1), node(2))
    watches[0].bad = "pods: not yet listed"
    with pytest.raises(Unavailable, match="not yet listed"):
        following.step(site.driver())
    settle(picture, hub)
    assert hub.held == held(node(2))
    clock.now += 3600
    watches[0].bad = ""
    following.step(site.driver())
    assert len(watches) == 1
    secrets["ca_pem"] = "new"  # the cluster has exchanged its authority
    clock.now += 3600
    following.step(site.driver())
    assert len(watches) == 2 and watches[0].stopped is not None and watches[0].stopped.is_set()
    following.step(site.driver())
    settle(picture, hub)
    hub.held = {}
    picture.answered(hub.take(picture.part() or {}))
    picture.answered(hub.take(picture.part() or {}))
    slow = following._watch
    following.step(site.driver())
    assert following._watch is not slow
    following.step(site.driver())
    following.step(site.driver())
    settle(picture, hub)
    assert len(watches) == 3, "what the hub has lost is looked at anew"
    assert hub.held == held(node(2))
    assert len(woken) >= 4


def test_what_is_with_the_hub_is_not_kept_here() -> None:
    picture, hub = Picture(), HubOfNodes()
    picture.look(node(i) for i in range(50))
    settle(picture, hub)
    assert picture._unsent == {}


# Output


def test_output_goes_piece_by_piece_from_where_the_hub_wants_it() -> None:
    clock = Clock()
    texts = Tails(clock)
    texts.take_offsets({"a": 5})
    assert texts.next_read(lambda ref: False) is None, "it has not begun"
    assert texts.next_read(lambda ref: True) == ("a", 5, tails.PIECE_BYTES)
    assert texts.next_read(lambda ref: True) is None, "one read at a time"
    texts.read("a", 5, LogChunk("x\0y\ufffd", 9, False), has_ended=False)
    sent = texts.pieces()
    assert sent == [{"ref": "a", "offset": 5, "text": "x?y\ufffd", "size": 4}]
    assert texts.pieces() == sent, "until the hub has it"
    assert (texts.size("a"), texts.is_behind("a")) == (10, True)
    texts.take_offsets({"a": 9})
    assert texts.pieces() == []
    assert texts.next_read(lambda ref: True) == ("a", 9, tails.PIECE_BYTES)
    texts.read("a", 9, LogChunk("z", 10, True), has_ended=True)
    texts.take_offsets({"a": 10})
    assert (texts.size("a"), texts.is_behind("a"), texts.next_read(lambda ref: True)) == (10, False, None)
    texts.take_offsets({"a": 2})  # a hub that was set back
    assert texts.next_read(lambda ref: True) == ("a", 2, tails.PIECE_BYTES)


def test_a_read_from_where_the_hub_is_no_more_is_thrown_away() -> None:
    texts = Tails(Clock())
    texts.take_offsets({"a": 0})
    assert texts.next_read(lambda ref: True) is not None
    texts.take_offsets({"a": 7})
    texts.read("a", 0, LogChunk("from the beginning", 18, False), has_ended=False)
    assert texts.pieces() == []
    assert texts.next_read(lambda ref: True) == ("a", 7, tails.PIECE_BYTES)


def test_no_more_is_read_than_is_sent() -> None:
    texts = Tails(Clock())
    texts.take_offsets({f"r{i}": 0 for i in range(20)})
    read = []
    while (found := texts.next_read(lambda ref: True)) is not None:
        read.append(found[0])
        texts.read(found[0], 0, LogChunk("x" * tails.PIECE_BYTES, tails.PIECE_BYTES, False), has_ended=False)
    assert len(read) == tails.MOST_BYTES // tails.PIECE_BYTES
    assert sum(len(piece["text"]) for piece in texts.pieces()) <= tails.MOST_BYTES
    assert len(texts.pieces(tails.PIECE_BYTES)) == 1
    texts.take_offsets({f"r{i}": tails.PIECE_BYTES if f"r{i}" in read else 0 for i in range(20)})
    found = texts.next_read(lambda ref: True)
    assert found is not None and found[0] not in read, "the others have their turn"


def test_silent_work_is_asked_ever_less_often_and_ended_work_not_for_ever() -> None:
    clock = Clock()
    texts = Tails(clock)
    texts.take_offsets({"a": 0})
    reads = 0
    for _ in range(600):
        if texts.next_read(lambda ref: True):
            reads += 1
            texts.read("a", 0, LogChunk("", 0, False), has_ended=False)
        clock.now += 0.5
    assert 15 < reads < 40
    texts = Tails(clock)
    texts.take_offsets({"a": 0})
    for _ in range(600):
        if texts.next_read(lambda ref: True):
            texts.read("a", 0, None, has_ended=True)
        clock.now += 0.5
    assert not texts.is_behind("a")


def test_output_ends_where_the_hub_keeps_no_more() -> None:
    texts = Tails(Clock())
    texts.take_offsets({"a": tails.MOST_LOG_BYTES - 10})
    assert texts.next_read(lambda ref: True) == ("a", tails.MOST_LOG_BYTES - 10, 10)
    texts.take_offsets({"b": tails.MOST_LOG_BYTES})
    assert (texts.next_read(lambda ref: True), texts.is_behind("b")) == (None, False)


# What it is started with


def test_a_driver_is_named_and_checked(tmp_path: Any) -> None:
    assert load("filesite:FileDriver").kind == "file"
    for wrong in ("filesite", "filesite:Nothing", "filesite:opened", "no.such:Thing", ""):
        with pytest.raises(BadDriver):
            load(wrong)
    file = tmp_path / "settings.json"
    with pytest.raises(BadDriver, match="settings"):
        file_settings(file)
    file.write_text('{"a": 1}')
    settings = file_settings(file)
    assert settings() == {"a": 1}
    file.write_text('{"a": ')  # while it is exchanged
    assert settings() == {"a": 1}
    file.write_text('{"a": 2}')
    site = Site(load("filesite:FileDriver"), "c-1", "kubernetes", settings, lambda: {"ca_pem": "x"})
    site.raise_epoch(7)
    site.raise_epoch(3)
    config = site.driver().config
    assert (config.settings, config.secrets, config.epoch, config.cluster_id) == ({"a": 2}, {"ca_pem": "x"}, 7, "c-1")
    assert options.DEFAULT_DRIVER.startswith("federation.drivers.kubernetes.")
