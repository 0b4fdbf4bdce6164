"""Conversations of an engineer with the queue: submit, repeat, stop, go on, and look at what came of it."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from federation.drivers.base import Volume, VolumeKind
from federation.models import Allocation, Node, Pool, Workload
from federation.reconcile import admission, allocations
from federation.reconcile.specs import spec_of
from portal import hints
from portal.models import AuditEntry, IdempotencyRecord, Project, User
from portal.permissions import Role
from tests import factories
from tests.api.conftest import Client, client_of

WORKLOADS = "/api/v1/workloads"


class Desk:
    """An engineer with a project, quota, and a pool over one simulated cluster."""

    def __init__(self) -> None:
        self.project: Project = factories.project()
        self.pool: Pool = factories.pool(factories.cluster())
        factories.quota(self.project)
        self.user: User = factories.user(Role.PROJECT_MEMBER, self.project.tenant, self.project)
        self.client: Client = client_of(self.user)

    def body(self, **more: Any) -> dict[str, Any]:
        return {"project": str(self.project.pk), "pool": str(self.pool.pk), "name": "train", "accelerators": 2, **more}

    def submit(self, key: str = "", client: Client | None = None, **more: Any) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        return (client or self.client).post(WORKLOADS, self.body(**more), headers=headers)

    def step(self) -> None:
        admission.run(str(self.pool.pk))
        for allocation in Allocation.objects.exclude(state="released"):
            for _ in range(2):
                allocations.run(str(allocation.pk))


def volume(path: str, **more: Any) -> dict[str, Any]:
    return {"path": path, "kind": "scratch", "source": "", "size_mib": 0, "is_read_only": False, **more}


def _admitted(desk: Desk) -> Allocation:
    admission.run(str(desk.pool.pk))
    return Allocation.objects.get()


@pytest.fixture
def desk(db: None) -> Desk:
    return Desk()


def test_from_submission_to_the_end_and_once_more(desk: Desk) -> None:
    spec = {
        "kind": "training",
        "command": ["sh", "-c", "  echo ' hi '\n"],
        "env": {"EMPTY": "", "PATH_": " a "},
        "run_seconds": 0,
        "image": "repo/img:1",
        "grace_seconds": 30,
        "ports": [8888, 22],
        "volumes": [
            volume("/data", kind="claim", source="corpus.v1", is_read_only=True),
            volume("/dev/shm", kind="memory", size_mib=1024),
        ],
        "secret_env": ["hub-token"],
        "pull_secrets": ["registry.lab"],
    }
    made = desk.submit(**spec)
    assert made.status_code == 201, made.json()
    said = made.json()
    assert {name: said[name] for name in spec} == spec, "kept as sent, to the blank"
    assert (said["state"], said["reason"], said["submitted_by"]) == ("queued", "Submitted", desk.user.username)
    assert said["actions"] == ["cancel", "suspend"]
    address = f"{WORKLOADS}/{said['id']}"

    told = spec_of(_admitted(desk))
    assert (told.grace_seconds, told.ports, told.hold, told.attempt) == (30, (8888, 22), False, 1)
    assert told.volumes[0] == Volume("/data", VolumeKind.CLAIM, "corpus.v1", 0, True)
    assert (told.workload, told.secret_env, told.pull_secrets) == (said["id"], ("hub-token",), ("registry.lab",))
    desk.step()
    ended = desk.client.get(address).json()
    assert (ended["state"], ended["exit_code"], ended["actions"]) == ("succeeded", 0, ["retry"])
    decision = desk.client.get(f"{address}/explanation").json()
    assert (decision["outcome"], decision["policy"], decision["miss"]) == ("placed", "packing", None)
    for candidate in decision["candidates"]:
        assert candidate["name"] == Node.objects.get(pk=candidate["node"]).name
        assert candidate["site"] == Node.objects.get(pk=candidate["node"]).cluster.site.slug
        assert set(candidate["parts"]) == {"packing", "fragmentation", "fullness"}
        assert sum(candidate["parts"].values()) == pytest.approx(candidate["score"])
    logs = desk.client.get(f"{address}/logs").json()
    assert (logs["next_offset"], logs["message"]) == (len(logs["text"].encode()), "")
    history = desk.client.get(f"{address}/history").json()
    assert [h["to_state"] for h in history if h["object_type"] == "workload"] == ["admitted", "succeeded"] or [
        h["to_state"] for h in history if h["object_type"] == "workload"
    ] == ["admitted", "running", "succeeded"]
    allocation = desk.client.get("/api/v1/allocations", {"workload": said["id"]}).json()["results"]
    assert [len(one["shares"]) for one in allocation] == [2]

    again = desk.client.post(f"{address}/retry")
    assert (again.status_code, again.json()["state"], again.json()["attempt"]) == (202, "queued", 2)
    assert again.json()["finished_at"] is None


def test_what_can_be_done_next_and_what_cannot(desk: Desk) -> None:
    address = f"{WORKLOADS}/{desk.submit().json()['id']}"
    for verb, state, then in (
        ("suspend", "suspended", ["cancel", "resume"]),
        ("resume", "queued", ["cancel", "suspend"]),
        ("cancel", "cancelled", ["retry"]),
        ("retry", "queued", ["cancel", "suspend"]),
    ):
        answer = desk.client.post(f"{address}/{verb}")
        assert (answer.status_code, answer.json()["state"], answer.json()["actions"]) == (202, state, then)
    for verb in ("resume", "retry"):
        refused = desk.client.post(f"{address}/{verb}")
        assert (refused.status_code, refused.json()["code"]) == (409, "illegal-transition")
        assert refused.json()["detail"] == f"Cannot {verb} this workload: it is queued."
    assert Workload.objects.get().version == answer.json()["version"]


def test_running_work_is_cancelled_and_gives_its_hardware_back(desk: Desk) -> None:
    address = f"{WORKLOADS}/{desk.submit().json()['id']}"
    desk.step()
    assert desk.client.get(address).json()["state"] == "running"
    allocation = Allocation.objects.get()
    release = f"/api/v1/allocations/{allocation.pk}"
    assert "release" not in desk.client.get(release).json()["actions"], "owners and operators take hardware back"
    assert desk.client.post(f"{release}/release").status_code == 403
    cancelled = desk.client.post(f"{address}/cancel").json()
    assert (cancelled["state"], cancelled["reason"]) == ("cancelled", "CancelledByUser")
    owner = client_of(factories.user(Role.TENANT_OWNER, desk.project.tenant))
    late = owner.post(f"{release}/release")
    assert (late.status_code, late.json()["detail"]) == (409, "Cannot release this allocation: it is stopping.")
    desk.step()
    assert desk.client.get(release).json()["state"] == "released"
    assert desk.client.get("/api/v1/quotas").json()["results"][0]["held_milli"] == 0


def test_an_owner_takes_hardware_back_and_the_work_waits_again(desk: Desk) -> None:
    made = desk.submit().json()["id"]
    desk.step()
    owner = client_of(factories.user(Role.TENANT_OWNER, desk.project.tenant))
    address = f"/api/v1/allocations/{Allocation.objects.get().pk}"
    assert "release" in owner.get(address).json()["actions"]
    answer = owner.post(f"{address}/release")
    assert (answer.status_code, answer.json()["state"], answer.json()["reason"]) == (202, "stopping", "ReleasedByUser")
    assert desk.client.get(f"{WORKLOADS}/{made}").json()["state"] == "queued"


@pytest.mark.parametrize(
    ("more", "field", "code"),
    [
        ({"accelerator_milli": 500, "accelerators": 2}, "accelerator_milli", "share-of-one"),
        ({"model_names": ["H900"]}, "model_names", "unknown-model"),
        ({"model_names": ["A100-80G"], "accelerators": 0}, "model_names", "no-accelerators"),
        ({"site_slugs": ["atlantis"]}, "site_slugs", "unknown-site"),
        ({"env": {"A=B": "x"}}, "env", "bad-name"),
        ({"env": {"1A": "x"}}, "env", "bad-name"),
        ({"env": {f"V{n}": "x" for n in range(501)}}, "env", "too-many"),
        ({"command": ["a"] * 1001}, "command", "max_length"),
        ({"grace_seconds": 3601}, "grace_seconds", "max_value"),
        ({"ports": [80, 80]}, "ports", "twice"),
        ({"ports": list(range(1, 22))}, "ports", "max_length"),
        ({"ports": [0]}, "ports/0", "min_value"),
        ({"volumes": [{"path": "data"}]}, "volumes/0/path", "bad-path"),
        ({"volumes": [{"path": "/data/../etc"}]}, "volumes/0/path", "bad-path"),
        ({"volumes": [{"path": "/data/"}]}, "volumes/0/path", "bad-path"),
        ({"volumes": [{"path": "/"}]}, "volumes/0/path", "bad-path"),
        ({"volumes": [{"path": "//x"}]}, "volumes/0/path", "bad-path"),
        ({"volumes": [{"path": "/a"}, {"path": "/b"}, {"path": "/a"}]}, "volumes", "twice"),
        ({"volumes": [{"path": f"/v{n}"} for n in range(33)]}, "volumes", "too-many"),
        ({"volumes": [{"path": "/a", "kind": "host"}]}, "volumes/0/kind", "invalid_choice"),
        ({"volumes": [{"path": "/a", "kind": "claim"}]}, "volumes/0/source", "no-source"),
        ({"volumes": [{"path": "/a", "kind": "claim", "source": "../b"}]}, "volumes/0/source", "no-source"),
        (
            {"volumes": [{"path": "/a", "kind": "claim", "source": "b", "size_mib": 5}]},
            "volumes/0/size_mib",
            "claim-size",
        ),
        ({"volumes": [{"path": "/a", "source": "b"}]}, "volumes/0/source", "no-claim"),
        ({"volumes": [{"path": "/a", "is_read_only": True}]}, "volumes/0/is_read_only", "read-only"),
        ({"secret_env": ["Token"]}, "secret_env", "bad-name"),
        ({"secret_env": ["a", "a"]}, "secret_env", "twice"),
        ({"secret_env": [f"s{n}" for n in range(21)]}, "secret_env", "max_length"),
        ({"pull_secrets": ["a_b"]}, "pull_secrets", "bad-name"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_field(desk: Desk, more: Any, field: str, code: str) -> None:
    answer = desk.submit(**more)
    assert answer.status_code == 422
    assert [(e["pointer"], e["code"]) for e in answer.json()["errors"]] == [(f"/{field}", code)]
    assert not Workload.objects.exists()


def test_lists_are_filtered_and_counted_alike(desk: Desk) -> None:
    for name in ("alpha", "beta", "Alphabet"):
        desk.submit(name=name)
    Workload.objects.filter(name="beta").update(state="failed")
    found = desk.client.get(WORKLOADS, {"name": "ALPHA"}).json()["results"]
    assert [row["name"] for row in found] == ["Alphabet", "alpha"]
    two = desk.client.get(WORKLOADS, {"state": ["queued", "failed"], "project": str(desk.project.pk)}).json()
    assert len(two["results"]) == 3
    counts = desk.client.get(f"{WORKLOADS}/counts", {"name": "alpha"}).json()
    assert {one["state"]: one["count"] for one in counts if one["count"]} == {"queued": 2}


# -- repeats ------------------------------------------------------------------------------------------------


def test_a_repeated_create_is_the_same_answer_and_one_row(desk: Desk) -> None:
    first, second = desk.submit("key-1"), desk.submit("key-1")
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json() == first.json()
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert Workload.objects.count() == 1
    other = desk.submit("key-1", name="other")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    elsewhere = desk.client.post("/api/v1/tokens", {}, headers={"Idempotency-Key": "key-1"})
    assert elsewhere.status_code == 422
    assert desk.submit("key-2").json()["id"] != first.json()["id"]
    somebody = client_of(factories.user(Role.TENANT_MEMBER, desk.project.tenant))
    theirs = desk.submit("key-1", somebody)
    assert theirs.status_code == 201
    assert theirs.json()["id"] != first.json()["id"], "a key is its caller's own"
    assert Workload.objects.count() == 3


def test_many_at_once_differ_by_their_number(desk: Desk) -> None:
    answer = desk.client.post(f"{WORKLOADS}/batch", desk.body(count=5, env={"LR": "1"}, command=["sh", "-c", "x\ty"]))
    assert answer.status_code == 201, answer.json()
    ids = answer.json()["ids"]
    made = [Workload.objects.get(pk=pk) for pk in ids]
    assert [w.name for w in made] == [f"train-{number}" for number in range(5)] and ids == sorted(ids)
    assert [w.env for w in made] == [{"LR": "1", "AQUIFER_ARRAY_INDEX": str(number)} for number in range(5)]
    assert Workload.objects.count() == 5
    # Each is as a single one would be, in every column but those of its own.
    single = Workload.objects.get(pk=desk.submit(env={"LR": "1"}, command=["sh", "-c", "x\ty"]).json()["id"])
    own = {"id", "name", "env", "created_at", "queued_at", "state_since"}
    for field in Workload._meta.concrete_fields:
        if field.name not in own:
            assert field.value_from_object(made[0]) == field.value_from_object(single), field.name
    assert (made[0].queued_at, made[0].state_since) == (made[0].created_at, made[0].created_at)
    noted = AuditEntry.objects.get(detail__count=5)
    assert (noted.what, noted.target_id) == ("workload.create", ids[0])
    admission.run(str(desk.pool.pk))
    assert Workload.objects.filter(state="admitted").count() > 0


@pytest.mark.parametrize("count", [0, -1, 10_001, "many", 1.5, None])
def test_a_number_of_work_that_makes_no_sense_makes_none(desk: Desk, count: Any) -> None:
    answer = desk.client.post(f"{WORKLOADS}/batch", desk.body(count=count))
    assert answer.status_code in (400, 422)
    assert answer.json()["errors"][0]["pointer"] == "/count"
    assert not Workload.objects.exists()


def test_many_are_made_once_however_often_they_are_sent(desk: Desk) -> None:
    body, headers = desk.body(count=3), {"Idempotency-Key": "sweep"}
    first = desk.client.post(f"{WORKLOADS}/batch", body, headers=headers)
    second = desk.client.post(f"{WORKLOADS}/batch", body, headers=headers)
    assert first.json() == second.json() and Workload.objects.count() == 3


def test_a_create_that_failed_may_be_tried_again_under_its_key(desk: Desk) -> None:
    assert desk.submit("key-1", site_slugs=["atlantis"]).status_code == 422
    assert not IdempotencyRecord.objects.exists()
    assert desk.submit("key-1").status_code == 201


@pytest.mark.parametrize("key", ["x" * 201, "a\tb", "a\x7fb"])
def test_a_key_that_is_none_is_refused(desk: Desk, key: str) -> None:
    answer = desk.submit(key)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert not Workload.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_repeats_at_one_moment_are_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints, "send", lambda *_: None)
    desk, size = Desk(), 6
    start = Barrier(size)

    def ask(number: int) -> tuple[int, str, bool]:
        try:
            client = client_of(User.objects.get(pk=desk.user.pk))
            start.wait(30)
            answer = desk.submit("key-1", client)
            return answer.status_code, answer.json()["id"], "Idempotency-Replayed" in answer.headers
        finally:
            connection.close()

    with ThreadPoolExecutor(size) as threads:
        answers = list(threads.map(ask, range(size)))
    assert {status for status, _, _ in answers} == {201}
    assert {pk for _, pk, _ in answers} == {str(Workload.objects.get().pk)}
    assert sorted(replayed for _, _, replayed in answers) == [False] + [True] * (size - 1)


def test_what_the_site_noted_is_read_beside_our_own_history(desk: Desk) -> None:
    said = desk.submit(run_seconds=0).json()
    address = f"{WORKLOADS}/{said['id']}"
    empty = {"events": [], "message": "No site has been given it yet."}
    assert desk.client.get(f"{address}/events").json() == empty
    desk.step()
    told = desk.client.get(f"{address}/events").json()
    assert [event["reason"] for event in told["events"]] == ["Scheduled", "Started", "Completed", "Killing"]
    assert told["events"] == sorted(told["events"], key=lambda event: str(event["at"]))
    assert told["message"] == ""
    assert desk.client.get(f"{address}/events?replica=1").json() == empty
    assert desk.client.get(f"{address}/events?replica=x").status_code == 422


def test_a_silent_site_tells_no_events_and_says_why(desk: Desk) -> None:
    said = desk.submit().json()
    desk.step()
    cluster = Workload.objects.get(pk=said["id"]).allocations.get().cluster
    type(cluster).objects.filter(pk=cluster.pk).update(settings={**cluster.settings, "down": True})
    told = desk.client.get(f"{WORKLOADS}/{said['id']}/events").json()
    assert told == {"events": [], "message": "The site does not answer."}
    type(cluster).objects.filter(pk=cluster.pk).update(driver="agent")
    told = desk.client.get(f"{WORKLOADS}/{said['id']}/events").json()
    assert told == {"events": [], "message": "This kind of site keeps no events."}
