"""What people ask of a site that only its agent reaches: passed on, done once, and told; or why it was not."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from federation import calls
from federation.actions import machines
from federation.drivers.abilities import Power, PowerControl, Screen
from federation.drivers.base import Unavailable
from federation.models import Agent, AgentCall, Allocation, Cluster
from federation.registry import able_driver
from portal.audit import SYSTEM
from portal.errors import Conflict, SiteSilent
from portal.models import AuditEntry
from tests.api import test_agent_calls
from tests.api.test_agent_calls import called, desk, dial, quick
from tests.api.test_work_sockets import Desk
from tests.portal.sockets import run

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["desk", "quick"]  # fixtures
RAN = {"state": "running", "reason": "Suspended", "ran_seconds": 7.5}


def enrolled(cluster: Cluster, *abilities: str) -> str:
    """An agent that can do this, and whose site answers it."""
    own = test_agent_calls.enrolled(cluster)
    Agent.objects.update(site={"abilities": abilities, "silent_seconds": 0.0})
    return own


def told(desk: Desk, own: str, act: Any, said: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """What comes of an action when the agent says this, and what the agent was asked."""

    def ask() -> Any:
        try:
            return act()
        except (Conflict, SiteSilent, Unavailable) as error:
            return error
        finally:
            connections.close_all()

    Agent.objects.update(reported_at=timezone.now())

    async def story() -> tuple[Any, dict[str, Any]]:
        asking = asyncio.create_task(asyncio.to_thread(ask))
        call = await called(desk)
        agent = dial(call, own)
        assert await agent.open() == 0
        await agent.say(json.dumps({"type": "answer", **said}))
        found = await asking
        await agent.leave()
        return found, call

    return run(story)


def fresh(grant: Allocation) -> Allocation:
    return Allocation.objects.select_related("cluster").get(pk=grant.pk)


def test_work_is_paused_and_restarted_by_the_agent(desk: Desk) -> None:
    own = enrolled(desk.grant.cluster, "suspend", "restart")
    grant = fresh(desk.grant)
    found, call = told(desk, own, lambda: machines.pause(by=SYSTEM, allocation=grant), {"code": "", "found": RAN})
    assert found == grant
    assert (call["kind"], call["verb"], call["ref"]) == ("ask", "suspend", str(grant.pk))
    _, call = told(
        desk, own, lambda: machines.restart(by=SYSTEM, allocation=grant, is_hard=True), {"code": "", "found": RAN}
    )
    assert (call["verb"], call["is_hard"]) == ("restart", True)
    assert set(AuditEntry.objects.values_list("what", flat=True)) >= {"allocation.pause", "allocation.restart"}
    assert not AgentCall.objects.exists(), "nothing of it stays"


def test_what_the_site_refuses_is_told_and_not_on_record(desk: Desk) -> None:
    own = enrolled(desk.grant.cluster, "suspend")
    grant = fresh(desk.grant)
    for said, kind, words in (
        ({"code": "refused", "reason": "NotRunning", "message": "It does not run."}, Conflict, "It does not run."),
        ({"code": "unavailable", "message": "Away."}, SiteSilent, "Away."),
        ({"code": "", "found": None}, SiteSilent, "did not say"),
        ({"code": "", "found": {"state": 5}}, None, ""),
    ):
        found, _ = told(desk, own, lambda: machines.pause(by=SYSTEM, allocation=grant), said)
        assert kind is None or (isinstance(found, kind) and words in str(found)), said
    assert AuditEntry.objects.filter(what="allocation.pause").count() == 1, "only the one that was done"


def test_the_password_of_a_screen_does_not_lie_open(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    own = enrolled(desk.grant.cluster, "screen")
    grant = fresh(desk.grant)
    kept: list[Any] = []
    forget = calls.forget

    def keeping(call: AgentCall) -> None:
        kept.append(AgentCall.objects.get(pk=call.pk).answer)
        forget(call)

    monkeypatch.setattr(calls, "forget", keeping)
    screen = {"kind": "vnc", "host": "127.0.0.1", "port": 5901, "password": "canary-word"}
    found, _ = told(desk, own, lambda: machines.screen(by=SYSTEM, allocation=grant), {"code": "", "found": screen})
    assert found == Screen("vnc", "127.0.0.1", 5901, "canary-word")
    assert kept and "canary" not in json.dumps(kept)
    for wrong in ({**screen, "port": 70000}, {**screen, "kind": "telnet"}, {"kind": "vnc"}, "x"):
        found, _ = told(desk, own, lambda: machines.screen(by=SYSTEM, allocation=grant), {"code": "", "found": wrong})
        assert isinstance(found, SiteSilent), wrong


def test_an_agent_that_does_not_come_was_not_asked(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "ANSWER_SECONDS", 0.2)
    enrolled(desk.grant.cluster, "suspend")
    with pytest.raises(SiteSilent, match="in time"):
        machines.pause(by=SYSTEM, allocation=fresh(desk.grant))
    assert calls.waiting(desk.grant.cluster) == [], "it will not be done later"
    Agent.objects.update(reported_at=timezone.now() - timedelta(minutes=1))
    monkeypatch.setattr(calls, "ANSWER_SECONDS", 3600.0)
    with pytest.raises(SiteSilent, match="last heard"):
        machines.pause(by=SYSTEM, allocation=fresh(desk.grant))


def test_only_what_the_agent_says_it_can_is_offered(desk: Desk) -> None:
    cluster: Cluster = desk.grant.cluster
    enrolled(cluster, "suspend", "made-up")
    grant = fresh(desk.grant)
    assert machines.verbs(grant.cluster) == {"pause", "unpause"}
    with pytest.raises(Conflict, match="cannot restart"):
        machines.restart(by=SYSTEM, allocation=grant)
    assert not isinstance(able_driver(cluster), PowerControl)
    Agent.objects.update(revoked_at=timezone.now())
    assert machines.verbs(fresh(desk.grant).cluster) == frozenset()


def test_a_node_is_switched_by_the_agent(desk: Desk) -> None:
    own = enrolled(desk.grant.cluster, "power")

    def switch() -> Power:
        driver = able_driver(desk.grant.cluster)
        assert isinstance(driver, PowerControl)
        return driver.set_power("box", Power.OFF)

    found, call = told(desk, own, switch, {"code": "", "found": "on"})
    assert found == Power.ON, "it follows some seconds later"
    assert (call["verb"], call["node"], call["power"]) == ("set-power", "box", "off")
    assert told(desk, own, switch, {"code": "", "found": "asleep"})[0] == Power.UNKNOWN
