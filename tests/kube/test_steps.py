"""A worker dies before or after any one of its calls to the API server. The next one finishes: one object, no orphan.

Each call of `ensure` and `remove` in turn is the last one that a worker makes. Death before it: the server never heard
of it. Death after it: the server did it, and nobody saw the answer.
"""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from federation.drivers.base import Observation, Rejected, WorkloadSpec
from federation.drivers.base import ObservedState as O
from federation.drivers.kubernetes.transport import Deadline
from tests.contracts.harness import spec
from tests.contracts.kube import KubeHarness, SlowApi

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]
MOST_CALLS = 40


class Killed(BaseException):
    """As SIGKILL: no handler of the driver sees it."""


class MortalApi(SlowApi):
    """Lets so many calls through and dies at the next one."""

    def __init__(self, harness: KubeHarness, calls: int, *, is_after: bool) -> None:
        super().__init__(harness)
        self.left, self.is_after = calls, is_after

    def raw(self, deadline: Deadline, method: str, path: str, **more: Any) -> bytes:
        self.left -= 1
        if self.left < 0 and not self.is_after:
            raise Killed
        answer = super().raw(deadline, method, path, **more)
        if self.left < 0:
            raise Killed
        return answer


@pytest.fixture
def site(plane: Any, tmp_path: Any) -> Iterator[KubeHarness]:
    harness = KubeHarness(plane, uuid4().hex[:8], tmp_path)
    yield harness
    harness.close()


def dies(site: KubeHarness, calls: int, is_after: bool, act: Callable[[Any], Observation]) -> bool:
    """Whether the worker died; False when the step was over before."""
    driver = site.driver()
    driver._api = MortalApi(site, calls, is_after=is_after)
    try:
        act(driver)
    except Killed:
        return True
    return False


def work(number: int, is_after: bool) -> WorkloadSpec:
    return spec(f"work-{number}-{'after' if is_after else 'before'}", card=0, image="localhost/busybox:1")


@pytest.mark.parametrize("is_after", [False, True], ids=["before the call", "after the call"])
def test_whichever_call_is_the_last_the_work_is_made_once_and_removed_whole(site: KubeHarness, is_after: bool) -> None:
    deaths = 0
    for number in range(MOST_CALLS):
        wanted = work(number, is_after)
        if not dies(site, number, is_after, lambda driver, wanted=wanted: driver.ensure(wanted)):
            break
        deaths += 1
        assert len(site.objects()) <= 1
        site.until(lambda wanted=wanted: site.driver().ensure(wanted), O.RUNNING)
        assert site.objects() == [wanted.ref] == site.driver().refs()
        # And its end, with a death at the same call.
        dies(site, number, is_after, lambda driver, wanted=wanted: driver.remove(wanted.ref))
        site.until(lambda wanted=wanted: site.driver().remove(wanted.ref), O.ABSENT)
        assert site.objects() == [] == site.driver().refs()
        with pytest.raises(Rejected, match="OldGeneration"):
            site.driver().ensure(wanted)
    else:
        raise AssertionError("the step never ends")
    assert deaths >= 8  # epoch, record, node, namespace, job, …: there is something to die at
    site.driver().remove(work(number, is_after).ref)


def test_a_worker_that_sleeps_before_its_job_is_made_leaves_nothing(site: KubeHarness) -> None:
    """The hub took the grant back meanwhile, and the site has shown that nothing is left."""
    wanted = work(0, False)
    sleeper = site.driver()

    class Sleepy(SlowApi):
        def raw(self, deadline: Deadline, method: str, path: str, **more: Any) -> bytes:
            if method == "POST" and path.endswith("/jobs"):
                site.until(lambda: site.driver().remove(wanted.ref), O.ABSENT)
            return super().raw(deadline, method, path, **more)

    sleeper._api = Sleepy(site)
    with pytest.raises(Rejected, match="OldGeneration"):
        sleeper.ensure(wanted)
    site.advance(2)
    site.until(lambda: site.driver().remove(wanted.ref), O.ABSENT)
    assert site.objects() == []
