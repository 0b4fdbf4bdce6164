"""The picture of a cluster's nodes: told in parts, and to the end, whatever is lost on the way."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from aquifer_agent.cluster.following import Following
from aquifer_agent.cluster.picture import Picture
from aquifer_agent.cluster.site import Site
from clock import Clock
from filesite import FileDriver

from federation.drivers.abilities import SiteChanges
from federation.drivers.agent_nodes import digest_of, node_to_json, stamp_of
from federation.drivers.base import DeviceSeen, NodeSeen, Unavailable


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
