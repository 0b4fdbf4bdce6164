"""What stands on a domain of ours is read back as it was written; what others wrote is not taken for ours."""

from dataclasses import replace
from typing import Any

import pytest

from federation.drivers.base import DeviceGrant, Observation
from federation.drivers.base import ObservedState as O
from federation.drivers.kvm import guests, names, states
from federation.drivers.kvm.cards import Address
from federation.drivers.kvm.domains import Shape, domain_xml
from federation.drivers.kvm.guests import Course, Guest, Held, guest_of, order_of
from tests.contracts.harness import spec

CARD = Held(DeviceGrant(0, "GPU-0", 1000, 81920), (Address(0, 1, 0, 0), Address(0, 1, 0, 1)))
PART = Held(
    DeviceGrant(5, "GPU-1/nvidia-474/0", 1000, 0), mediated="0f6a5a52-1111-4222-8333-944455556666", is_made=True
)
REAL = Shape("kvm", "x86_64", disk="/p/d.qcow2", seed="/p/s.iso", log="/p/l.log", network="default")


def guest(course: Course | None = None, shape: Shape = REAL, **changes: Any) -> Guest:
    order = order_of(spec(max_seconds=60, workload="w&<>\"'", **changes), [CARD, PART])
    found = guest_of(domain_xml(order, shape, course or Course()), is_active=True)
    assert found is not None and found.order == order
    return found


def test_what_is_written_is_read_back() -> None:
    course = Course(began=12.5, seen=20.0, asked=30.25).noted(1.5e9, "Started", "It <runs>.")
    found = guest(course)
    assert found.course == course
    assert found.addresses == set(CARD.addresses) and found.mediated == {PART.mediated}
    assert (found.vcpus, found.memory_mib) == (4, 8192)
    assert not found.is_changed


@pytest.mark.parametrize("change", ["addresses", "mediated", "vcpus", "memory_mib"])
def test_what_a_hand_changed_is_seen(change: str) -> None:
    other: dict[str, Any] = {
        "addresses": frozenset(CARD.addresses[:1]), "mediated": frozenset(), "vcpus": 9, "memory_mib": 1,
    }  # fmt: skip
    assert replace(guest(), **{change: other[change]}).is_changed


@pytest.mark.parametrize(
    "spoiled",
    [
        lambda text: text.replace('epoch="1"', 'epoch="one"'),
        lambda text: text.replace(names.WORK_SPACE, "urn:somebody:else"),
        lambda text: text.replace('addresses="0000:01:00.0', 'addresses="nowhere'),
    ],
)
def test_metadata_that_is_not_ours_or_was_spoiled_is_foreign(spoiled: Any) -> None:
    text = domain_xml(order_of(spec(), [CARD]), REAL, Course())
    found = guest_of(spoiled(text), is_active=True)
    assert found is not None and found.order is None
    assert spoiled(text) != text


def test_a_domain_that_cannot_be_read_is_nobodys() -> None:
    assert guest_of("<domain", is_active=True) is None


def test_notes_are_kept_up_to_a_number() -> None:
    course = Course()
    for number in range(100):
        course = course.noted(number, "Restarted", str(number))
    assert len(course.notes) == guests.MOST_NOTES and course.notes[-1].message == "99"


def test_a_machine_near_its_card() -> None:
    text = domain_xml(order_of(spec(), [CARD]), replace(REAL, cpus="0,1,2", memory_nodes="1"), Course())
    assert 'cpuset="0,1,2"' in text and 'nodeset="1"' in text


def test_names() -> None:
    assert names.name_of("0f6a5a52-1111-4222-8333-944455556666") == "aquifer-0f6a5a52-1111-4222-8333-944455556666"
    strange = ["", "a b", "../x", "参考" * 200, "nul \0", "a/b", "x" * 65, "-a", "a.b"]
    found = {names.name_of(ref) for ref in strange}
    assert len(found) == len(strange)
    assert all(len(name) < 80 and "/" not in name and name.isascii() for name in found)


# -- states --------------------------------------------------------------------------------------------------

BEGAN = Course(began=100.0, seen=130.0)


def seen(
    course: Course, state: tuple[int, int], *, clock: float = 160.0, is_gone: bool = False, **of: Any
) -> Observation:
    found = replace(guest(course), **of)
    return states.seen_of(found, state, clock, is_gone=is_gone)


@pytest.mark.parametrize(
    ("state", "expected", "reason"),
    [
        ((states.RUNNING, 1), O.RUNNING, ""),
        ((states.BLOCKED, 0), O.RUNNING, ""),
        ((states.PAUSED, 1), O.RUNNING, "Suspended"),
        ((states.PAUSED, 5), O.RUNNING, "DiskTrouble"),
        ((states.PAUSED, 10), O.BROKEN, "GuestCrashed"),
        ((states.PAUSED, 3), O.RUNNING, ""),
        ((states.PMSUSPENDED, 0), O.RUNNING, "Suspended"),
        ((states.SHUTDOWN, 1), O.RUNNING, "ShuttingDown"),
        ((states.NOSTATE, 0), O.BROKEN, "UnknownAtSite"),
        ((99, 0), O.BROKEN, "UnknownAtSite"),
    ],
)
def test_a_machine_that_is_there(state: tuple[int, int], expected: O, reason: str) -> None:
    found = seen(BEGAN, state)
    assert (found.state, found.reason, found.ran_seconds) == (expected, reason, 60.0)


@pytest.mark.parametrize(
    ("why", "expected", "reason", "code"),
    [
        (1, O.SUCCEEDED, "", 0),
        (2, O.FAILED, "StoppedAtSite", 1),
        (3, O.FAILED, "GuestCrashed", 1),
        (5, O.BROKEN, "SavedAtSite", None),
        (4, O.BROKEN, "MovedAtSite", None),
        (0, O.FAILED, "HostRestarted", 1),
        (99, O.FAILED, "HostRestarted", 1),
    ],
)
def test_a_machine_that_is_off(why: int, expected: O, reason: str, code: int | None) -> None:
    over = states.ended(BEGAN, (states.SHUTOFF, why), 160.0, 0.0, is_sure=False)
    found = seen(over, (states.SHUTOFF, why), clock=9999.0, is_active=False)
    assert (found.state, found.reason, found.exit_code) == (expected, reason, code)
    assert found.ran_seconds == 30.0, "up to the last proof of life"


def test_an_end_that_the_host_told_of_counts_up_to_that_moment() -> None:
    over = states.ended(BEGAN, (states.SHUTOFF, 1), 160.0, 0.0, is_sure=True)
    assert over.ran == 60.0


def test_a_clock_that_began_anew_takes_nothing_back() -> None:
    assert seen(BEGAN, (states.RUNNING, 1), clock=5.0).ran_seconds == 30.0
    assert states.ended(BEGAN, (states.SHUTOFF, 1), 5.0, 0.0, is_sure=True).ran == 30.0


def test_what_was_removed_is_stopping_whatever_it_does() -> None:
    asked = replace(BEGAN, asked=150.0)
    assert seen(asked, (states.RUNNING, 1), is_gone=True).state == O.STOPPING
    late = seen(asked, (states.RUNNING, 1), clock=150.0 + 1800, is_gone=True)
    assert (late.state, late.reason) == (O.STOPPING, "StuckAtSite") and "30 minutes" in late.message


def test_what_was_not_let_run_is_starting() -> None:
    held = seen(Course(), (states.SHUTOFF, 0), is_active=False)
    assert (held.state, held.reason, held.ran_seconds) == (O.STARTING, "HeldForGang", None)
    assert seen(Course(), (states.PAUSED, 11)).state == O.STARTING
