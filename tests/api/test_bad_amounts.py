"""Amounts that cannot be, and names of what there is not: each a 422 that names the field in plain words.

What is no JSON at all is a 400 instead; see test_bad_input.py for every field of every operation.
"""

from typing import Any

import pytest

from tests.api.conftest import client_of, client_with
from tests.api.operations import AGENTS, OPERATIONS
from tests.api.world import World, digest_of_database
from tests.factories import user

pytestmark = pytest.mark.django_db
BY_ID = {operation.id: operation for operation in OPERATIONS}
MILLION = 1_000_000
NAN, INFINITY = float("nan"), float("inf")

CASES: dict[str, list[tuple[str, Any]]] = {
    "workloads_create": [
        ("accelerators", -1), ("accelerators", MILLION), ("accelerators", 1.5), ("accelerators", NAN),
        ("accelerators", "NaN"), ("replicas", 0), ("replicas", -3), ("replicas", MILLION),
        ("accelerator_milli", 0), ("accelerator_milli", -500), ("accelerator_milli", 1001),
        ("accelerator_milli", 0.5), ("accelerator_milli", INFINITY), ("accelerator_memory_mib", -1), ("cpu_milli", -1),
        ("memory_mib", -INFINITY), ("run_seconds", -1), ("run_seconds", NAN), ("run_seconds", "Infinity"),
        ("run_seconds", INFINITY), ("max_seconds", -1), ("max_retries", -1), ("grace_seconds", -1),
        ("model_names", ["H900"]), ("model_names", ["x"] * 20_000), ("site_slugs", ["atlantis"]), ("ports", [NAN]),
        ("ports", [70_000]), ("env", {"SEED": "\0"}), ("kind", "no-such"),
    ],
    "workloads_preview": [("accelerators", MILLION), ("accelerator_milli", 1001), ("model_names", ["H900"])],
    "pools_create": [("model_names", ["H900"])],
    "pools_simulate": [
        ("workloads", [{"name": "x", "accelerators": MILLION}]), ("workloads", [{"name": "x", "count": NAN}]),
        ("added_nodes", [{"like": "x", "count": MILLION}]),
    ],
    "quotas_create": [
        ("nominal_milli", -1), ("nominal_milli", NAN), ("nominal_milli", INFINITY), ("nominal_milli", 10**30),
        ("flavor", "H900"),
    ],
    "prices_create": [
        ("unit_price", "-1"), ("unit_price", "NaN"), ("unit_price", NAN), ("unit_price", "Infinity"),
        ("flavor", "H900"),
    ],
    "tokens_create": [("days", 0), ("days", -1), ("days", MILLION), ("days", NAN)],
    "agent_sync_post": [
        ("uptime_seconds", -1), ("uptime_seconds", NAN), ("host", {"cpu_milli": -1, "memory_mib": 5}),
        ("figures", [{"uuid": "GPU-1", "busy_percent": 101}]), ("figures", [{"uuid": "GPU-1", "busy_percent": NAN}]),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_amount_that_cannot_be_is_refused_with_its_field(name: str) -> None:
    world, operation = World(), BY_ID[name]
    client = client_with(world.agent_secret) if name in AGENTS else client_of(user())
    if operation.noun == "tokens":
        client = client_of(world.owner)
    good, before, wrong = operation.body(world) or {}, digest_of_database(), []
    for field, value in CASES[name]:
        body = {**good, field: value}  # NaN goes out as NaN, as Python and many others write it
        answer = client.generic_json("POST", operation.address(world), body)
        problem, case = answer.json(), f"{name} {field}={value!r:.40}: {answer.status_code}"
        if (answer.status_code, problem.get("code")) != (422, "invalid"):
            wrong.append(f"{case} {problem}"[:300])
        elif {error["pointer"].split("/")[1] for error in problem["errors"]} != {field} or not problem["detail"]:
            wrong.append(f"{case} points at {problem['errors']}"[:300])
    assert not wrong, "\n".join(wrong)
    assert digest_of_database() == before


def test_nothing_is_kept_of_a_refusal_under_its_idempotency_key() -> None:
    """The same key may carry the mended request."""
    world, operation = World(), BY_ID["workloads_create"]
    client, good = client_of(user()), operation.body(world) or {}
    key = {"Idempotency-Key": "one"}
    for value in (MILLION, NAN):
        body = {**good, "accelerators": value}
        assert client.generic_json("POST", operation.address(world), body, headers=key).status_code == 422
    made = client.generic_json("POST", operation.address(world), good, headers=key)
    assert made.status_code == 201
    assert "Idempotency-Replayed" not in made.headers


@pytest.mark.parametrize("raw", [b"{", b'{"name": nan}', b'{"name": -}', b'{"name": 0x10}', b"{'name': 1}", b"\xff"])
def test_what_is_no_json_is_a_400(raw: bytes) -> None:
    world, operation = World(), BY_ID["workloads_create"]
    answer = client_of(user()).post(operation.address(world), raw, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
