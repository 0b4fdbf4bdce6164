"""What is built, and that it is built once."""

import threading
from pathlib import Path
from typing import Any

import pytest

from tests.kube import build

GO_MOD = """
module k8s.io/kubernetes

go 1.26.0

godebug default=go1.26

require (
	github.com/google/cadvisor v0.56.2
	k8s.io/api v0.0.0
)

replace (
	k8s.io/api => ./staging/src/k8s.io/api
	k8s.io/kubelet => ./staging/src/k8s.io/kubelet
)
"""


def test_the_module_takes_the_staged_packages_as_they_are_published() -> None:
    assert build.module_around(GO_MOD, "1.36.3") == [
        "module aquifer.test/kube",
        "go 1.26.0",
        "godebug default=go1.26",
        "require k8s.io/kubernetes v1.36.3",
        "replace k8s.io/api => k8s.io/api v0.36.3",
        "replace k8s.io/kubelet => k8s.io/kubelet v0.36.3",
    ]


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Packages that were built, instead of building them; the cache is empty."""
    built: list[str] = []
    source = tmp_path / "source"
    (source / "kustomize" / "stage").mkdir(parents=True)
    (source / "go.mod").write_text(GO_MOD)

    def go(go: str, scratch: Path, *arguments: str, **environment: str) -> str:
        if arguments[0] == "mod":
            return f'{{"GoMod": "{source}/go.mod", "Dir": "{source}"}}'
        built.append(arguments[-1])
        target = scratch / "out"
        if arguments[0] == "install":
            target, name = scratch, "kwok"
        else:
            name = "main"
        target.mkdir(exist_ok=True)
        (target / name).write_text(arguments[-1])
        return ""

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "_go", go)
    monkeypatch.setattr(build, "find_go", lambda: "go")
    return built


def test_a_version_is_built_once_and_kept_outside_the_repository(built: list[str], tmp_path: Path) -> None:
    found = build.ensure("1.36.3")
    assert found.missing == []
    assert found.path("kubelet") == tmp_path / "cache/aquifer/kube/kubernetes-1.36.3/kubelet"
    assert found.path("kubelet").read_text() == "k8s.io/kubernetes/cmd/kubelet"
    first = list(built)
    assert len(first) == len(set(first)) == 7  # five programs, etcd and KWOK
    build.ensure("1.36.3")
    assert built == first
    build.ensure("1.33.13")
    assert built[7:] == [f"k8s.io/kubernetes/cmd/{name}" for name in build.SERVERS]


def test_two_at_once_build_once(built: list[str]) -> None:
    errors: list[Any] = []
    threads = [threading.Thread(target=lambda: errors.extend(build.ensure("1.36.3").missing)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(built) == len(set(built)) == 7


def test_a_broken_build_leaves_nothing_behind(
    built: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def broken(*arguments: Any, **environment: str) -> str:
        raise build.Unavailable("`go build` failed: dial tcp: connection refused")

    monkeypatch.setattr(build, "_build", broken)
    monkeypatch.setattr("sys.argv", ["build", "--version", "1.36.3"])
    assert build.main() == 1
    assert "connection refused" in capsys.readouterr().err
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert left == []


def test_without_go_the_reason_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("shutil.which", lambda *arguments, **more: None)
    with pytest.raises(build.Unavailable, match="Go is not installed"):
        build.ensure()
