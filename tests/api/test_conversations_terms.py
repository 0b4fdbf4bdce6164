"""Work that says where it goes: sent, kept, refused in words, planned, granted, and tried out."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from federation.models import Allocation, Cluster, Node, Pool, Site, Workload
from federation.reconcile import admission, allocations
from federation.reconcile.snapshot import fleet_of
from federation.reconcile.specs import spec_of
from portal.models import Project
from portal.permissions import Role
from tests import factories
from tests.api.conftest import Client, client_of
from tests.checker import books

pytestmark = pytest.mark.django_db
WORKLOADS = "/api/v1/workloads"


class Desk:
    """Two sites, in CN-SH and in US: at the first two racks of two nodes with two cards, at the second one node."""

    def __init__(self) -> None:
        labels = {"aquifer.io/network-class": "ib", "zone": "a"}
        here = [
            factories.node_seen(f"n{i}", devices=2, rack=f"r{i // 2}", labels=labels if i < 2 else {}) for i in range(4)
        ]
        self.clusters: list[Cluster] = [factories.cluster(*here), factories.cluster(factories.node_seen("far"))]
        for cluster, region in zip(self.clusters, ("CN-SH", "US"), strict=True):
            Site.objects.filter(pk=cluster.site_id).update(region=region)
        self.pool: Pool = factories.pool(*self.clusters)
        self.project: Project = factories.project()
        self.quota = factories.quota(self.project)
        self.client: Client = client_of(factories.user(Role.PROJECT_MEMBER, self.project.tenant, self.project))

    def post(self, where: str, **more: Any) -> Any:
        body = {"project": str(self.project.pk), "pool": str(self.pool.pk), "name": "train", "accelerators": 2, **more}
        return self.client.post(where, body)

    def ask(self, **more: Any) -> Workload:
        """Sent, and looked at once."""
        made = self.post(WORKLOADS, **more)
        assert made.status_code == 201, made.json()
        admission.run(str(self.pool.pk))
        return Workload.objects.get(pk=made.json()["id"])


@pytest.fixture
def desk() -> Desk:
    return Desk()


def nodes_of(work: Workload) -> list[str]:
    return sorted(work.allocations.filter(attempt=work.attempt).values_list("node__name", flat=True))


def test_what_is_sent_is_kept_and_shown(desk: Desk) -> None:
    sent: dict[str, Any] = {
        "replicas": 4, "min_replicas": 2, "topology": "rack", "spread": "node", "regions": ["CN", "US-CA"],
        "slicing_modes": ["exclusive", "partitioned"], "node_labels": {"zone": "a"}, "network_class": "ib",
        "prefer": "energy", "deadline_at": "2099-01-02T03:04:05Z",
    }  # fmt: skip
    made = desk.post(WORKLOADS, **sent)
    assert made.status_code == 201
    shown = desk.client.get(f"{WORKLOADS}/{made.json()['id']}").json()
    assert {name: shown[name] for name in sent} == sent
    plain = desk.post(WORKLOADS).json()
    assert (plain["topology"], plain["spread"], plain["min_replicas"], plain["deadline_at"]) == ("site", "", None, None)
    ended = Workload.objects.get(pk=made.json()["id"])
    Workload.objects.filter(pk=ended.pk).update(state="failed")
    again = desk.client.post(f"{WORKLOADS}/{ended.pk}/retry").json()
    assert {name: again[name] for name in sent} == sent, "a new attempt wants the same"


@pytest.mark.parametrize(
    ("more", "field", "words"),
    [
        ({"topology": "planet"}, "topology", "planet"),
        ({"spread": "planet"}, "spread", "planet"),
        ({"spread": "site"}, "spread", "wider topology"),
        ({"topology": "rack", "spread": "rack"}, "spread", "one rack"),
        ({"replicas": 2, "min_replicas": 3}, "min_replicas", "At least 3"),
        ({"min_replicas": 2}, "min_replicas", "of 1 in all"),
        ({"min_replicas": -1}, "min_replicas", "0"),
        ({"accelerators": 1_000_000}, "accelerators", "1024"),
        ({"accelerators": "NaN"}, "accelerators", "integer"),
        ({"run_seconds": "NaN"}, "run_seconds", ""),
        ({"slicing_modes": ["diced"]}, "slicing_modes/0", "diced"),
        ({"slicing_modes": ["shared"], "accelerators": 0}, "slicing_modes", "no accelerators"),
        ({"prefer": "fame"}, "prefer", "fame"),
        ({"regions": [""]}, "regions/0", "blank"),
        ({"node_labels": {"zone": ["a"]}}, "node_labels/zone", "string"),
        ({"node_labels": {"": "a"}}, "node_labels", "1 to 317"),
        ({"node_labels": {f"l{i}": "x" for i in range(101)}}, "node_labels", "At most 100"),
        ({"deadline_at": "yesterday"}, "deadline_at", "format"),
        ({"deadline_at": "2020-01-01T00:00:00Z"}, "deadline_at", "in the future"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_field(desk: Desk, more: Any, field: str, words: str) -> None:
    for where in (WORKLOADS, f"{WORKLOADS}/preview"):
        answer = desk.post(where, **more)
        assert answer.status_code == 422, answer.json()
        (error,) = answer.json()["errors"]
        assert error["pointer"] == f"/{field}"
        assert words in error["detail"]
    assert not Workload.objects.exists()


def test_a_gang_is_on_one_rack_or_waits_and_is_told_which_came_nearest(desk: Desk) -> None:
    first = desk.ask(accelerators=1)
    assert nodes_of(first) in (["n0"], ["n1"], ["n2"], ["n3"])
    gang = desk.ask(replicas=2, topology="rack")
    assert nodes_of(gang) in (["n0", "n1"], ["n2", "n3"]), "the rack that is empty"
    waiting = desk.ask(replicas=2, topology="rack")
    assert (waiting.state, waiting.reason) == ("queued", "NotEnoughTogether"), "there is room elsewhere, on no rack"
    assert "2 members on one rack wanted, each with 2 accelerators." in waiting.message
    assert "room for 1" in waiting.message
    explained = desk.client.get(f"{WORKLOADS}/{waiting.pk}/explanation").json()
    assert (explained["miss"]["unit"], explained["miss"]["wanted"], explained["miss"]["has"]) == ("members", 2, 1)
    cluster = desk.clusters[0]
    assert explained["miss"]["where"].startswith(f"{cluster.site.slug}/{cluster.slug}/r")
    assert explained["is_final"] is False
    never = desk.ask(replicas=3, topology="rack")
    assert (never.reason, never.decision["is_final"]) == ("NeverFits", True)
    assert books.problems() == []


def test_region_labels_network_and_modes_choose_the_node(desk: Desk) -> None:
    assert nodes_of(desk.ask(regions=["US"])) == ["far"]
    assert nodes_of(desk.ask(node_labels={"zone": "a"}))[0] in ("n0", "n1")
    assert nodes_of(desk.ask(network_class="ib"))[0] in ("n0", "n1")
    assert desk.ask(network_class="ib").reason == "NotEnoughFreeAccelerators"
    nowhere = desk.ask(regions=["DE"])
    assert nowhere.message.startswith("No open node in DE. There are nodes in CN-SH or US.")
    assert desk.ask(slicing_modes=["partitioned"]).reason == "NoMatchingModel"
    Site.objects.update(region="")
    assert desk.ask(regions=["US"]).decision["filters"] == {"region": 5}, "a site without a region is in none"


def test_equal_work_with_other_terms_is_not_refused_with_it(desk: Desk) -> None:
    """Within one look at the queue equal requests share a refusal."""
    asked: list[dict[str, Any]] = [
        {"regions": ["DE"]}, {"node_labels": {"zone": "z"}}, {"network_class": "x"}, {"topology": "node"}, {},
    ]  # fmt: skip
    for terms in asked:
        assert desk.post(WORKLOADS, **{"replicas": 2, **terms}).status_code == 201
    admission.run(str(desk.pool.pk))
    waits = [not work.allocations.exists() for work in Workload.objects.order_by("queued_at")]
    assert waits == [True, True, True, False, False], "one node of four cards takes two members, one site the others"


def test_what_a_request_prefers_comes_before_the_policy(desk: Desk) -> None:
    for cluster, price, carbon in zip(desk.clusters, ("2", "1"), ("1", "2"), strict=True):
        Site.objects.filter(pk=cluster.site_id).update(power_price_per_kwh=price, carbon_grams_per_kwh=carbon)
    assert nodes_of(desk.ask(prefer="money")) == ["far"]
    assert nodes_of(desk.ask(prefer="energy")) != ["far"]


def test_an_attempt_runs_with_the_members_that_it_was_granted(desk: Desk) -> None:
    blocker = desk.ask(replicas=2, topology="rack")
    single = desk.ask(regions=["CN"])
    work = desk.ask(replicas=4, min_replicas=1, regions=["CN"])
    assert len(nodes_of(work)) == 1, "what is left of the site"
    (grant,) = work.allocations.all()
    spec = spec_of(grant)
    assert (spec.replica, spec.replicas) == (0, 1)
    desk.quota.refresh_from_db()
    assert desk.quota.held_milli == 8000
    for _ in range(3):
        allocations.run(str(grant.pk))
    work.refresh_from_db()
    assert work.state == "running"
    # The others end; the next attempt gets more.
    for other in (blocker, single, work):
        assert desk.client.post(f"{WORKLOADS}/{other.pk}/{'suspend' if other is work else 'cancel'}").status_code == 202
    for allocation in Allocation.objects.all():
        for _ in range(3):
            allocations.run(str(allocation.pk))
    assert desk.client.post(f"{WORKLOADS}/{work.pk}/resume").status_code == 202
    admission.run(str(desk.pool.pk))
    work.refresh_from_db()
    members = work.allocations.filter(attempt=work.attempt).order_by("replica")
    assert [(spec_of(m).replica, spec_of(m).replicas) for m in members] == [(0, 4), (1, 4), (2, 4), (3, 4)]
    assert books.problems() == []


def test_much_work_at_once_has_the_terms_too(desk: Desk) -> None:
    terms = {
        "regions": ["US"],
        "node_labels": {},
        "slicing_modes": ["exclusive"],
        "topology": "rack",
        "prefer": "money",
    }
    made = desk.post(f"{WORKLOADS}/batch", count=2, deadline_at="2099-01-02T03:04:05Z", **terms)
    assert made.status_code == 201, made.json()
    admission.run(str(desk.pool.pk))
    for work in Workload.objects.all():
        assert nodes_of(work) == ["far"]
        assert {name: getattr(work, name) for name in terms} == terms


def test_a_planner_that_lives_sees_that_a_site_is_of_another_region(desk: Desk) -> None:
    assert desk.ask(regions=["DE"]).state == "queued"
    Site.objects.filter(pk=desk.clusters[1].site_id).update(region="DE")
    assert nodes_of(desk.ask(regions=["DE"], accelerators=1)) == ["far"]


def test_a_preference_is_a_part_of_the_score(desk: Desk) -> None:
    Site.objects.filter(pk=desk.clusters[0].site_id).update(power_price_per_kwh="2")
    work = desk.ask(prefer="money")
    first, second, *_ = desk.client.get(f"{WORKLOADS}/{work.pk}/explanation").json()["candidates"]
    assert (first["name"], first["parts"]["preference"]) == ("far", 0)
    assert second["parts"]["preference"] < -1000
    assert sum(second["parts"].values()) == pytest.approx(second["score"])
    assert abs(second["parts"]["fullness"]) <= 1


def test_a_repeat_under_a_key_is_of_the_same_terms_only(desk: Desk) -> None:
    body = {"project": str(desk.project.pk), "pool": str(desk.pool.pk), "name": "x", "topology": "rack"}
    first = desk.client.post(WORKLOADS, body, headers={"Idempotency-Key": "k"})
    same = desk.client.post(WORKLOADS, body, headers={"Idempotency-Key": "k"})
    assert (first.status_code, same.json()["id"]) == (201, first.json()["id"])
    other = desk.client.post(WORKLOADS, {**body, "topology": "node"}, headers={"Idempotency-Key": "k"})
    assert other.status_code >= 400
    assert Workload.objects.count() == 1


def test_what_would_happen_knows_the_terms(desk: Desk) -> None:
    told = desk.post(f"{WORKLOADS}/preview", replicas=2, topology="rack").json()
    assert (told["outcome"], sum(where["members"] for where in told["where"])) == ("placed", 2)
    told = desk.post(f"{WORKLOADS}/preview", replicas=3, topology="rack").json()
    assert (told["outcome"], told["is_final"]) == ("waiting", True)
    operator = client_of(factories.user(Role.PLATFORM_OPERATOR))
    asked = {"project": str(desk.project.pk), "accelerators": 2, "name": "a"}
    change = {"workloads": [
        {**asked, "regions": ["US"], "count": 3},
        {**asked, "replicas": 8, "min_replicas": 3, "regions": ["CN"], "prefer": "money", "name": "gang",
         "deadline_at": (timezone.now() + timedelta(hours=1)).isoformat()},
    ]}  # fmt: skip
    answer = operator.post(f"/api/v1/pools/{desk.pool.pk}/simulate", change)
    assert answer.status_code == 200, answer.json()
    members = [sum(where["members"] for where in one["where"]) for one in answer.json()["findings"]]
    assert sorted(members) == [0, 1, 1, 4]
    wrong = {"workloads": [{**asked, "topology": "rack", "spread": "site"}]}
    assert "wider topology" in operator.post(f"/api/v1/pools/{desk.pool.pk}/simulate", wrong).json()["detail"]


def test_a_network_is_read_from_the_labels_of_a_node(desk: Desk) -> None:
    named, clique = Node.objects.filter(name__in=("n0", "n1")).order_by("name")
    Node.objects.filter(pk=named.pk).update(labels={"aquifer.io/network": "a", "nvidia.com/gpu.clique": "b"})
    Node.objects.filter(pk=clique.pk).update(labels={"nvidia.com/gpu.clique": "b"})
    networks = {node.name: node.network for node in fleet_of(desk.pool).nodes}
    assert (networks["n0"], networks["n1"], networks["n2"]) == ("a", "b", "")
