"""Plans of moves over the API: what may move, what it brings, and nothing written."""

from typing import Any
from uuid import uuid4

import pytest

from federation.actions import workloads
from federation.models import Allocation, Pool, Workload
from federation.reconcile import admission, allocations
from federation.states import WorkloadState as W
from portal.audit import SYSTEM
from portal.models import Project
from portal.permissions import Role
from tests import factories
from tests.api.conftest import Client
from tests.api.world import digest_of_database

pytestmark = pytest.mark.django_db


class Desk:
    """Two nodes of four cards in two clusters; on each one workload of two, and quota for all."""

    def __init__(self) -> None:
        self.clusters = [factories.cluster(factories.node_seen(name)) for name in ("left", "right")]
        self.pool: Pool = factories.pool(*self.clusters)
        self.project: Project = factories.project()
        self.quota = factories.quota(self.project, milli=20_000)
        self.client = Client()
        self.client.force_login(factories.user(Role.PLATFORM_OPERATOR))

    def work(self, name: str, cards: int = 2, **spec: Any) -> Workload:
        return factories.workload(self.project, self.pool, name=name, accelerators=cards, **spec)

    def run(self) -> None:
        admission.run(str(self.pool.pk))
        for _ in range(3):  # members of a gang wait for each other
            for allocation in Allocation.objects.holding():
                allocations.run(str(allocation.pk))

    def half_full(self, **spec: Any) -> None:
        """Three of two cards each, so two are together; one of these ends."""
        for number in range(3):
            self.work(f"w{number}", **{"is_movable": True, **spec})
            self.run()
        first = Workload.objects.get(name="w0")
        workloads.cancel(by=SYSTEM, workload=first)
        self.run()
        assert sorted(self.where().values()) == ["left", "right"]

    def where(self) -> dict[str, str]:
        held = Allocation.objects.holding().select_related("workload", "node")
        return {one.workload.name: one.node.name for one in held}

    def post(self, question: dict[str, Any]) -> Any:
        before = digest_of_database()
        address = f"/api/v1/pools/{self.pool.pk}/defragmentation"
        answer = self.client.post(address, question, content_type="application/json")
        assert digest_of_database() == before, "nothing is written"
        return answer

    def ask(self, **question: Any) -> dict[str, Any]:
        answer = self.post({"seconds": 1, **question})
        assert answer.status_code == 200, answer.content
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_move_lets_what_waits_start(desk: Desk) -> None:
    desk.half_full()
    desk.work("big", 4)
    desk.run()
    assert Workload.objects.get(name="big").state == W.QUEUED
    found = desk.ask()
    (move,) = found["moves"]
    where = desk.where()
    assert move["source"]["name"] == where[move["name"]] != move["target"]["name"]
    assert (len(move["source_devices"]), len(move["target_devices"]), move["milli"]) == (2, 2, 1000)
    on_target = Allocation.objects.holding().get(node__name=move["target"]["name"])
    taken = set(on_target.shares.values_list("accelerator__index", flat=True))
    assert taken.isdisjoint(move["target_devices"])
    assert (found["waiting"], found["placed_before"], found["placed_after"]) == (1, 0, 1)
    assert [one["name"] for one in found["started"]] == ["big"]
    assert (found["running"], found["members"], found["most_moves"]) == (2, 2, 1)
    (shape,) = found["shapes"]
    assert shape == {
        "name": "4 x A100-80G", "nodes": 2, "free_devices_before": 4, "free_devices_after": 4,
        "free_nodes_before": 0, "free_nodes_after": 1,
    }  # fmt: skip
    assert "1 of 2 running workloads would move" in found["summary"] and "1 more would start" in found["summary"]


def test_what_it_says_is_what_admission_does(desk: Desk) -> None:
    """The move made by hand: its old place is left, its new one taken, and the one that waited starts."""
    desk.half_full()
    desk.work("big", 4)
    desk.run()
    (move,) = desk.ask()["moves"]
    moved = Workload.objects.get(pk=move["workload"])
    workloads.cancel(by=SYSTEM, workload=moved)
    target = next(c for c in desk.clusters if c.slug == move["target"]["cluster"])
    desk.work("again", site_slugs=[target.site.slug], priority=1)
    for _ in range(2):
        desk.run()
    assert desk.where()["again"] == move["target"]["name"] and desk.where()["big"] == move["source"]["name"]


def test_only_what_allows_it_moves(desk: Desk) -> None:
    desk.half_full(is_movable=False)
    desk.work("big", 4)
    desk.run()
    found = desk.ask()
    assert (found["moves"], found["not_movable"], found["in_gangs"]) == ([], 2, 0)
    assert "2 are of work that may not be moved" in found["summary"]
    Workload.objects.filter(state=W.RUNNING).update(is_movable=True, site_slugs=["nowhere-else"])
    assert desk.ask()["moves"] == []


def test_members_of_gangs_stay(desk: Desk) -> None:
    desk.work("gang", 2, replicas=2, is_movable=True)
    desk.run()
    found = desk.ask(**{"for": "mix"})
    assert (found["moves"], found["in_gangs"], found["members"], found["running"]) == ([], 2, 2, 1)


def test_what_its_cluster_keeps_for_it_keeps_it_there(desk: Desk) -> None:
    claim = {"path": "/data", "kind": "claim", "source": "a", "size_mib": 0, "is_read_only": False}
    desk.half_full(volumes=[claim])
    desk.work("big", 4)
    desk.run()
    assert desk.ask()["moves"] == []
    Workload.objects.update(volumes=[{**claim, "kind": "scratch", "source": ""}], secret_env=["s"])
    assert desk.ask()["moves"] == []
    Workload.objects.update(secret_env=[])
    assert len(desk.ask()["moves"]) == 1


def test_moves_do_not_help_where_quota_is_short(desk: Desk) -> None:
    desk.half_full()
    desk.work("big", 4)
    desk.run()
    desk.quota.__class__.objects.filter(pk=desk.quota.pk).update(nominal_milli=7000)
    assert desk.ask()["moves"] == []


def test_the_limit_is_a_number_or_a_share(desk: Desk) -> None:
    desk.half_full()
    desk.work("big", 4)
    desk.run()
    assert [desk.ask(most_share=share)["most_moves"] for share in (0, 0.1, 0.5, 1)] == [0, 1, 1, 2]
    nothing = desk.ask(most_moves=0)
    assert (nothing["moves"], nothing["most_moves"]) == ([], 0)
    assert desk.ask(most_moves=1000)["most_moves"] == 1000


def test_for_the_mix_what_is_free_comes_together(desk: Desk) -> None:
    desk.half_full()
    for number in range(8):
        desk.work(f"like{number}", 4, site_slugs=["closed"])  # what is asked, though none of it can start
    desk.run()
    found = desk.ask(**{"for": "mix"})
    assert len(found["moves"]) == 1 and found["fragmentation_before"] > found["fragmentation_after"]
    assert found["placed_after"] == 0


def test_a_pool_on_which_nothing_runs(desk: Desk) -> None:
    found = desk.ask()
    assert (found["moves"], found["running"], found["summary"]) == ([], 0, "Nothing runs in this pool.")


@pytest.mark.parametrize(
    ("question", "at"),
    [
        ({"for": "fun"}, "/for"),
        ({"most_share": 1.1}, "/most_share"),
        ({"most_share": -0.1}, "/most_share"),
        ({"most_moves": -1}, "/most_moves"),
        ({"most_moves": 1001}, "/most_moves"),
        ({"most_moves": "many"}, "/most_moves"),
        ({"most_moves": 1, "most_share": 0.1}, "/most_share"),
        ({"seconds": 0.5}, "/seconds"),
        ({"seconds": 31}, "/seconds"),
        ({"seconds": "nan"}, "/seconds"),
        ({"most_share": "nan"}, "/most_share"),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_field(desk: Desk, question: dict[str, Any], at: str) -> None:
    answer = desk.post(question)
    assert answer.status_code == 422, answer.content
    assert [error["pointer"] for error in answer.json()["errors"]] == [at]


def test_it_is_for_those_who_may_edit_the_pool(desk: Desk) -> None:
    desk.client.force_login(factories.user(Role.PROJECT_MEMBER, desk.project.tenant, desk.project))
    assert desk.post({}).status_code == 403
    desk.client.force_login(factories.user(Role.PLATFORM_OPERATOR))
    desk.pool.pk = uuid4()
    assert desk.post({}).status_code == 404


def test_work_says_that_it_may_be_moved(desk: Desk) -> None:
    body = {"name": "n", "project": str(desk.project.pk), "pool": str(desk.pool.pk)}
    admin = Client()
    admin.force_login(factories.user(Role.PLATFORM_ADMIN))
    for sent, kept in (({}, False), ({"is_movable": True}, True)):
        made = admin.post("/api/v1/workloads", {**body, **sent}, content_type="application/json")
        assert made.status_code == 201 and made.json()["is_movable"] is kept
        assert Workload.objects.get(pk=made.json()["id"]).is_movable is kept
