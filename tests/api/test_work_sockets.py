"""Sockets into work: who gets in, what is said, what is noted of it, and that it ends when it must."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async

from federation import outputs
from federation.actions import workloads
from federation.api import sockets
from federation.models import Allocation, Cluster, LogPart, Workload
from federation.reconcile import admission, allocations
from federation.states import AllocationState as A
from portal.actions import members, tokens
from portal.audit import SYSTEM
from portal.http.sockets import Places
from portal.models import AccessToken, AuditEntry, Membership, Tenant, User
from portal.permissions import Role
from tests import factories
from tests.portal.sockets import Socket, run, session_of

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Desk:
    tenant: Tenant
    member: User
    work: Workload
    grant: Allocation
    session: str

    def at(self, what: str) -> str:
        return f"/ws/workloads/{self.work.pk}/{what}"

    def socket(self, what: str, query: str = "", **facts: Any) -> Socket:
        facts.setdefault("session", self.session)
        return Socket(path=self.at(what), query=query, **facts)

    def step(self, times: int = 1) -> None:
        for _ in range(times):
            allocations.run(str(self.grant.pk))
        self.grant.refresh_from_db()
        self.work.refresh_from_db()


def begun(**spec: Any) -> Desk:
    """Work of one tenant that runs at a simulated site, and a member of its project."""
    cluster = factories.cluster()
    pool = factories.pool(cluster)
    project = factories.project()
    factories.quota(project)
    work = factories.workload(project, pool, **spec)
    admission.run(str(pool.pk))
    work.refresh_from_db()
    member = factories.user(Role.PROJECT_MEMBER, project.tenant, project)
    desk = Desk(project.tenant, member, work, work.allocations.get(), session_of(member))
    desk.step(2)
    return desk


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "RECHECK_SECONDS", 0.05)
    monkeypatch.setattr(sockets, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(sockets, "places", Places(20))


@pytest.fixture
def desk() -> Desk:
    made = begun(run_seconds=3600.0, ports=[8888])
    assert made.grant.state == A.ACTIVE
    return made


async def ended(socket: Socket) -> dict[str, Any]:
    _, last = await socket.bytes_and_end()
    assert await socket.closed() == 1000
    await socket.leave()
    return last


def notes(desk: Desk) -> list[tuple[str, dict[str, Any]]]:
    found = AuditEntry.objects.filter(target_type="workload", target_id=str(desk.work.pk), actor_id=desk.member.pk)
    return [(entry.what, entry.detail) for entry in found.order_by("id")]


# -- who gets in --------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["logs", "shell", "ports/8888"])
def test_strangers_are_refused_and_nothing_is_noted(desk: Desk, what: str) -> None:
    stranger = factories.user(Role.TENANT_OWNER, factories.tenant())
    finance = factories.user(Role.PLATFORM_FINANCE)
    viewer = factories.user(Role.PROJECT_VIEWER, desk.tenant, desk.work.project)
    disabled = factories.user(Role.TENANT_OWNER, desk.tenant)
    shut = session_of(disabled)
    members.disable(by=SYSTEM, user=disabled)
    _, narrow = tokens.create(by=desk.member, user=desk.member, name="n", scopes=["session.*"], days=1)
    used, gone = tokens.create(by=desk.member, user=desk.member, name="g", scopes=["*"], days=1)
    tokens.revoke(by=desk.member, token=used)
    shut_out: list[dict[str, Any]] = [
        {"session": ""},
        {"session": "made-up"},
        {"session": session_of(stranger)},
        {"session": shut},
        {"session": desk.session, "origin": b"https://evil.example"},
        {"session": desk.session, "origin": None},
        {"session": "", "token": narrow},
        {"session": "", "token": gone, "origin": None},
        {"session": "", "token": "aq_made-up"},
        {"session": desk.session, "token": gone},  # the cookie is not asked once there is a token
    ]
    if what != "logs":
        shut_out += [{"session": session_of(viewer)}, {"session": session_of(finance)}]

    async def story() -> None:
        for who in shut_out:
            assert await desk.socket(what, **who).open() > 0, who

    run(story)
    assert notes(desk) == [] and sockets.places.taken == {}


def test_no_such_work_port_or_number_is_not_opened(desk: Desk) -> None:
    async def story() -> None:
        for path, query in [
            (f"/ws/workloads/{uuid4()}/shell", ""),
            ("/ws/workloads/x/shell", ""),
            (desk.at("shell"), "replica=-1"),
            (desk.at("logs"), "offset=x"),
            (desk.at("ports/0"), ""),
            (desk.at("ports/70000"), ""),
            (desk.at("ports/x"), ""),
            (desk.at("shell/"), ""),
            (desk.at("shell"), "&".join(["command=a"] * 101)),
        ]:
            assert await Socket(desk.session, path=path, query=query).open() > 0, (path, query)

    run(story)


def test_a_token_gets_in_without_a_page(desk: Desk) -> None:
    _, secret = tokens.create(by=desk.member, user=desk.member, name="n", scopes=["workload.shell"], days=1)

    async def story() -> None:
        socket = desk.socket("shell", "tty=0&command=echo&command=hi", session="", token=secret, origin=None)
        assert await socket.open() == 0
        assert await socket.hear() == {"type": "open"}
        assert await socket.bytes_and_end() == (b"\x01hi\n", {"type": "end", "exit_code": 0, "code": "", "message": ""})

    run(story)
    assert AccessToken.objects.get(name="n").revoked_at is None


def test_a_person_has_only_so_many_open(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "places", Places(1))

    async def story() -> None:
        socket = desk.socket("shell")
        assert await socket.open() == 0
        assert await desk.socket("logs").open() == 4429
        await socket.leave()
        again = desk.socket("logs")
        assert await again.open() == 0
        await again.leave()

    run(story)
    assert sockets.places.taken == {}


# -- a shell and a port ---------------------------------------------------------------------------------


def test_a_shell_takes_input_says_what_comes_and_is_noted(desk: Desk) -> None:
    async def story() -> None:
        socket = desk.socket("shell", "tty=0&command=sh&command=-c&command=cat;echo+bad+>%262;exit+7")
        assert await socket.open() == 0
        assert await socket.hear() == {"type": "open"}
        await socket.say('{"type": "ping"}')
        assert await socket.hear() == {"type": "pong"}
        await socket.send(b"typed\n")
        assert await socket.hear_bytes() == b"\x01typed\n"
        await socket.say('{"type": "eof"}')
        assert await socket.bytes_and_end() == (
            b"\x02bad\n", {"type": "end", "exit_code": 7, "code": "", "message": ""},
        )  # fmt: skip
        await socket.leave()

    run(story)
    (opened, first), (closed, last) = notes(desk)
    assert (opened, closed) == ("shell.open", "shell.close")
    assert first["command"] == "sh -c cat;echo bad >&2;exit 7" and first["allocation"] == str(desk.grant.pk)
    assert (last["exit_code"], last["bytes_in"], last["bytes_out"], last["code"]) == (7, 6, 10, "")


def test_a_screen_has_the_size_it_is_given_and_nonsense_is_not_passed_on(desk: Desk) -> None:
    async def story() -> None:
        socket = desk.socket("shell", "command=sh")
        assert await socket.open() == 0
        await socket.hear()
        for size in ('"a"', "0", "1e9", "null", "[]", "100000"):
            await socket.say(f'{{"type": "resize", "columns": {size}, "rows": 40}}')
        await socket.say('{"type": "resize", "columns": 132, "rows": 43}')
        await socket.send(b"stty size; exit 3\r")
        found, end = await socket.bytes_and_end()
        assert b"43 132" in found and end["exit_code"] == 3

    run(story)


def test_a_port_passes_bytes_as_they_are(desk: Desk) -> None:
    everything = bytes(range(256)) * 100

    async def story() -> None:
        socket = desk.socket("ports/8888")
        assert await socket.open() == 0
        await socket.hear()
        await socket.send(everything)
        found = b""
        while len(found) < len(everything):
            found += await socket.hear_bytes()
        assert found == everything
        await socket.leave()
        refused = desk.socket("ports/9")
        assert await refused.open() == 0
        assert (await ended(refused))["code"] == "not-possible"

    run(story)
    assert [what for what, _ in notes(desk)] == ["port.open", "port.close"] * 2
    assert notes(desk)[1][1]["code"] == "left" and notes(desk)[1][1]["bytes_in"] == len(everything)


def test_what_is_too_large_or_no_message_closes_it(desk: Desk) -> None:
    async def story() -> None:
        for words, code in ((b"x" * (sockets.MOST_MESSAGE + 1), 1009), ("[", 1007), ("[]", 1007), ("{}", 1007)):
            socket = desk.socket("shell")
            assert await socket.open() == 0
            await (socket.send(words) if isinstance(words, bytes) else socket.say(words))
            assert await socket.closed() == code
            await socket.leave()

    run(story)
    assert sockets.places.taken == {}


# -- it ends --------------------------------------------------------------------------------------------


def lose_the_role(desk: Desk) -> None:
    Membership.objects.filter(user=desk.member).delete()


def disable(desk: Desk) -> None:
    members.disable(by=SYSTEM, user=desk.member)


def stop(desk: Desk) -> None:
    workloads.cancel(by=SYSTEM, workload=desk.work)


@pytest.mark.parametrize(
    ("what", "act", "code"),
    [
        ("shell", lose_the_role, "access-lost"),
        ("ports/8888", disable, "access-lost"),
        ("logs", lose_the_role, "access-lost"),
        ("shell", stop, "not-running"),
    ],
)
def test_who_may_no_longer_is_put_out(desk: Desk, what: str, act: Callable[[Desk], None], code: str) -> None:
    async def story() -> None:
        socket = desk.socket(what)
        assert await socket.open() == 0
        await sync_to_async(act)(desk)
        assert (await ended(socket))["code"] == code

    run(story)


@pytest.mark.parametrize(("name", "code"), [("IDLE_SECONDS", "idle"), ("LONGEST_SECONDS", "too-long")])
def test_nothing_stays_open_for_ever(desk: Desk, monkeypatch: pytest.MonkeyPatch, name: str, code: str) -> None:
    monkeypatch.setattr(sockets, name, 0.2)

    async def story() -> None:
        socket = desk.socket("ports/8888")
        assert await socket.open() == 0
        assert (await ended(socket))["code"] == code

    run(story)


@pytest.mark.parametrize("what", ["shell", "ports/8888"])
def test_there_is_nothing_to_open_in_what_does_not_run_or_cannot_be_asked(desk: Desk, what: str) -> None:
    async def told() -> dict[str, Any]:
        socket = desk.socket(what)
        assert await socket.open() == 0
        return await ended(socket)

    cluster = Cluster.objects.get(pk=desk.grant.cluster_id)
    Cluster.objects.filter(pk=cluster.pk).update(settings={**cluster.settings, "down": True})
    assert (run(told)["code"], run(told)["message"]) == ("unavailable", "The site does not answer.")
    Cluster.objects.filter(pk=cluster.pk).update(driver="agent")
    assert run(told)["code"] == "not-offered"
    Cluster.objects.filter(pk=cluster.pk).update(driver=cluster.driver)
    stop(desk)
    assert run(told)["code"] == "not-running"


# -- output ---------------------------------------------------------------------------------------------


def test_output_of_running_work_comes_and_goes_on_when_it_has_been_removed() -> None:
    desk = begun(run_seconds=3600.0)

    async def story() -> tuple[bytes, dict[str, Any]]:
        socket = desk.socket("logs")
        assert await socket.open() == 0
        assert await socket.hear() == {"type": "open"}
        first = await socket.hear_bytes()
        await sync_to_async(stop)(desk)
        await sync_to_async(desk.step)(4)
        rest, last = await socket.bytes_and_end()
        return first + rest, last

    async def again() -> tuple[bytes, dict[str, Any]]:
        socket = desk.socket("logs", f"offset={offset}")
        assert await socket.open() == 0
        await socket.hear()
        return await socket.bytes_and_end()

    text, last = run(story)
    assert desk.grant.state == A.RELEASED
    assert text and last["code"] == ""
    assert outputs.read(str(desk.grant.pk), 0, 1 << 20).text == text.decode(), "kept before it was removed"
    for offset in (0, 10, len(text)):
        assert run(again)[0] == text[offset:]


def test_output_of_work_that_was_not_placed_ends_with_it() -> None:
    pool = factories.pool(factories.cluster())
    project = factories.project()
    work = factories.workload(project, pool)  # without quota
    member = factories.user(Role.PROJECT_MEMBER, project.tenant, project)

    async def story() -> None:
        socket = Socket(session_of_member, path=f"/ws/workloads/{work.pk}/logs")
        assert await socket.open() == 0
        assert await socket.is_silent(0.2)
        await sync_to_async(workloads.cancel)(by=SYSTEM, workload=work)
        assert (await ended(socket))["code"] == ""

    session_of_member = session_of(member)
    run(story)


def test_what_is_kept_is_dropped_in_the_end(settings: Any) -> None:
    desk = begun(run_seconds=0)
    desk.step(3)
    assert desk.grant.state == A.RELEASED and LogPart.objects.exists()
    assert outputs.drop_old() == 0
    settings.FEDERATION_OUTPUT_DAYS = 0
    assert outputs.drop_old() == 1
    assert not LogPart.objects.exists()
