"""Silence is listed, and billed when it is proven."""

import pytest
from django.db import transaction

from billing import gaps
from billing.models import UsageGap, UsageRecord
from federation.models import Allocation
from federation.states import AllocationState as A
from portal.audit import SYSTEM
from portal.transitions import move
from tests.billing.invoicing import meter
from tests.billing.rows import Estate, at

pytestmark = pytest.mark.django_db


def listed() -> list[tuple[object, object, int | None]]:
    return [(g.start_at, g.end_at, g.proven_seconds) for g in UsageGap.objects.order_by("start_at")]


def test_silence_is_a_gap_until_its_proof_comes() -> None:
    estate = Estate()
    run = estate.running(at(0), at(10, milliseconds=300))
    gaps.step(now=at(14))
    assert listed() == []
    for now in (at(16), at(17), at(40)):  # however often one looks
        gaps.step(now=now)
        assert listed() == [(at(10), None, None)]
    meter()
    assert UsageRecord.objects.get().seconds == 600  # nothing of it is billed
    Allocation.objects.filter(pk=run.pk).update(proof_at=at(45))
    gaps.step(now=at(46))
    gaps.step(now=at(47))
    assert listed() == [(at(10), at(45), 35 * 60)]
    meter()
    assert UsageRecord.objects.get().seconds == 45 * 60
    gaps.step(now=at(60))
    assert listed() == [(at(10), at(45), 35 * 60), (at(45), None, None)]
    gap = UsageGap.objects.get(end_at=None)
    assert (gap.site, gap.held_milli, gap.project_id) == (estate.site.slug, 1000, estate.project.pk)


def test_a_site_that_proves_a_part_of_it_closes_it_with_that_part() -> None:
    run = Estate().running(at(0), at(10))
    gaps.step(now=at(30))
    with transaction.atomic():
        move(run, A.STOPPING, by=SYSTEM, ended_at=at(18))
    gaps.step(now=at(31))
    assert listed() == [(at(10), at(31), 8 * 60)]


def test_lost_work_stays_a_gap_until_it_is_found() -> None:
    run = Estate().running(at(0), at(10))
    with transaction.atomic():
        move(run, A.LOST, by=SYSTEM, ended_at=at(10))
    gaps.step(now=at(30))
    gaps.step(now=at(90))
    assert listed() == [(at(10), None, None)]
    with transaction.atomic():
        move(run, A.STOPPING, by=SYSTEM)
    gaps.step(now=at(95))
    assert listed() == [(at(10), at(95), 0)]


def test_work_that_ended_or_never_began_has_no_gap() -> None:
    estate = Estate()
    estate.reserved()
    estate.ended(at(0), at(10))
    gaps.step(now=at(600))
    assert listed() == []
