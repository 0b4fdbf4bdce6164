"""The path of the main job, as a customer walks it: over HTTP, with real workers, on a real machine.

A tenant is made, given quota and a place to queue; work is submitted, waits with its reason, is admitted, placed,
granted, started, seen running with live figures and logs, ends or is cancelled, is released, metered by the second,
rated, listed on a draft invoice and exported as CSV.
"""

import csv
import io
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.e2e.product import Client, Product, Refused, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]

COUNT = """
import time
for i in range(8):
    print("step", i, flush=True)
    sum(range(3_000_000))
    time.sleep(0.4)
"""


@pytest.fixture(scope="module")
def place(product: Product, admin: Client) -> dict[str, Any]:
    """A tenant with a project, and this very machine as the site it works on."""
    product.start_agent()
    tenant = admin.post("/tenants", {"slug": "acme", "name": "Acme"})
    project = admin.post("/projects", {"tenant": tenant["id"], "slug": "lab", "name": "Lab"})
    pool = admin.get("/pools?slug=this-machine")["results"][0]
    cluster = admin.get("/clusters?slug=this-machine")["results"][0]
    until(lambda: admin.get(f"/clusters/{cluster['id']}")["state"] == "connected", what="this machine to connect")
    node = until(lambda: admin.get(f"/nodes?cluster={cluster['id']}")["results"], what="its inventory")[0]
    admin.post("/prices", {"flavor": "cpu", "unit_price": "3.6", "currency": "CNY"})
    give_quota(admin, tenant["id"], project["id"])
    return {"tenant": tenant["id"], "project": project["id"], "pool": pool["id"], "cluster": cluster, "node": node}


def give_quota(admin: Client, tenant: str, project: str) -> None:
    admin.post("/quotas", {"tenant": tenant, "project": project, "flavor": "cpu", "nominal_milli": 2000})


def submit(admin: Client, place: dict[str, Any], **spec: Any) -> str:
    body = {"project": place["project"], "pool": place["pool"], "cpu_milli": 500, "memory_mib": 256, **spec}
    return str(admin.post("/workloads", body)["id"])


def look(admin: Client, workload: str) -> dict[str, Any]:
    found: dict[str, Any] = admin.get(f"/workloads/{workload}")
    return found


def in_state(admin: Client, workload: str, state: str) -> dict[str, Any]:
    return until(lambda: (w := look(admin, workload))["state"] == state and w, what=f"{state}; {look(admin, workload)}")


def released(admin: Client, workload: str) -> list[dict[str, Any]]:
    def rows() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = admin.get(f"/allocations?workload={workload}")["results"]
        return found if all(a["state"] == "released" for a in found) else []

    return until(rows, what="release")


def test_the_walk(product: Product, admin: Client, place: dict[str, Any]) -> None:
    # Without quota it waits and says why.
    project = admin.post("/projects", {"tenant": place["tenant"], "slug": "fresh", "name": "Fresh"})["id"]
    work = submit(admin, place, project=project, name="counting", command=["python3", "-c", COUNT])
    waiting = until(lambda: (w := look(admin, work))["reason"] not in ("Submitted", "") and w, what="a reason")
    assert waiting["state"] == "queued"
    assert waiting["reason"] in ("NoQuota", "QuotaExhausted")
    assert "quota" in waiting["message"].lower()
    # With quota it is admitted, placed, granted and started.
    give_quota(admin, place["tenant"], project)
    running = in_state(admin, work, "running")
    grant = admin.get(f"/allocations?workload={work}")["results"][0]
    assert (grant["state"], grant["node"], grant["held_milli"]) == ("active", place["node"]["id"], 500)
    # Live figures and the output, while it runs.
    until(lambda: (admin.get(f"/allocations/{grant['id']}")["used_cpu_milli"] or 0) > 0, what="live figures")
    until(lambda: "step 1" in admin.get(f"/workloads/{work}/logs")["text"], what="its output")
    # It ends, is released, and everything is given back.
    ended = in_state(admin, work, "succeeded")
    assert ended["exit_code"] == 0
    assert ended["started_at"] == running["started_at"]
    (grant,) = released(admin, work)
    assert admin.get(f"/quotas?project={project}")["results"][0]["held_milli"] == 0
    assert "step 7" in until(lambda: admin.get(f"/workloads/{work}/logs")["text"])
    history = [c["to_state"] for c in admin.get(f"/workloads/{work}/history") if c["object_type"] == "allocation"]
    assert history == ["starting", "active", "stopping", "released"]
    check_bill(admin, place, work, grant)


def check_bill(admin: Client, place: dict[str, Any], work: str, grant: dict[str, Any]) -> None:
    """Metered by the second, rated at 3.6 an hour of a core, on the draft, and the same in the CSV."""
    began, ended = (int(datetime.fromisoformat(grant[k]).timestamp()) for k in ("started_at", "ended_at"))
    seconds = max(ended - began, 1)

    def metered() -> list[dict[str, Any]]:
        """Metering follows while work runs; it is complete when it has all seconds, and never has more."""
        found: list[dict[str, Any]] = admin.get(f"/usage-records?workload={work}")["results"]
        assert sum(r["seconds"] for r in found) <= seconds
        return found if sum(r["seconds"] for r in found) == seconds else []

    records = until(metered, what="the last second of usage")
    assert sum(r["milli_seconds"] for r in records) == seconds * 500
    invoice = until(lambda: admin.get(f"/invoices?tenant={place['tenant']}")["results"], what="a draft")[0]
    draft = admin.post("/invoices/draft", {"tenant": place["tenant"], "period": invoice["period"]})
    assert draft["state"] == "draft"
    lines = admin.get(f"/invoices/{draft['id']}/lines")["results"]
    milli_seconds = sum(line["milli_seconds"] for line in lines)
    assert milli_seconds >= seconds * 500
    assert sum(Decimal(line["cost"]) for line in lines) == Decimal(draft["total"])
    for line in lines:
        assert Decimal(line["quantity"]) * Decimal(line["unit_price"]) == Decimal(line["cost"])
    table = list(csv.DictReader(io.StringIO(admin.get(f"/invoices/{draft['id']}/export.csv"))))
    assert sum(Decimal(row["cost"]) for row in table) == Decimal(draft["total"])


def test_cancel_ends_the_process_and_retry_runs_it_again(admin: Client, place: dict[str, Any]) -> None:
    work = submit(admin, place, name="sleeper", command=["sleep", "600"])
    in_state(admin, work, "running")
    cancelled = admin.post(f"/workloads/{work}/cancel")
    assert (cancelled["state"], cancelled["actions"]) == ("cancelled", ["retry"])
    released(admin, work)
    again = admin.post(f"/workloads/{work}/retry")
    assert (again["state"], again["attempt"]) == ("queued", 2)
    in_state(admin, work, "running")
    admin.post(f"/workloads/{work}/cancel")
    assert len(released(admin, work)) == 2


def test_a_failure_keeps_its_exit_code(admin: Client, place: dict[str, Any]) -> None:
    work = submit(admin, place, name="fails", command=["sh", "-c", "echo going down >&2; exit 3"])
    failed = in_state(admin, work, "failed")
    assert (failed["exit_code"], failed["reason"]) == (3, "NonZeroExit")
    assert "going down" in until(lambda: admin.get(f"/workloads/{work}/logs")["text"])
    released(admin, work)


def test_a_drained_node_and_a_paused_site_take_no_work(admin: Client, place: dict[str, Any]) -> None:
    work = submit(admin, place, name="evicted", command=["sleep", "600"])
    in_state(admin, work, "running")
    admin.post(f"/nodes/{place['node']['id']}/drain")
    queued = in_state(admin, work, "queued")
    assert queued["attempt"] == 2
    until(lambda: admin.get(f"/nodes/{place['node']['id']}")["state"] == "drained", what="the node to be empty")
    until(lambda: look(admin, work)["reason"] == "NoOpenNodes", what="the reason")
    admin.post(f"/nodes/{place['node']['id']}/undrain")
    in_state(admin, work, "running")
    admin.post(f"/workloads/{work}/cancel")
    released(admin, work)
    admin.post(f"/clusters/{place['cluster']['id']}/pause")
    second = submit(admin, place, name="held back", command=["true"])
    until(lambda: look(admin, second)["reason"] == "NoOpenNodes", what="the reason")
    admin.post(f"/clusters/{place['cluster']['id']}/resume")
    in_state(admin, second, "succeeded")


def test_the_same_create_twice_is_one_workload(admin: Client, place: dict[str, Any]) -> None:
    body = {"project": place["project"], "pool": place["pool"], "name": "once", "command": ["true"], "cpu_milli": 100}
    first = admin.post("/workloads", body, **{"Idempotency-Key": "walk-once"})
    second = admin.post("/workloads", body, **{"Idempotency-Key": "walk-once"})
    assert first["id"] == second["id"]
    with pytest.raises(Refused) as refused:
        admin.post("/workloads", {**body, "name": "twice"}, **{"Idempotency-Key": "walk-once"})
    assert refused.value.problem["code"] == "idempotency-key-reused"


def test_work_outlives_a_killed_agent_and_killed_workers(
    product: Product, admin: Client, place: dict[str, Any]
) -> None:
    work = submit(admin, place, name="survivor", command=["sh", "-c", "echo one; sleep 8; echo two"])
    in_state(admin, work, "running")
    product.kill("agent")
    product.kill("worker")
    product.kill("beat")
    product.start_workers()
    product.start_agent()
    # A killed worker may have held the lease on the row: 90 s, and the sweep comes back to it.
    ended = until(lambda: (w := look(admin, work))["state"] == "succeeded" and w, seconds=200, what="the end")
    assert (ended["attempt"], ended["exit_code"]) == (1, 0)
    text = until(lambda: (t := admin.get(f"/workloads/{work}/logs")["text"]).count("two") and t)
    assert text.split() == ["one", "two"], "run once, and nothing of its output is lost"
    (grant,) = released(admin, work)
    seconds = (datetime.fromisoformat(grant["ended_at"]) - datetime.fromisoformat(grant["started_at"])).total_seconds()
    assert 7.5 < seconds < 10, "the bill follows the machine's own count, not the time we were away"
