"""Builds the programs of a real Kubernetes from their Go modules, once per version, outside the repository.

    python -m tests.kube.build                    both versions the tests use
    python -m tests.kube.build --version 1.34.4   the servers of another one

They end up in ~/.cache/aquifer/kube/<name>-<version>/ (XDG_CACHE_HOME is followed). Cold, on two cores: about six
minutes and 4 GB of Go's own caches for the current version, three minutes more for the old one.
"""

import argparse
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CURRENT = "1.36.3"
OLD = "1.33.13"  # three minors older: what a site that is slow to upgrade still runs
ETCD = "3.6.16"
KWOK = "0.8.0"
HELM = "3.22.0"

SERVERS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
# kubelet and kubectl of the current version work against the old servers, so they are built once.
PROGRAMS = {CURRENT: (*SERVERS, "kubectl", "kubelet")}

_STAGED = re.compile(r"^\s*(?:replace\s+)?(k8s\.io/\S+) => \./staging/", re.MULTILINE)
_HEADER = re.compile(r"^(?:go .*|toolchain .*|godebug [^(\n]*|godebug \([^)]*\))$", re.MULTILINE)


class Unavailable(Exception):
    """The programs cannot be had here; the text says why, for people."""


@dataclass(frozen=True)
class Programs:
    """Where the programs of one control plane lie."""

    version: str
    kubernetes: Path
    etcd: Path
    kwok: Path
    """A folder with the program and, in `stage/`, the YAML of its stages."""

    def path(self, name: str) -> Path:
        return self.kubernetes / name

    @property
    def missing(self) -> list[str]:
        wanted = [self.path(name) for name in names(self.version)]
        wanted += [self.etcd / "etcd", self.kwok / "kwok", self.kwok / "stage"]
        return [str(path) for path in wanted if not path.exists()]


def names(version: str) -> Sequence[str]:
    return PROGRAMS.get(version, SERVERS)


def programs(version: str = CURRENT) -> Programs:
    """Where they are, or will be."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aquifer" / "kube"
    return Programs(version, base / f"kubernetes-{version}", base / f"etcd-{ETCD}", base / f"kwok-{KWOK}")


def helm() -> Path:
    """Where Helm is, or will be."""
    return programs().kwok.with_name(f"helm-{HELM}") / "helm"


def find_go() -> str:
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        raise Unavailable("Kubernetes is built from source, and Go is not installed")
    return go


def ensure(version: str = CURRENT) -> Programs:
    """All of it, built where it is missing. Two processes at once: one builds, the other waits. Raises Unavailable."""
    found = programs(version)
    if found.missing:
        go = find_go()
        with _locked(found.kubernetes) as scratch:
            _kubernetes(go, version, found.kubernetes, scratch)
        with _locked(found.etcd) as scratch:
            _etcd(go, found.etcd, scratch)
        with _locked(found.kwok) as scratch:
            _kwok(go, found.kwok, scratch)
    return found


def ensure_helm() -> Path:
    """Built if it is missing: a minute or two. Raises Unavailable."""
    found = helm()
    if not found.exists():
        go = find_go()
        with _locked(found.parent) as scratch:
            if not found.exists():
                began = _begin("helm", HELM)
                _go(go, scratch, "install", *_SMALL, f"helm.sh/helm/v3/cmd/helm@v{HELM}", GOBIN=str(scratch))
                _finish(scratch / "helm", found, HELM, began)
    return found


@contextmanager
def _locked(folder: Path) -> Iterator[Path]:
    """Holds the folder's lock, and gives a scratch folder beside it: a finished program is renamed into place."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(folder.suffix + ".lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"waiting: somebody else builds {folder.name}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        with tempfile.TemporaryDirectory(prefix="build-", dir=folder.parent) as scratch:
            yield Path(scratch)


def _kubernetes(go: str, version: str, folder: Path, scratch: Path) -> None:
    wanted = [name for name in names(version) if not (folder / name).exists()]
    if not wanted:
        return
    # Its packages are published one by one as v0.36.3 and so on, but its go.mod points at folders beside it, which is
    # why `go install` refuses it. A module of ours that names them can build its commands as they are.
    module = module_around(Path(_download(go, "k8s.io/kubernetes", version, scratch)["GoMod"]).read_text(), version)
    major, minor, _ = version.split(".")
    stamp = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    flags = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in stamp.items())
    for name in wanted:
        _build(go, scratch, module, f"k8s.io/kubernetes/cmd/{name}", folder / name, version, flags)


def module_around(theirs: str, version: str) -> list[str]:
    """The lines of our go.mod, made of Kubernetes' own."""
    staged = f"v0.{version.partition('.')[2]}"
    ours = ["module aquifer.test/kube", *_HEADER.findall(theirs), f"require k8s.io/kubernetes v{version}"]
    return ours + [f"replace {name} => {name} {staged}" for name in _STAGED.findall(theirs)]


def _etcd(go: str, folder: Path, scratch: Path) -> None:
    if not (folder / "etcd").exists():
        package = "go.etcd.io/etcd/server/v3"
        theirs = Path(_download(go, package, ETCD, scratch)["GoMod"]).read_text()
        module = ["module aquifer.test/etcd", *_HEADER.findall(theirs), f"require {package} v{ETCD}"]
        _build(go, scratch, module, package, folder / "etcd", ETCD)


def _kwok(go: str, folder: Path, scratch: Path) -> None:
    module = "sigs.k8s.io/kwok"
    if not (folder / "stage").exists():
        # Kept with the program, so that starting it needs neither Go nor its module cache.
        source = Path(_download(go, module, KWOK, scratch)["Dir"]) / "kustomize" / "stage"
        shutil.copytree(source, scratch / "stage", copy_function=shutil.copyfile)
        for path in (scratch / "stage").rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        (scratch / "stage").chmod(0o755)
        (scratch / "stage").rename(folder / "stage")
    if not (folder / "kwok").exists():
        began = _begin("kwok", KWOK)
        _go(go, scratch, "install", *_SMALL, f"{module}/cmd/kwok@v{KWOK}", GOBIN=str(scratch))
        _finish(scratch / "kwok", folder / "kwok", KWOK, began)


_SMALL = ("-trimpath", "-ldflags=-s -w")


def _build(
    go: str, scratch: Path, module: Sequence[str], package: str, target: Path, version: str, flags: str = ""
) -> None:
    began = _begin(target.name, version)
    (scratch / "go.mod").write_text("\n".join(module) + "\n")
    # -mod=mod writes the rest of go.mod and go.sum from the modules' own (checksums by Go's database): the versions are
    # those that the project itself was built with.
    _go(go, scratch, "build", "-mod=mod", "-trimpath", f"-ldflags=-s -w {flags}", "-o", "out/", package)
    (made,) = (scratch / "out").iterdir()
    _finish(made, target, version, began)


def _download(go: str, module: str, version: str, scratch: Path) -> dict[str, str]:
    answer: dict[str, str] = json.loads(_go(go, scratch, "mod", "download", "-json", f"{module}@v{version}"))
    return answer


def _go(go: str, scratch: Path, *arguments: str, **environment: str) -> str:
    surroundings = {**os.environ, "CGO_ENABLED": "0", "GO111MODULE": "on", "GOWORK": "off", **environment}
    done = subprocess.run(
        ["nice", "-n", "10", go, *arguments], cwd=scratch, env=surroundings, capture_output=True, text=True
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Unavailable(f"`go {arguments[0]}` failed: {' / '.join(said[-3:]) or f'exit code {done.returncode}'}")
    return done.stdout


def _begin(name: str, version: str) -> float:
    _say(f"{name} {version}: building ...")
    return time.monotonic()


def _finish(made: Path, target: Path, version: str, began: float) -> None:
    size = made.stat().st_size / 1e6
    made.rename(target)
    _say(f"{target.name} {version}: built in {time.monotonic() - began:.0f} s, {size:.0f} MB")


def _say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kube.build", description="Build Kubernetes for the tests.")
    parser.add_argument("--version", action="append", help=f"such as {CURRENT}; may be given again (both of the tests)")
    options = parser.parse_args()
    try:
        for version in options.version or (CURRENT, OLD):
            found = ensure(version)
            _say(f"Kubernetes {version} is in {found.kubernetes}")
        if not options.version:
            _say(f"Helm {HELM} is in {ensure_helm().parent}")
    except Unavailable as reason:
        print(f"Kubernetes cannot be built here: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
