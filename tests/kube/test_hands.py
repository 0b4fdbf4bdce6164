"""Hands at the site: what somebody does to our objects there is seen, and never taken for nothing being left."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from federation.drivers.base import ObservedState as O
from federation.drivers.kubernetes.names import object_name
from tests.contracts.harness import spec
from tests.contracts.kube import SPACE, KubeHarness
from tests.kube.api import Api
from tests.kube.plane import ControlPlane

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]
WORK = spec("hands", image="localhost/busybox:1")
JOB = f"/apis/batch/v1/namespaces/{SPACE}/jobs/{object_name('hands')}"


@pytest.fixture
def site(plane: Any, tmp_path: Any) -> Iterator[KubeHarness]:
    harness = KubeHarness(plane, uuid4().hex[:8], tmp_path)
    harness.until(lambda: harness.driver().ensure(WORK), O.RUNNING)
    yield harness
    harness.close()


@pytest.fixture
def hand(plane: ControlPlane) -> Iterator[Api]:
    with plane.api() as api:
        yield api


def ends(site: KubeHarness) -> None:
    site.until(lambda: site.driver().remove("hands"), O.ABSENT)
    assert site.objects() == [] == site.driver().refs()


def test_a_record_that_is_removed_does_not_hide_what_still_runs(site: KubeHarness, hand: Api) -> None:
    hand.delete(f"/api/v1/namespaces/{site.system}/configmaps/{object_name('hands')}")
    seen = site.driver().observe("hands")
    assert (seen.state, seen.reason) == (O.BROKEN, "ChangedAtSite")
    assert site.driver().refs() == ["hands"]
    assert site.driver().remove("hands").state == O.STOPPING
    ends(site)


def test_a_job_that_is_deleted_is_gone_once_its_pod_is(site: KubeHarness, hand: Api) -> None:
    hand.delete(JOB, propagationPolicy="Background")
    site._settle()
    assert site.driver().observe("hands").state != O.ABSENT, "its pod has still its grace"
    site.until(lambda: site.driver().observe("hands"), O.ABSENT)
    ends(site)


def test_a_job_deleted_without_its_pod_is_told(site: KubeHarness, hand: Api) -> None:
    hand.delete(JOB, propagationPolicy="Orphan")
    site._settle()
    seen = site.driver().observe("hands")
    assert (seen.state, seen.reason) == (O.BROKEN, "ChangedAtSite")
    ends(site)


def test_a_job_that_is_suspended_by_hand_is_no_longer_running(site: KubeHarness, hand: Api) -> None:
    hand.patch(JOB, {"spec": {"suspend": True}})
    site.advance(2)
    seen = site.until(lambda: site.driver().observe("hands"), O.STARTING, O.BROKEN)
    assert seen.reason in ("HeldForGang", "RemovedAtSite")
    ends(site)


def test_a_record_edited_into_nonsense_counts_as_removed(site: KubeHarness, hand: Api) -> None:
    path = f"/api/v1/namespaces/{site.system}/configmaps/{object_name('hands')}"
    hand.patch(path, {"data": {"grant": "{}"}})
    assert site.driver().observe("hands").state == O.BROKEN
    ends(site)


def test_a_finalizer_holds_the_devices_and_is_told(site: KubeHarness, hand: Api) -> None:
    (pod,) = hand.items(f"/api/v1/namespaces/{SPACE}/pods", labelSelector="aquifer.io/ref=hands")
    path = f"/api/v1/namespaces/{SPACE}/pods/{pod['metadata']['name']}"
    hand.patch(path, {"metadata": {"finalizers": ["example.com/hold"]}})
    for _ in range(3):
        site.advance(2)
        assert site.driver().remove("hands").state == O.STOPPING
    hand.patch(path, {"metadata": {"finalizers": None}})
    ends(site)
