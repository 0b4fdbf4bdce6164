"""Releases of the agent from the operator's upload to the agents that are asked to take them; and copied identities."""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import CommandError, call_command
from django.utils import timezone

from federation.actions import agent_releases, agents
from federation.drivers import agent as driver
from federation.models import Agent, AgentRelease, Cluster
from federation.reconcile import clusters
from portal.audit import SYSTEM
from portal.models import AuditEntry
from tests.api.conftest import Client
from tests.api.test_conversations_agents import INVENTORY, Machine

pytestmark = pytest.mark.django_db

KEY = Ed25519PrivateKey.generate()
FILE = b"#!/usr/bin/env python3\n" + bytes(range(256)) * 8


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test's transaction has one `now()`; a slow machine must not make an agent look silent."""
    monkeypatch.setattr(driver, "SILENT_AFTER_SECONDS", 1000.0)
    monkeypatch.setattr(agents, "IDENTITY_LEASE_SECONDS", 1000.0)


def enrolled(operator: Client, slug: str = "m1") -> Machine:
    made = Machine(operator, slug)
    made.enrol()
    made.sync(inventory=INVENTORY | {"devices": []})
    return made


def manifest(version: str = "1.1.0", serial: int = 1, body: bytes = FILE, **other: Any) -> str:
    said = {
        "format": agent_releases.FORMAT, "version": version, "minimum_version": "0.0.0", "serial": serial,
        "size": len(body), "sha256": hashlib.sha256(body).hexdigest(), "not_before": "2026-01-01T00:00:00Z",
        "expires": (timezone.now() + timedelta(days=30)).isoformat(),
    }  # fmt: skip
    return json.dumps(said | other)


def add(version: str = "1.1.0", serial: int = 1, percent: int = 100) -> AgentRelease:
    text = manifest(version, serial)
    signature = base64.b64encode(KEY.sign(text.encode())).decode()
    agent_releases.add(
        by=SYSTEM, body=FILE, manifest=text, signature=signature, key=KEY.public_key().public_bytes_raw()
    )
    return agent_releases.roll_out(by=SYSTEM, serial=serial, percent=percent)


def decide(machine: Machine, mode: str, window: str = "") -> None:
    agent_releases.decide(by=SYSTEM, cluster=Cluster.objects.get(pk=machine.cluster), mode=mode, window=window)


def asked(machine: Machine, version: str = "1.0.0") -> Any:
    return machine.sync(agent={"version": version, "release": None})["release"]


def test_only_clusters_that_are_to_are_offered_a_newer_release(operator: Client) -> None:
    machine = enrolled(operator)
    assert asked(machine) is None
    release = add()
    assert asked(machine) is None, "nothing happens by itself"
    decide(machine, "notify")
    assert asked(machine) is None
    decide(machine, "auto")
    offered = asked(machine)
    assert (offered["version"], offered["serial"], offered["manifest"]) == ("1.1.0", 1, release.manifest)
    assert machine.sync()["release"] is None, "an agent that does not know of releases is not asked"
    assert asked(machine, "1.1.0") is None
    assert asked(machine, "2.0.0") is None, "never back"
    agent_releases.roll_out(by=SYSTEM, serial=1, percent=0)
    assert asked(machine) is None
    agent_releases.roll_out(by=SYSTEM, serial=1, percent=100)
    newest = add("1.2.0", 2)
    assert asked(machine)["serial"] == newest.serial
    agent_releases.withdraw(by=SYSTEM, serial=2)
    assert asked(machine)["serial"] == 1
    AgentRelease.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert asked(machine) is None
    assert Agent.objects.get().agent_version == "1.0.0"
    assert {"agent-release.add", "agent-release.roll-out", "agent-release.withdraw"} <= set(
        AuditEntry.objects.values_list("what", flat=True)
    )


def test_the_file_comes_in_parts_to_agents_alone(operator: Client) -> None:
    machine = enrolled(operator)
    add()
    decide(machine, "auto")
    path = asked(machine)["path"]
    whole = b""
    while len(whole) < len(FILE):
        headers = {"Range": f"bytes={len(whole)}-{len(whole) + 999}"}
        answer = machine.client.generic("GET", path, headers=headers)
        assert answer.status_code == 206
        whole += answer.content
    assert whole == FILE
    assert machine.client.get(path).content == FILE
    past = machine.client.generic("GET", path, headers={"Range": f"bytes={len(FILE)}-"})
    assert (past.status_code, past.json()["code"]) == (422, "invalid")
    assert operator.get(path).status_code == 401
    agent_releases.withdraw(by=SYSTEM, serial=1)
    assert machine.client.get(path).status_code == 404


def test_a_percentage_is_of_clusters_and_grows_by_adding(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    shares = {serial: [agent_releases._share_of(uuid4(), serial) for _ in range(2000)] for serial in (1, 2)}
    for found in shares.values():
        assert min(found) == 0 and max(found) == 99
        assert 150 < sum(share < 10 for share in found) < 260
    machine = enrolled(operator)
    add(percent=30)
    decide(machine, "auto")
    monkeypatch.setattr(agent_releases, "_share_of", lambda cluster, serial: 30)
    assert asked(machine) is None
    agent_releases.roll_out(by=SYSTEM, serial=1, percent=31)
    assert asked(machine) is not None


def test_a_release_that_agents_take_back_is_offered_to_nobody_else(operator: Client) -> None:
    add()
    machines = [enrolled(operator, f"m{number}") for number in range(agent_releases.MOST_FAILURES + 1)]
    for machine in machines:
        decide(machine, "auto")
        assert asked(machine) is not None
    bad = {"version": "1.1.0", "serial": 1, "state": "failed", "reason": "NeverAnswered", "message": "No answer."}
    for machine in machines[:-1]:
        told = machine.sync(agent={"version": "1.0.0", "release": bad})
        assert told["release"] is None, "not to this one again"
    assert asked(machines[-1]) is None, "and not to others"
    clusters.run(machines[0].cluster)
    shown = operator.get(f"/api/v1/clusters/{machines[0].cluster}").json()
    assert shown["message"] == "The agent took back its release 1.1.0: No answer."
    assert shown["state"] == "connected"


@pytest.mark.parametrize(
    ("window", "at", "is_open"),
    [("", 12, True), ("02:00-04:00", 1, False), ("02:00-04:00", 2, True), ("02:00-04:00", 4, False),
     ("22:00-04:00", 23, True), ("22:00-04:00", 3, True), ("22:00-04:00", 4, False), ("22:00-04:00", 21, False)],
)  # fmt: skip
def test_windows_may_go_over_midnight(window: str, at: int, is_open: bool) -> None:
    assert agent_releases.is_open(window, datetime(2026, 11, 29, at, tzinfo=UTC)) is is_open


def test_the_command_keeps_rolls_out_and_shows(operator: Client, tmp_path: Path) -> None:
    machine = enrolled(operator)
    file = tmp_path / "aquifer-agent.pyz"
    file.write_bytes(FILE)
    text = manifest(serial=7)
    Path(f"{file}.manifest").write_text(text)
    Path(f"{file}.sig").write_text(base64.b64encode(KEY.sign(text.encode())).decode() + "\n")
    keys = tmp_path / "keys"
    keys.write_text(f"ed25519 {base64.b64encode(KEY.public_key().public_bytes_raw()).decode()} ours\n")

    def call(*words: str) -> str:
        out = StringIO()
        call_command("agent_release", *words, stdout=out)
        return out.getvalue()

    assert "Nobody is offered it yet" in call("add", str(file), "--keys", str(keys))
    with pytest.raises(CommandError, match="higher serial"):
        call("add", str(file))
    assert "100 %" in call("roll-out", "7", "100")
    assert "1 clusters: auto 22:00-04:00" in call("cluster", "site-m1/m1", "auto", "--window", "22:00-04:00")
    with pytest.raises(CommandError, match="SITE/CLUSTER"):
        call("cluster", "nowhere/m1", "auto")
    with pytest.raises(CommandError, match="There is no release 8"):
        call("roll-out", "8", "10")
    said = {"version": "1.1.0", "serial": 7, "state": "refused", "reason": "NoReleaseKey", "message": "No key."}
    machine.sync(agent={"version": "1.0.0", "release": said})
    listed = call("list")
    assert "release 1.1.0 (7), 100 %" in listed
    assert "site-m1/m1: 1.0.0, auto 22:00-04:00, 1.1.0 (7) is newer, 1.1.0: refused. No key." in listed
    assert "offered to nobody" in call("withdraw", "7")


@pytest.mark.parametrize(
    "wrong",
    [
        {"manifest": "{}"}, {"manifest": "x"}, {"manifest": manifest(format="other")}, {"body": FILE + b"x"},
        {"manifest": manifest(expires="2027-01-01T00:00:00")}, {"manifest": manifest(note="changed")},
        {"signature": "AAAA"},
    ],
)  # fmt: skip
def test_what_does_not_belong_together_is_not_kept(wrong: dict[str, Any]) -> None:
    text = manifest()
    sent = {"body": FILE, "manifest": text, "signature": base64.b64encode(KEY.sign(text.encode())).decode()}
    with pytest.raises(agent_releases.Invalid):
        agent_releases.add(by=SYSTEM, key=KEY.public_key().public_bytes_raw(), **{**sent, **wrong})
    assert not AgentRelease.objects.exists()


# -- copied identities, and clocks that are wrong ------------------------------------------------------


def test_a_copied_identity_is_refused_shown_and_forgotten_once_one_is_gone(operator: Client) -> None:
    machine = enrolled(operator)
    clusters.run(machine.cluster)
    first = machine.boot

    def state() -> tuple[str, str]:
        Cluster.objects.update(next_check_at=timezone.now())
        clusters.run(machine.cluster)
        shown = operator.get(f"/api/v1/clusters/{machine.cluster}").json()
        return shown["state"], shown["message"]

    machine.boot = str(uuid4())
    assert machine.report().json()["code"] == "agent-identity-in-use"
    assert state()[0] == "connected", "so far it looks like a restart"
    machine.boot = first
    machine.sync()
    shown = state()
    assert shown[0] == "degraded" and "Two agents report with this one identity" in shown[1]
    # The first one dies: its lease runs out, the second one is let in, and a minute later all is well.
    long_ago = timezone.now() - timedelta(seconds=2000)
    Agent.objects.update(reported_at=long_ago, clash_at=long_ago, twin_at=long_ago)
    machine.boot, machine.seq = str(uuid4()), 0
    machine.sync()
    assert state() == ("connected", "")


@pytest.mark.parametrize("off", [timedelta(minutes=10), timedelta(minutes=-10), timedelta(days=1), timedelta(days=-1)])
def test_a_wrong_clock_is_shown_and_decides_nothing(operator: Client, off: timedelta) -> None:
    machine = enrolled(operator)
    machine.sync(sent_at=(timezone.now() + off).isoformat())
    clusters.run(machine.cluster)
    shown = operator.get(f"/api/v1/clusters/{machine.cluster}").json()
    assert shown["state"] == "degraded" and "clock is off by" in shown["message"]
    assert abs(Agent.objects.get().reported_at - timezone.now()) < timedelta(minutes=1), "by the hub's own clock"  # type: ignore[operator]  # it has reported
    machine.sync(sent_at=timezone.now().isoformat())
    Cluster.objects.update(next_check_at=timezone.now())
    clusters.run(machine.cluster)
    assert operator.get(f"/api/v1/clusters/{machine.cluster}").json()["state"] == "connected"
