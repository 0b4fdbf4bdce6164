"""What running work uses of its host, as a site that the hub asks says it: kept with the allocation, and no other."""

from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from federation.drivers.base import UsageSample
from federation.models import Allocation
from federation.reconcile import figures
from tests import factories
from tests.billing.rows import Estate, at

pytestmark = pytest.mark.django_db
USE = {
    "cpu_milli": 1500, "memory_used_mib": 300, "disk_read_kibps": 1, "disk_write_kibps": 2, "net_in_kibps": 3,
    "net_out_kibps": 4,
}  # fmt: skip


def kept(allocation: Allocation) -> tuple[Any, ...]:
    found = Allocation.objects.get(pk=allocation.pk)
    return (
        found.used_cpu_milli, found.used_memory_mib, found.used_disk_read_kibps, found.used_disk_write_kibps,
        found.used_net_in_kibps, found.used_net_out_kibps,
    )  # fmt: skip


def sample(ref: object, **use: Any) -> UsageSample:
    return UsageSample(timezone.now(), ref=str(ref), **use)


def test_it_is_kept_with_the_work(django_assert_num_queries: Any) -> None:
    estate = Estate(devices=2)
    first, second = estate.running(at(0), at(30), device=0), estate.running(at(0), at(30), device=1)
    said = [
        sample(first.pk, **USE),
        sample(second.pk, memory_used_mib=7),
        sample(uuid4(), **USE),
        sample("theirs", **USE),
    ]
    with django_assert_num_queries(3):  # one statement, and what makes it forgettable
        figures.store(first.cluster, said)
    assert kept(first) == (1500, 300, 1, 2, 3, 4)
    assert kept(second) == (None, 7, None, None, None, None), "what is not known is not nothing"


def test_another_site_and_work_that_ended_are_left_alone() -> None:
    estate = Estate(devices=1)
    allocation = estate.running(at(0), at(30), device=0)
    figures.store(factories.cluster(), [sample(allocation.pk, **USE)])
    assert kept(allocation) == (None,) * 6
    Allocation.objects.filter(pk=allocation.pk).update(state="stopping")
    figures.store(allocation.cluster, [sample(allocation.pk, **USE)])
    assert kept(allocation) == (None,) * 6
