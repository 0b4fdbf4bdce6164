"""Conversations about running work in place: it stands still, goes on, starts anew, shows its screen."""

from typing import Any

import pytest

from federation.drivers.base import Rejected, Unavailable
from federation.models import Cluster
from portal.models import AuditEntry
from portal.permissions import Role
from tests.api.conftest import SignIn
from tests.billing.rows import Estate, at
from tests.stub_driver import MACHINE_PATH, MachineDriver

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_stub")]


@pytest.fixture
def running(settings: Any) -> Any:
    settings.FEDERATION_DRIVERS = {**settings.FEDERATION_DRIVERS, "fake": MACHINE_PATH}
    estate = Estate(devices=1)
    allocation = estate.running(at(0), at(30), device=0)
    return estate, allocation, f"/api/v1/allocations/{allocation.pk}"


def test_running_work_is_paused_goes_on_and_is_restarted(running: Any, sign_in: SignIn) -> None:
    estate, allocation, address = running
    member = sign_in(Role.TENANT_MEMBER, estate.tenant)
    assert set(member.get(address).json()["actions"]) == {"pause", "unpause", "restart", "screen"}
    for verb, body in (("pause", None), ("unpause", None), ("restart", {"is_hard": True}), ("restart", {})):
        answer = member.post(f"{address}/{verb}", body)
        assert answer.status_code == 202, answer.json()
    ref = str(allocation.pk)
    assert MachineDriver.told == [
        ("suspend", ref), ("resume", ref), ("restart", ref, "hard"), ("restart", ref, "soft"),
    ]  # fmt: skip
    assert AuditEntry.objects.filter(what="allocation.restart").count() == 2


def test_a_screen_is_for_those_who_may_enter_and_each_look_is_noted(running: Any, sign_in: SignIn) -> None:
    estate, _, address = running
    seen = sign_in(Role.TENANT_MEMBER, estate.tenant).post(f"{address}/screen")
    assert seen.json() == {"kind": "vnc", "host": "127.0.0.1", "port": 5901, "password": "canary-word"}
    assert seen["Cache-Control"] == "no-store"
    assert sign_in(Role.TENANT_VIEWER, estate.tenant).post(f"{address}/screen").status_code == 403
    entry = AuditEntry.objects.get(what="allocation.screen")
    assert "canary" not in str(entry.detail)


def test_a_site_that_is_silent_or_refuses_says_so_and_nothing_changes(running: Any, sign_in: SignIn) -> None:
    estate, allocation, address = running
    member = sign_in(Role.TENANT_MEMBER, estate.tenant)
    for trouble, status, code in (
        (Unavailable("No answer within 3 s."), 503, "site-unavailable"),
        (Rejected("NotRunning", "It does not run."), 409, "conflict"),
    ):
        MachineDriver.trouble = trouble
        answer = member.post(f"{address}/pause")
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.json()["detail"] in str(trouble)
    assert not AuditEntry.objects.filter(what="allocation.pause").exists()
    allocation.refresh_from_db()
    assert allocation.state == "active"


def test_a_site_that_cannot_does_not_offer_it(running: Any, sign_in: SignIn, settings: Any) -> None:
    estate, allocation, address = running
    Cluster.objects.filter(pk=allocation.cluster_id).update(driver="agent")
    member = sign_in(Role.TENANT_MEMBER, estate.tenant)
    assert "pause" not in member.get(address).json()["actions"]
    answer = member.post(f"{address}/pause")
    assert (answer.status_code, answer.json()["detail"]) == (409, "This site cannot pause work when the hub asks.")
