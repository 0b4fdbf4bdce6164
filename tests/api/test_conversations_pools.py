"""Conversations about how pools place and in which order they look at their queue."""

from typing import Any

import pytest

from federation.models import Pool
from portal.permissions import Role
from tests import factories
from tests.api.conftest import SignIn

pytestmark = pytest.mark.django_db


def test_whoever_is_signed_in_reads_what_there_is_to_choose_from(sign_in: SignIn) -> None:
    member = sign_in(Role.TENANT_MEMBER, factories.tenant())
    told = member.get("/api/v1/placement-policies").json()
    policies = {one["name"]: one for one in told["policies"]}
    assert told["default"] == "packing"
    assert policies["packing"]["objectives"] == ["utilisation"]
    assert policies["spread"]["objectives"] == []
    assert policies["shedding"]["objectives"] == ["utilisation", "shedding"]
    assert policies["least-loaded"]["objectives"] == ["utilisation", "waiting"]
    objectives = [one["name"] for one in told["objectives"]]
    assert objectives == ["utilisation", "waiting", "fairness", "shedding", "money", "energy"]
    told_orders = member.get("/api/v1/queue-orders").json()
    assert told_orders["default"] == "priority"
    assert [bool(one["starves"]) for one in told_orders["orders"]] == [True, False, True, True, True]
    for one in (*told["policies"], *told["objectives"], *told_orders["orders"]):
        assert one["title"] and one["description"].endswith("."), one


def test_what_the_lists_name_a_pool_takes(sign_in: SignIn) -> None:
    operator = sign_in(Role.PLATFORM_OPERATOR)
    told = operator.get("/api/v1/placement-policies").json()
    names = [one["name"] for one in told["policies"]]
    names += [told["example"], *(f"{one['name']}:{told['most_weight']}" for one in told["objectives"])]
    for number, name in enumerate(names):
        made = operator.post("/api/v1/pools", {"slug": f"p{number}", "name": "P", "policy": name})
        assert (made.status_code, made.json()["policy"]) == (201, name)
    found = operator.get("/api/v1/pools", {"policy": told["example"]}).json()["results"]
    assert [one["policy"] for one in found] == [told["example"]]
    for one in operator.get("/api/v1/queue-orders").json()["orders"]:
        made = operator.post("/api/v1/pools", {"slug": one["name"], "name": "P", "queue_order": one["name"]})
        assert (made.status_code, made.json()["queue_order"]) == (201, one["name"])


@pytest.mark.parametrize(
    ("change", "pointer", "code", "told"),
    [
        ({"policy": "worst"}, "/policy", "unknown-policy", "No placement policy is called 'worst'; there are packing,"),
        ({"policy": "luck:1"}, "/policy", "unknown-policy", "No objective is called 'luck'; there are utilisation,"),
        ({"policy": "money:much"}, "/policy", "unknown-policy", "'much' is not the weight of an objective"),
        ({"policy": "utilisation:1+money"}, "/policy", "unknown-policy", "'' is not the weight of an objective"),
        ({"policy": "money:1+money:2"}, "/policy", "unknown-policy", "'money' is there twice"),
        ({"policy": "waiting:1+fairness:1"}, "/policy", "unknown-policy", "Of waiting and fairness one"),
        ({"policy": "money:1001"}, "/policy", "unknown-policy", "Weights are from 0 to 1000"),
        ({"policy": ""}, "/policy", "blank", ""),
        ({"policy": f"money:{1:0200}"}, "/policy", "max_length", ""),
        ({"queue_order": "alphabet"}, "/queue_order", "invalid_choice", "alphabet"),
    ],
)
def test_what_there_is_not_is_refused_at_its_field(
    sign_in: SignIn, change: dict[str, Any], pointer: str, code: str, told: str
) -> None:
    operator, pool = sign_in(Role.PLATFORM_OPERATOR), factories.pool()
    for answer in (
        operator.post("/api/v1/pools", {"slug": "new", "name": "New", **change}),
        operator.patch(f"/api/v1/pools/{pool.pk}", change, headers={"If-Match": '"1"'}),
    ):
        (error,) = answer.json()["errors"]
        assert (error["pointer"], error["code"]) == (pointer, code), error
        assert answer.status_code == 422
        assert told in error["detail"], error
    assert Pool.objects.get().version == 1
