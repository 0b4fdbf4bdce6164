"""Where agents dial in for calls: who gets in, once, and what becomes of a shell, a port and events on the way."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import channel_layers
from django.utils import timezone

from federation import calls
from federation.actions import agents, sites
from federation.api import ends, sockets
from federation.drivers.base import Unavailable
from federation.models import Agent, AgentCall, Allocation, Cluster
from federation.states import AllocationState as A
from portal.audit import SYSTEM
from portal.http.sockets import Places
from tests.api.test_work_sockets import Desk, begun
from tests.portal.sockets import Socket, run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "places", Places(20))
    monkeypatch.setattr(ends, "ANSWER_SECONDS", 5.0)
    channel_layers.backends.clear()


def enrolled(cluster: Cluster, *abilities: str) -> str:
    """An agent's secret; it has told what it can do."""
    _, secret = sites.invite_agent(by=SYSTEM, cluster=cluster)
    agent, own = agents.enrol(secret=secret, machine_id="m", hostname="h", agent_version="1")
    Agent.objects.filter(pk=agent.pk).update(site={"abilities": list(abilities)}, reported_at=timezone.now())
    return own


@pytest.fixture
def desk() -> Desk:
    """Work that runs where only an agent reaches it."""
    made = begun(run_seconds=3600.0)
    assert made.grant.state == A.ACTIVE
    Cluster.objects.filter(pk=made.grant.cluster_id).update(driver="agent")
    made.grant.cluster.refresh_from_db()
    return made


def waiting(cluster: Cluster) -> list[dict[str, Any]]:
    return calls.waiting(cluster)


async def called(desk: Desk) -> dict[str, Any]:
    for _ in range(200):
        if found := await sync_to_async(waiting)(desk.grant.cluster):
            return dict(found[0])
        await asyncio.sleep(0.02)
    raise AssertionError("no call came")


def dial(call: dict[str, Any], secret: str) -> Socket:
    return Socket(path=f"/ws/agent/calls/{call['id']}", token=secret, origin=None)


# -- who gets in ----------------------------------------------------------------------------------------


def test_only_the_agent_of_the_cluster_gets_in_and_once(desk: Desk) -> None:
    own = enrolled(desk.grant.cluster, "shell")
    other = enrolled(sites.add_cluster(by=SYSTEM, site=desk.grant.cluster.site, slug="o", name="o", kind="kubernetes", driver="agent"))  # fmt: skip  # noqa: E501
    call = calls.ask(cluster=desk.grant.cluster, ref=str(desk.grant.pk), kind=AgentCall.Kind.EVENTS, detail={})
    named = {"id": str(call.pk)}

    async def story() -> None:
        for secret in ("", "made-up", other):
            assert await dial(named, secret).open() > 0, secret
        assert await Socket(desk.session, path=f"/ws/agent/calls/{call.pk}").open() > 0, "a person is no agent"
        for wrong in ("x", "01a225ef-d397-782b-9894-a121edaf8c74"):
            assert await dial({"id": wrong}, own).open() > 0
        first = dial(named, own)
        assert await first.open() == 0
        assert await dial(named, own).open() > 0, "somebody is there already"
        await first.leave()

    run(story)


def test_a_call_that_waited_too_long_is_nobodys(desk: Desk) -> None:
    own = enrolled(desk.grant.cluster, "shell")
    call = calls.ask(cluster=desk.grant.cluster, ref=str(desk.grant.pk), kind=AgentCall.Kind.EVENTS, detail={})
    AgentCall.objects.update(asked_at=timezone.now() - timedelta(seconds=calls.WAIT_SECONDS + 1))
    assert calls.waiting(desk.grant.cluster) == []

    async def story() -> None:
        assert await dial({"id": str(call.pk)}, own).open() > 0

    run(story)
    calls.drop_old()
    assert not AgentCall.objects.exists()


# -- what is carried ------------------------------------------------------------------------------------


def test_a_shell_is_carried_both_ways_and_its_end_is_told(desk: Desk) -> None:
    own = enrolled(desk.grant.cluster, "shell")

    async def story() -> None:
        person = desk.socket("shell", "tty=0&command=cat")
        assert await person.open() == 0
        call = await called(desk)
        assert {k: call[k] for k in ("kind", "ref", "command", "is_tty")} == {
            "kind": "shell", "ref": str(desk.grant.pk), "command": ["cat"], "is_tty": False,
        }  # fmt: skip
        agent = dial(call, own)
        assert await agent.open() == 0
        await agent.say('{"type": "open"}')
        assert await person.hear() == {"type": "open"}
        await person.send(b"typed")
        assert await agent.hear_bytes() == b"typed"
        await person.say('{"type": "resize", "columns": 132, "rows": 43}')
        assert await agent.hear() == {"type": "resize", "columns": 132, "rows": 43}
        await person.say('{"type": "eof"}')
        assert await agent.hear() == {"type": "eof"}
        await agent.send(b"\x01out")
        await agent.send(b"\x02err")
        assert [await person.hear_bytes(), await person.hear_bytes()] == [b"\x01out", b"\x02err"]
        await agent.say('{"type": "end", "exit_code": 7}')
        assert (await person.bytes_and_end())[1] == {"type": "end", "exit_code": 7, "code": "", "message": ""}
        assert await agent.closed() == 1000
        await person.leave()
        await agent.leave()

    run(story)
    assert not AgentCall.objects.exists()


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"code": "not-running", "message": "No."}, "not-running"),
        ({"code": "not-possible", "message": "No."}, "not-possible"),
        ({"code": "unavailable", "message": "No."}, "unavailable"),
        ({"code": "made-up", "message": "No.", "exit_code": "x"}, "not-possible"),
    ],
)
def test_what_comes_to_nothing_at_the_site_is_told(desk: Desk, said: dict[str, Any], code: str) -> None:
    own = enrolled(desk.grant.cluster, "port")

    async def story() -> None:
        person = desk.socket("ports/80")
        assert await person.open() == 0
        agent = dial(await called(desk), own)
        assert await agent.open() == 0
        await agent.say(json.dumps({"type": "end", **said}))
        last = (await person.bytes_and_end())[1]
        assert (last["code"], last["message"], last["exit_code"]) == (code, "No.", None)
        await agent.leave()

    run(story)


def test_an_agent_that_hangs_up_or_talks_nonsense_ends_it(desk: Desk) -> None:
    own = enrolled(desk.grant.cluster, "shell")

    async def story() -> None:
        for words in (None, "[", "{}", '{"type": "made-up"}'):
            person = desk.socket("shell")
            assert await person.open() == 0
            agent = dial(await called(desk), own)
            assert await agent.open() == 0
            await agent.say('{"type": "open"}')
            assert await person.hear() == {"type": "open"}
            if words and "made-up" not in words:
                await agent.say(words)
                assert await agent.closed() == 1007
            elif words:
                await agent.say(words)  # a word of a newer agent
            await agent.leave()
            last = (await person.bytes_and_end())[1]
            assert (last["code"], last["message"]) == ("unavailable", "The agent hung up."), words
            await person.leave()

    run(story)


def test_an_agent_that_does_not_come_or_cannot_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ends, "ANSWER_SECONDS", 0.2)
    enrolled(desk.grant.cluster, "shell")

    async def story() -> None:
        for what, code, words in (
            ("shell", "unavailable", "did not take the call"),
            ("ports/80", "not-offered", "does not offer"),
        ):
            person = desk.socket(what)
            assert await person.open() == 0
            last = (await person.bytes_and_end())[1]
            assert last["code"] == code and words in last["message"]
            await person.leave()

    run(story)
    assert not AgentCall.objects.exists()


# -- events ---------------------------------------------------------------------------------------------


def answered(desk: Desk, own: str, *said: dict[str, Any]) -> Any:
    """What `calls.events` gives when the agent says this."""

    async def story() -> Any:
        asking = asyncio.create_task(asyncio.to_thread(ask, desk.grant))
        agent = dial(await called(desk), own)
        assert await agent.open() == 0
        for words in said:
            await agent.say(json.dumps(words))
        try:
            return await asking
        finally:
            await agent.leave()

    return run(story)


def ask(grant: Allocation) -> Any:
    from django.db import connections

    try:
        return calls.events(grant.cluster, str(grant.pk))
    except Unavailable as error:
        return error
    finally:
        connections.close_all()


def test_events_are_answered_by_the_agent(desk: Desk) -> None:
    own = enrolled(desk.grant.cluster, "events")
    event = {"at": "2026-11-29T00:00:00Z", "reason": "Pulled", "message": "m", "is_warning": False, "count": 2}
    assert answered(desk, own, {"type": "events", "events": [event]}) == [event]
    assert answered(
        desk, own, {"type": "events", "events": [event], "more": True}, {"type": "events", "events": []}
    ) == [event]
    failed = answered(desk, own, {"type": "events", "events": [], "message": "The site does not answer."})
    assert isinstance(failed, Unavailable) and str(failed) == "The site does not answer."
    assert not AgentCall.objects.exists()


def test_events_that_do_not_come_are_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "EVENTS_SECONDS", 0.2)
    enrolled(desk.grant.cluster, "events")
    with pytest.raises(Unavailable, match="in time"):
        calls.events(desk.grant.cluster, str(desk.grant.pk))
    assert not AgentCall.objects.exists()
