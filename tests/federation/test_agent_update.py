"""One whole update, with real processes: from the operator's key to another release that runs; work goes on."""

import base64
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from federation.actions import agent_releases
from federation.bench import agents
from federation.models import Agent, Allocation, Cluster
from federation.states import AllocationState as A
from portal.audit import SYSTEM

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes, pytest.mark.timeout(180)]


def agent(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "aquifer_agent", *words], capture_output=True, text=True, timeout=60, check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(settings.BASE_DIR / "agent")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    """A release 9.0.0, as an operator makes and signs it; its key's public line is beside it."""
    copy = tmp_path / "source" / "agent"
    for name in ("aquifer_agent", "packaging"):
        shutil.copytree(settings.BASE_DIR / "agent" / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(settings.BASE_DIR / "LICENSE", copy.parent)
    (copy / "aquifer_agent" / "__init__.py").write_text('"""The agent."""\n\nVERSION = "9.0.0"\n')
    words = [sys.executable, "-I", str(copy / "packaging" / "build.py"), "--out", str(tmp_path)]
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    key = tmp_path / "key.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key)], check=True, capture_output=True)
    (tmp_path / "keys").write_text(agent("release-key", "--key", str(key)))
    agent("sign-release", str(tmp_path / "aquifer-agent.pyz"), "--key", str(key), "--serial", "1")
    return tmp_path / "aquifer-agent.pyz"


def test_a_signed_release_replaces_the_agent_and_not_its_work(
    signed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start: Callable[[Path], Any] = agents._start_agent

    def with_key(state_dir: Path) -> Any:
        shutil.copy(signed.parent / "keys", state_dir / "release-keys")
        return start(state_dir)

    monkeypatch.setattr(agents, "_start_agent", with_key)
    (tmp_path / "field").mkdir()
    with agents._field(tmp_path / "field", {"agents": 1, "starts_at_once": 1}) as field:
        field.until(field.are_connected, "the agent")
        field.submit(0.0)
        field.until(lambda: field.live(A.ACTIVE) == 1, "its work")
        assert Agent.objects.get().agent_version != "9.0.0"
        key = base64.b64decode((signed.parent / "keys").read_text().split()[1])
        agent_releases.add(
            by=SYSTEM, body=signed.read_bytes(), manifest=Path(f"{signed}.manifest").read_text(),
            signature=Path(f"{signed}.sig").read_text(), key=key,
        )  # fmt: skip
        agent_releases.roll_out(by=SYSTEM, serial=1, percent=100)
        agent_releases.decide(by=SYSTEM, cluster=Cluster.objects.get(), mode="auto")

        def is_done() -> bool:
            return (Agent.objects.get().release or {}).get("state") == "done"

        field.until(is_done, "the new release")
        assert Agent.objects.get().agent_version == "9.0.0"
        field.until(field.are_connected, "the site as before")
        assert field.processes[0].poll() is None, "one process all the time"
        allocation = Allocation.objects.get()
        assert allocation.state == A.ACTIVE
        assert len((tmp_path / "field" / "marks" / str(allocation.pk)).read_text().split()) == 1
