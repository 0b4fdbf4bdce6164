"""Work that runs on a real node, placed by the hub and looked into through its sockets."""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from federation.actions import sites, workloads
from federation.api import sockets
from federation.connections import Connection
from federation.models import Allocation, Cluster, Workload
from federation.reconcile import admission, allocations, clusters
from federation.states import AllocationState as A
from federation.states import WorkloadState as W
from portal.audit import SYSTEM
from portal.http.sockets import Places
from portal.models import AuditEntry, User
from portal.permissions import Role
from tests import factories
from tests.kube.node import IMAGE
from tests.kube.site import SYSTEM as SYSTEM_SPACE
from tests.kube.site import Site
from tests.kube.test_rig import wait_for
from tests.portal.sockets import Socket, run, session_of

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]


class Hub:
    """The hub's rows for the real site, and what a reconciler would do step by step."""

    def __init__(self, site: Site) -> None:
        plane = site.node.plane
        self.cluster: Cluster = sites.add_cluster(
            by=SYSTEM,
            site=sites.add(by=SYSTEM, slug="real", name="Real"),
            slug="real", name="Real", kind="kubernetes", driver="kubernetes",
            settings_={"system_namespace": SYSTEM_SPACE, "default_image": IMAGE, "pull_policy": "Never"},
            connection=Connection(plane.url, token=plane.admin_token, ca_pem=plane.ca_pem),
        )  # fmt: skip
        clusters.run(str(self.cluster.pk))
        self.pool = factories.pool(self.cluster)
        self.project = factories.project()
        factories.quota(self.project, "cpu")
        self.member: User = factories.user(Role.PROJECT_MEMBER, self.project.tenant, self.project)
        self.session = session_of(self.member)

    def submit(self, script: str, **spec: Any) -> Workload:
        made = factories.workload(
            self.project, self.pool, accelerators=0, cpu_milli=100, memory_mib=64, grace_seconds=1,
            command=["sh", "-c", script], run_seconds=None, **spec,
        )  # fmt: skip
        admission.run(str(self.pool.pk))
        made.refresh_from_db()
        assert made.state == W.ADMITTED, (made.reason, made.message)
        return made

    def until(self, work: Workload, look: Callable[[Allocation], bool]) -> None:
        def step() -> bool:
            grant = work.allocations.get()
            allocations.run(str(grant.pk))
            grant.refresh_from_db()
            work.refresh_from_db()
            return look(grant)

        wait_for(step)

    def open(self, work: Workload, what: str, query: str = "") -> Socket:
        return Socket(self.session, path=f"/ws/workloads/{work.pk}/{what}", query=query)


@pytest.fixture
def hub(site: Site, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Hub]:
    settings.SITE_LOOPBACK = True
    monkeypatch.setattr(sockets, "places", Places(20))
    made = Hub(site)
    yield made
    for grant in Allocation.objects.exclude(state=A.RELEASED):
        with contextlib.suppress(Exception):
            site.end(str(grant.pk))


def test_it_is_followed_entered_and_reached_and_its_output_stays(hub: Hub) -> None:
    work = hub.submit("httpd -p 8080 -h /etc; echo serving; sleep 1000", ports=[8080], kind="notebook")
    hub.until(work, lambda grant: grant.state == A.ACTIVE)

    async def story() -> None:
        log = hub.open(work, "logs")
        assert await log.open() == 0
        assert await log.hear() == {"type": "open"}
        assert await log.hear_bytes() == b"serving\n"
        shell = hub.open(work, "shell", "tty=0&command=sh&command=-c&command=cat;exit+7")
        assert await shell.open() == 0
        assert await shell.hear() == {"type": "open"}
        await shell.send(b"typed\n")
        assert await shell.hear_bytes() == b"\x01typed\n"
        await shell.say(json.dumps({"type": "eof"}))
        assert (await shell.bytes_and_end())[1]["exit_code"] == 7
        port = hub.open(work, "ports/8080")
        assert await port.open() == 0
        assert await port.hear() == {"type": "open"}
        await port.send(b"GET /passwd HTTP/1.0\r\n\r\n")
        answer, _ = await port.bytes_and_end()
        assert answer.startswith(b"HTTP/1.") and b"root:x:0:0" in answer
        for one in (log, shell, port):
            await one.leave()

    run(story)
    whats = AuditEntry.objects.filter(target_id=str(work.pk), actor_id=hub.member.pk).order_by("id")
    assert [entry.what for entry in whats] == ["shell.open", "shell.close", "port.open", "port.close"]
    workloads.cancel(by=SYSTEM, workload=work)
    hub.until(work, lambda grant: grant.state == A.RELEASED)
    assert kept(hub, work) == b"serving\n"


def test_output_of_work_that_ended_by_itself_is_kept_whole(hub: Hub) -> None:
    work = hub.submit("i=0; while [ $i -lt 40000 ]; do echo line $i; i=$((i+1)); done; exit 3")
    hub.until(work, lambda grant: grant.state == A.RELEASED)
    assert (work.state, work.exit_code) == (W.FAILED, 3)
    assert kept(hub, work) == b"".join(b"line %d\n" % i for i in range(40_000))


def kept(hub: Hub, work: Workload) -> bytes:
    async def story() -> bytes:
        log = hub.open(work, "logs")
        assert await log.open() == 0
        await log.hear()
        text, last = await log.bytes_and_end()
        assert last["code"] == ""
        await log.leave()
        return text

    return run(story)
