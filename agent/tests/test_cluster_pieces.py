"""The pieces of work of a cluster's agent: what it heard, what it saw, what it does next."""

from collections.abc import Callable
from typing import Any

import pytest
from aquifer_agent.cluster import pieces
from aquifer_agent.cluster.pieces import Job, Pieces
from aquifer_agent.orders import Order
from clock import Clock

from federation.drivers.base import Observation, Rejected
from federation.drivers.base import ObservedState as O

NOTHING_WANTED: Callable[[str], bool] = lambda ref: False  # noqa: E731


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


def test_a_site_that_has_not_taken_it_on_is_asked_again_and_says_why(world: World) -> None:
    world.hear(run())
    world.pieces.ensured(world.job(), Observation("a", O.PENDING, 1, 1, reason="ImagePulling", message="3 MiB."))
    world.look()
    (told,) = world.pieces.reports()
    assert (told["state"], told["reason"], told["message"]) == ("pending", "ImagePulling", "3 MiB.")
    assert world.idle(), "not at once"
    world.clock.now += 2
    world.pieces.ensured(world.job(), seen(O.RUNNING))
    assert world.states() == {"a": "running"}
    world.hear(end())
    world.pieces.removed(world.job(), seen(O.ABSENT))


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
