"""The live socket: who may open it, what it says, and that it closes once its user may no longer listen."""

import json
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from channels.layers import channel_layers, get_channel_layer
from django.contrib.sessions.models import Session
from django.db import OperationalError

from portal import consumers, events, streams, tasks
from portal.actions import members, tenants
from portal.audit import SYSTEM
from portal.http.sockets import Places
from portal.models import StreamPosition, Tenant, User
from portal.permissions import Role
from tests import factories
from tests.portal.sockets import Socket, opened, run, session_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "_RECHECK_SECONDS", 0.02)
    monkeypatch.setattr(consumers, "_places", Places(20))
    channel_layers.backends.clear()  # a layer of its own for each test, and each loop


# -- who may open it ------------------------------------------------------------------------------------------


def test_nobody_gets_in_without_a_session() -> None:
    disabled = factories.user()
    shut = session_of(disabled)
    members.disable(by=SYSTEM, user=disabled)
    without_role = session_of(User.objects.create(username="no-role"))
    suspended = factories.tenant()
    of_suspended = session_of(factories.user(Role.TENANT_OWNER, suspended))
    tenants.suspend(by=SYSTEM, tenant=suspended)

    async def story() -> None:
        for session in ("", "made-up", shut, without_role, of_suspended):
            assert await Socket(session).open() == 4401, session

    run(story)
    assert consumers._places.taken == {}


def test_another_sites_page_gets_in_for_nobody() -> None:
    session = session_of(factories.user())

    async def story() -> None:
        for origin in (
            b"https://evil.example",
            b"http://localhost.evil.example",
            b"http://evil-localhost",
            b"null",
            b"",
            b"file://",
            None,
        ):
            assert await Socket(session, origin=origin).open() > 0, origin
        async with opened(session):
            pass

    run(story)


def test_a_person_has_only_so_many_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers._places, "most", 2)
    user, other = factories.user(), factories.user()
    session, others = session_of(user), session_of(other)

    async def story() -> None:
        async with opened(session), opened(session):
            assert await Socket(session).open() == 4429
            async with opened(others):
                pass
        async with opened(session):
            assert consumers._places.taken == {str(user.pk): 1}

    run(story)
    assert consumers._places.taken == {}


# -- what it says ---------------------------------------------------------------------------------------------


def test_it_says_first_where_each_stream_is() -> None:
    tenant, other = factories.tenant(), factories.tenant()
    StreamPosition.objects.create(stream="platform", seq=41)
    StreamPosition.objects.create(stream=str(tenant.pk), seq=7)
    project = factories.project(other)
    both = factories.user(Role.TENANT_VIEWER, tenant)
    members.add(by=SYSTEM, user=both, role=Role.PROJECT_VIEWER, tenant=other, project=project)
    for user, positions in (
        (factories.user(Role.PLATFORM_VIEWER), {"platform": 41}),
        (factories.user(Role.TENANT_OWNER, tenant), {str(tenant.pk): 7}),
        (factories.user(Role.PROJECT_MEMBER, other, project), {str(other.pk): 0}),
        (both, {str(tenant.pk): 7, str(other.pk): 0}),
    ):
        session = session_of(user)

        async def story(session: str = session, positions: dict[str, int] = positions) -> None:
            async with opened(session) as (_, hello):
                assert hello == {"type": "hello", "streams": positions}

        run(story)


def test_a_tenant_hears_of_its_own_and_the_platform_of_all() -> None:
    mine, theirs = factories.tenant(), factories.tenant()
    tasks.relay_outbox()
    owner, admin = session_of(factories.user(Role.TENANT_OWNER, mine)), session_of(factories.user())
    ours, others, estate = uuid4(), uuid4(), uuid4()

    def change() -> None:
        events.publish("workload", ours, mine.pk)
        events.publish("workload", others, theirs.pk)
        events.publish("cluster", estate)
        tasks.relay_outbox()

    async def story() -> None:
        async with opened(owner) as (tenants_own, hello), opened(admin) as (platform, first):
            await sync_to_async(change)()
            seq = hello["streams"][str(mine.pk)]
            assert await tenants_own.hear() == {
                "type": "changed",
                "stream": str(mine.pk),
                "seq": seq + 1,
                "topic": "workload",
                "id": str(ours),
            }
            assert await tenants_own.is_silent()
            heard = [await platform.hear() for _ in range(3)]
            assert [(one["seq"] - first["streams"]["platform"], one["id"]) for one in heard] == [
                (1, str(ours)),
                (2, str(others)),
                (3, str(estate)),
            ]

    run(story)


def test_figures_of_devices_are_the_platforms() -> None:
    owner = session_of(factories.user(Role.TENANT_OWNER, factories.tenant()))
    viewer = session_of(factories.user(Role.PLATFORM_VIEWER))
    devices = [[str(uuid4()), 50, 1024, 1000] for _ in range(401)]

    async def story() -> None:
        async with opened(owner) as (tenants_own, _), opened(viewer) as (platform, _):
            await sync_to_async(streams.send_figures)(str(uuid4()), "2026-11-21T08:00:00Z", devices)
            frames = [await platform.hear() for _ in range(2)]
            assert [len(frame["d"]) for frame in frames] == [400, 1], "no frame is larger than a browser takes at once"
            assert [*frames[0]["d"], *frames[1]["d"]] == devices
            assert frames[0]["seq"] <= frames[1]["seq"]
            assert await tenants_own.is_silent()

    run(story)


def test_nobody_chooses_what_to_hear() -> None:
    """Whatever a browser sends, it hears its own streams; only a ping is answered."""
    mine, theirs = factories.tenant(), factories.tenant()
    session = session_of(factories.user(Role.TENANT_OWNER, mine))

    async def story() -> None:
        async with opened(session) as (made, _):
            for said in ({"type": "subscribe", "stream": str(theirs.pk)}, {"type": "group_add"}, [], "x", 7, None):
                await made.say(json.dumps(said))
            await made.say('{"type": "ping"}')
            assert await made.hear() == {"type": "pong"}
            for stream in (str(theirs.pk), "platform"):
                message = {"type": "events", "stream": stream, "first": 1, "events": [["workload", str(uuid4())]]}
                await get_channel_layer().group_send(f"stream.{stream}", message)
            assert await made.is_silent()

    run(story)


@pytest.mark.parametrize("text", ["{", "", "\x00", "[" * 900, "[" * 100_000, "x" * 10**6])
def test_what_is_no_json_ends_one_socket_and_no_other(text: str) -> None:
    session = session_of(factories.user())

    async def story() -> None:
        async with opened(session) as (good, _):
            bad = Socket(session)
            assert await bad.open() == 0
            await bad.say(text)
            assert await bad.closed() in {1007, 1009}
            await good.say('{"type": "ping"}')
            assert await good.hear() == {"type": "pong"}

    run(story)


# -- when it ends ---------------------------------------------------------------------------------------------


def _ends() -> dict[str, Callable[[User, Tenant, str], object]]:
    return {
        "disabled": lambda user, tenant, session: members.disable(by=SYSTEM, user=user),
        "signed out": lambda user, tenant, session: Session.objects.filter(pk=session).delete(),
        "without a role": lambda user, tenant, session: members.remove(by=SYSTEM, membership=user.memberships.get()),
        "of a suspended tenant": lambda user, tenant, session: tenants.suspend(by=SYSTEM, tenant=tenant),
        "of one tenant more": lambda user, tenant, session: members.add(
            by=SYSTEM, user=user, role=Role.TENANT_VIEWER, tenant=factories.tenant()
        ),
        "gone": lambda user, tenant, session: user.delete(),
    }


@pytest.mark.parametrize("end", _ends())
def test_a_socket_closes_when_its_user_is(end: str) -> None:
    tenant = factories.tenant()
    user = factories.user(Role.TENANT_OWNER, tenant)
    session = session_of(user)

    async def story() -> None:
        made = Socket(session)
        assert await made.open() == 0
        await made.hear()
        assert await made.is_silent(0.2), "as long as nothing changes it stays open"
        await sync_to_async(_ends()[end])(user, tenant, session)
        assert await made.closed() == 4401
        await made.leave()

    run(story)
    assert consumers._places.taken == {}


def test_a_socket_that_cannot_be_checked_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is away: nobody knows whether its user may still listen."""
    session = session_of(factories.user())

    def lost(*_: object) -> list[str]:
        raise OperationalError("away")

    async def story() -> None:
        made = Socket(session)
        assert await made.open() == 0
        await made.hear()
        monkeypatch.setattr(consumers, "_streams", lost)
        assert await made.closed() == 1011
        await made.leave()

    run(story)


def test_the_check_comes_within_seconds() -> None:
    assert 0 < _declared("_RECHECK_SECONDS") <= 5


def _declared(name: str) -> float:
    """The value in the source: the fixture above shortens the one in memory."""
    spec = spec_from_file_location("fresh_consumers", consumers.__file__)
    assert spec and spec.loader
    fresh = module_from_spec(spec)
    spec.loader.exec_module(fresh)
    return float(getattr(fresh, name))


@pytest.mark.parametrize("path", ["/ws/other", "/ws/events/", "/", "/ws/events/../other"])
def test_there_is_one_socket_and_no_other(path: str) -> None:
    session = session_of(factories.user())

    async def story() -> None:
        assert await Socket(session, path=path).open() == 4404

    run(story)
