"""What would happen if: as admission would decide, and nothing written."""

from typing import Any
from uuid import uuid4

import pytest

from federation.models import Allocation, Node, Pool, Workload
from federation.reconcile import admission, allocations
from federation.states import WorkloadState as W
from portal.models import Project
from portal.permissions import Role
from tests import factories
from tests.api.conftest import Client
from tests.api.world import digest_of_database

pytestmark = pytest.mark.django_db
FLAVOR = "nvidia-a100-80g"


class Desk:
    """Two sites of one node with four cards each, one pool over both, and quota for all."""

    def __init__(self) -> None:
        self.clusters = [factories.cluster(factories.node_seen(name)) for name in ("left", "right")]
        self.pool: Pool = factories.pool(*self.clusters)
        self.project: Project = factories.project()
        factories.quota(self.project, milli=8000)
        self.client = Client()
        self.client.force_login(factories.user(Role.PLATFORM_OPERATOR))
        self.member = Client()
        self.member.force_login(factories.user(Role.PROJECT_MEMBER, self.project.tenant, self.project))

    def work(self, *, cards: int = 4, **spec: Any) -> Workload:
        return factories.workload(self.project, self.pool, accelerators=cards, **spec)

    def run(self) -> None:
        admission.run(str(self.pool.pk))
        for allocation in Allocation.objects.holding():
            for _ in range(2):
                allocations.run(str(allocation.pk))

    def ask(self, **change: Any) -> dict[str, Any]:
        before = digest_of_database()
        answer = self.client.post(f"/api/v1/pools/{self.pool.pk}/simulate", change, content_type="application/json")
        assert answer.status_code == 200, answer.content
        assert digest_of_database() == before, "nothing is written"
        found: dict[str, Any] = answer.json()
        return found

    def refused(self, **change: Any) -> str:
        before = digest_of_database()
        answer = self.client.post(f"/api/v1/pools/{self.pool.pk}/simulate", change, content_type="application/json")
        assert answer.status_code in (404, 422), answer.content
        assert digest_of_database() == before
        return str(answer.json()["detail"])

    def preview(self, **spec: Any) -> dict[str, Any]:
        body = {"name": "n", "project": str(self.project.pk), "pool": str(self.pool.pk), "accelerators": 4, **spec}
        before = digest_of_database()
        answer = self.member.post("/api/v1/workloads/preview", body, content_type="application/json")
        assert answer.status_code == 200, answer.content
        assert digest_of_database() == before
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
def desk() -> Desk:
    return Desk()


def counts(result: dict[str, Any]) -> dict[str, int]:
    return {key: value for key, value in result.items() if value and key != "findings"}


def test_new_work_comes_behind_what_waits(desk: Desk) -> None:
    desk.work()
    result = desk.ask(workloads=[{"project": str(desk.project.pk), "accelerators": 4, "count": 3}])
    assert counts(result) == {"new": 3, "new_placed": 1}
    placed, waiting, _ = sorted(result["findings"], key=lambda f: f["outcome"])
    assert placed["where"][0]["node"] in ("left", "right") and placed["before"] is None and placed["workload"] is None
    assert (waiting["outcome"], waiting["where"], waiting["is_final"]) == ("waiting", [], False)
    assert waiting["reason"] and waiting["message"]


def test_what_it_says_is_what_admission_does(desk: Desk) -> None:
    asked = [{"project": str(desk.project.pk), "accelerators": cards, "name": f"w{cards}"} for cards in (4, 3, 2, 1)]
    told = {f["name"]: [w["node"] for w in f["where"]] for f in desk.ask(workloads=asked)["findings"]}
    for item in asked:
        desk.work(cards=item["accelerators"], name=item["name"])
    admission.run(str(desk.pool.pk))
    done = {w.name: [a.node.name for a in w.allocations.all()] for w in Workload.objects.all()}
    assert told == done and sorted(map(len, told.values())) == [0, 1, 1, 1]


def test_a_closed_site_displaces_what_runs_there(desk: Desk) -> None:
    desk.work()
    desk.run()
    (grant,) = Allocation.objects.all()
    site = grant.cluster.site.slug
    result = desk.ask(closed_sites=[site])
    assert counts(result) == {"displaced": 1, "displaced_placed": 1}
    (finding,) = result["findings"]
    assert finding["workload"] == str(grant.workload_id) and finding["where"][0]["site"] != site
    # With the other site taken as well there is no room for it, and its quota is its own to use again.
    desk.work()
    desk.run()
    result = desk.ask(closed_sites=[site])
    assert counts(result) == {"displaced": 1}
    assert (
        "closed" in result["findings"][0]["message"] + result["findings"][0]["nearest"]
        or result["findings"][0]["reason"]
    )


def test_a_gang_of_which_a_member_is_at_a_closed_site_goes_as_a_whole(desk: Desk) -> None:
    desk.work(cards=3, replicas=2, topology="any")
    desk.run()
    nodes = list(Allocation.objects.values_list("node__name", flat=True))
    assert sorted(nodes) == ["left", "right"]
    site = desk.clusters[0].site.slug
    assert counts(desk.ask(closed_sites=[site])) == {"displaced": 1}
    # What it leaves on the open node is free for others.
    asked = [{"project": str(desk.project.pk), "accelerators": 4}]
    assert counts(desk.ask(closed_sites=[site], workloads=asked)) == {"displaced": 1, "new": 1, "new_placed": 1}


def test_more_quota_and_more_nodes_let_waiting_work_go(desk: Desk) -> None:
    for _ in range(3):
        desk.work()
    desk.run()
    assert Workload.objects.filter(state=W.QUEUED).count() == 1
    like = str(Node.objects.get(name="left").pk)
    wall = {"tenant": str(desk.project.tenant_id), "project": str(desk.project.pk), "flavor": FLAVOR}
    more = [{**wall, "nominal_milli": 12_000}]
    assert counts(desk.ask(quotas=more)) == {"waiting_before": 1, "waiting_after": 1}
    assert counts(desk.ask(added_nodes=[{"like": like, "count": 1}])) == {"waiting_before": 1, "waiting_after": 1}
    both = desk.ask(quotas=more, added_nodes=[{"like": like, "count": 1}, {"like": like, "count": 1}])
    assert counts(both) == {"waiting_before": 1, "placed_anew": 1}
    assert both["findings"][0]["where"][0]["node"] == "left+1" and both["findings"][0]["before"] == "waiting"


def test_less_quota_keeps_work_that_would_go_today(desk: Desk) -> None:
    desk.work()
    wall = {"tenant": str(desk.project.tenant_id), "project": str(desk.project.pk), "flavor": FLAVOR}
    result = desk.ask(quotas=[{**wall, "nominal_milli": 3999}])
    assert counts(result) == {"waiting_after": 1, "no_longer_placed": 1}
    assert result["findings"][0]["reason"] == "QuotaExhausted"


def test_what_makes_no_sense_is_refused_in_words(desk: Desk) -> None:
    wall = {"tenant": str(desk.project.tenant_id), "flavor": FLAVOR, "nominal_milli": 1}
    other = str(factories.project().pk)
    project = str(desk.project.pk)
    for change, words in (
        ({"closed_sites": ["nowhere"]}, "no site nowhere"),
        ({"added_nodes": [{"like": str(uuid4()), "count": 1}]}, "no such node"),
        ({"added_nodes": [{"like": str(uuid4()), "count": 1001}]}, "1000"),
        ({"quotas": [{**wall, "flavor": "gold"}]}, "no flavor gold"),
        ({"quotas": [{**wall, "project": other}]}, "not of this tenant"),
        ({"quotas": [{**wall, "nominal_milli": -1}]}, "0"),
        ({"workloads": [{"project": str(uuid4())}]}, "no such project"),
        ({"workloads": [{"project": project, "model_names": ["H9000"], "accelerators": 1}]}, "H9000"),
        ({"workloads": [{"project": project, "accelerator_milli": 500, "accelerators": 2}]}, "share"),
        ({"workloads": [{"project": project, "count": 600}, {"project": project, "count": 600}]}, "1000"),
        ({"workloads": [{"project": project, "cpu_milli": -1}]}, "1"),
    ):
        assert words in desk.refused(**change), change


def test_a_member_sees_what_would_become_of_their_own_work(desk: Desk) -> None:
    first = desk.preview()
    assert (first["outcome"], first["ahead"]) == ("placed", 0) and first["where"][0]["members"] == 1
    desk.work()
    desk.work()
    second = desk.preview()
    assert (second["outcome"], second["ahead"], second["is_final"]) == ("waiting", 2, False) and second["message"]
    assert desk.preview(accelerators=5)["is_final"]


def test_the_nearest_miss_is_told_for_programs_too(desk: Desk) -> None:
    miss = desk.preview(accelerators=5)["miss"]
    assert miss["node"] in ("left", "right") and miss["cluster"] and miss["site"]
    assert (miss["filter"], miss["wanted"], miss["has"], miss["unit"]) == ("accelerators", 5, 4, "devices")
    assert desk.preview()["miss"] is None
    asked = [{"project": str(desk.project.pk), "accelerators": cards} for cards in (5, 4, 4, 4)]
    found = desk.ask(workloads=asked)["findings"]
    assert {**found[0]["miss"], "node": ""} == {**miss, "node": ""}
    # The quota is used up after two: no node came near, the quota is what lacks.
    assert [f["miss"] for f in found[1:]] == [None, None, None] and found[3]["reason"] == "QuotaExhausted"


def test_a_gang_that_lacks_room_is_told_of_the_place_with_the_most(desk: Desk) -> None:
    miss = desk.preview(accelerators=1, replicas=5, topology="node")["miss"]
    assert (miss["wanted"], miss["has"], miss["unit"]) == (5, 4, "members") and miss["where"] and miss["node"]
