"""The image of a cluster's agent: what it copies is enough to run, and nothing of the hub is in it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "deploy" / "agent" / "Dockerfile"
_NOT_FOR_IT = ("django", "celery", "rest_framework", "psycopg", "channels", "portal", "billing")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the Dockerfile's COPY lines make."""
    lib = tmp_path_factory.mktemp("image")
    lines = re.findall(r"^COPY ([a-z][^\n]*) /opt/agent/lib/(\S+)$", DOCKERFILE.read_text(), flags=re.MULTILINE)
    assert len(lines) == 4
    for source, target in ((source, target) for sources, target in lines for source in sources.split()):
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, lib / target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (lib / target).mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, lib / target)
    return lib


def run(tree: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-P", *words], cwd=tree, env=env, capture_output=True, text=True, timeout=60, check=False
    )


def test_it_runs_with_what_is_copied(tree: Path) -> None:
    said = run(tree, "-m", "aquifer_agent", "run-cluster", "--help")
    assert said.returncode == 0, said.stderr
    assert "--identity-secret" in said.stdout


def test_it_can_load_its_driver_without_the_hub(tree: Path) -> None:
    """This Python has all of the hub's packages; none of them may be imported."""
    load = (
        "import sys; from aquifer_agent.cluster import command, options; from aquifer_agent.cluster.site import load;"
        "load(options.DEFAULT_DRIVER); print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    said = run(tree, "-c", load)
    assert said.returncode == 0, said.stderr
    loaded = set(said.stdout.split())
    assert {"federation", "kubernetes"} <= loaded
    assert not loaded & set(_NOT_FOR_IT)


def test_outside_of_a_cluster_it_says_so(tree: Path) -> None:
    said = run(tree, "-m", "aquifer_agent", "run-cluster", "--hub", "https://hub.example.org")
    assert said.returncode != 0
    assert "not inside a Kubernetes cluster" in said.stderr


def test_a_bare_machine_needs_no_drivers(tree: Path) -> None:
    shutil.copytree(tree / "aquifer_agent", tree / "bare" / "aquifer_agent")
    assert run(tree / "bare", "-m", "aquifer_agent", "run", "--help").returncode == 0
    said = run(tree / "bare", "-m", "aquifer_agent", "run-cluster", "--hub", "https://hub.example.org")
    assert said.returncode == 2
    assert "needs the drivers of Aquifer" in said.stderr
    shutil.rmtree(tree / "bare")


def test_it_does_not_run_as_root() -> None:
    last = DOCKERFILE.read_text().rsplit("\nFROM ", 1)[1]
    assert "\nUSER 10001:10001\n" in last
    assert "secrets" not in last
