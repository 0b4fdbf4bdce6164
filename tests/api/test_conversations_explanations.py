"""Conversations about why work is where it is, or waits."""

from typing import Any

import pytest

from federation.models import Node, Pool, Site, Workload
from federation.reconcile import admission, desks
from portal.models import Project
from portal.permissions import Role
from tests import factories
from tests.api.conftest import Client, SignIn

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh() -> None:
    desks.forget()


class Two:
    """Two sites of four devices each, of which the first has the dearer power."""

    def __init__(self, policy: str) -> None:
        left, right = factories.cluster(factories.node_seen("left")), factories.cluster(factories.node_seen("right"))
        Site.objects.filter(pk=left.site_id).update(power_price_per_kwh=2)
        Site.objects.filter(pk=right.site_id).update(power_price_per_kwh=1)
        self.sites = {"left": left.site.slug, "right": right.site.slug}
        self.pool: Pool = factories.pool(left, right, policy=policy)
        self.project: Project = factories.project()
        factories.quota(self.project)

    def ask(self, **spec: Any) -> Workload:
        return factories.workload(self.project, self.pool, **spec)

    def look(self) -> None:
        admission.run(str(self.pool.pk))


def explanation(client: Client, workload: Workload) -> dict[str, Any]:
    answer = client.get(f"/api/v1/workloads/{workload.pk}/explanation")
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    return told


def test_what_was_placed_tells_what_the_scores_of_the_best_nodes_are_made_of(sign_in: SignIn) -> None:
    two = Two("utilisation:1+money:0.5+waiting:0.1")
    work = two.ask()
    two.look()
    told = explanation(sign_in(Role.TENANT_MEMBER, two.project.tenant), work)
    assert (told["outcome"], told["policy"], told["reason"]) == ("placed", two.pool.policy, "")
    first, second = told["candidates"]
    assert (first["name"], first["site"], second["site"]) == ("right", two.sites["right"], two.sites["left"])
    assert (first["parts"]["money"], second["parts"]["money"]) == (-250, -500)
    for one in (first, second):
        assert set(one["parts"]) == {"packing", "fragmentation", "fullness", "money", "waiting"}
        assert sum(one["parts"].values()) == pytest.approx(one["score"])


def test_what_waits_tells_what_each_filter_removed_and_what_came_nearest(sign_in: SignIn) -> None:
    two, client = Two("packing"), sign_in()
    work = two.ask(accelerators=9)
    assert explanation(client, work) == {
        "outcome": "none", "policy": "", "candidates": [], "reason": "", "message": "", "is_final": False,
        "filters": {}, "nearest": "", "miss": None,
    }  # fmt: skip
    two.look()
    told = explanation(client, work)
    assert (told["outcome"], told["is_final"], told["candidates"]) == ("refused", True, [])
    assert told["filters"] == {"accelerators": 2}
    work.refresh_from_db()
    assert (told["reason"], told["message"]) == (work.reason, work.decision["message"])
    node = Node.objects.get(pk=told["miss"]["node"])
    assert told["miss"] == {
        "node": str(node.pk), "name": node.name, "filter": "accelerators", "wanted": 9, "has": 4, "unit": "devices",
        "where": "",
    }  # fmt: skip


def test_what_was_decided_before_parts_were_kept_is_told_without_them(sign_in: SignIn) -> None:
    two, client = Two("packing"), sign_in()
    node, gone = Node.objects.get(name="left"), "01920000-0000-7000-8000-000000000000"
    scores = [{"node": str(node.pk), "score": 1.5}, {"node": gone, "score": 1.0}]
    work = two.ask(decision={"outcome": "placed", "policy": "spread", "candidates": scores})
    assert explanation(client, work)["candidates"] == [
        {"node": str(node.pk), "name": "left", "site": two.sites["left"], "score": 1.5, "parts": {}},
        {"node": gone, "name": "", "site": "", "score": 1.0, "parts": {}},
    ]
