"""What `./run test` runs: every check there is, one after the other, and a summary.

With arguments only pytest runs, with those. The database is an embedded Postgres in `.local/pg-test`, or the
server that DATABASE_URL names.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from portal.supervise import console, lock
from portal.supervise.environment import LOCAL, LOGS, ROOT, installer
from portal.supervise.postgres import Postgres
from portal.supervise.processes import Child
from portal.supervise.steps import main, paint, say
from portal.supervise.supervisor import Stopped, Supervisor
from portal.supervise.up import start_postgres

SCHEMA = ROOT / "docs" / "openapi.yaml"
COMPILE = ["pip", "compile", "--quiet", "--universal", "--generate-hashes"]
LOCKS = {
    "production": ["pyproject.toml"],
    "run": ["pyproject.toml", "--extra", "local"],
    "dev": ["pyproject.toml", "--extra", "dev"],
    "agent": ["agent/pyproject.toml", "--extra", "cluster", "-c", "requirements/production.lock"],
    "frontend": ["requirements/frontend.in"],
    "uv": ["requirements/uv.in"],
    "focus-toolkit": ["requirements/focus-toolkit.in"],
    "focus-validator": ["requirements/focus-validator.in"],
}
NEWER = {"focus-validator": "3.12"}  # Pythons of locks that are not for ours
SPREAD = ["-n", str(min(4, os.cpu_count() or 1))] if (os.cpu_count() or 1) > 1 else []  # how: tests/spread.py


@dataclass(frozen=True)
class Part:
    """One check: a command, and what to look at once it has ended well ('' when all is right)."""

    name: str
    command: list[str]
    look: Callable[[], str] = lambda: ""
    colour: int = 36


@dataclass(frozen=True)
class Result:
    name: str
    is_good: bool
    seconds: float
    text: str

    def __str__(self) -> str:
        mark = paint("passed", 32) if self.is_good else paint("FAILED", 31)
        return f"  {mark}  {self.name:<18}{self.seconds:7.1f} s  {self.text}"


def parts(scratch: Path) -> Iterator[Part]:
    python = [sys.executable, "-m"]
    manage = [sys.executable, "manage.py"]
    yield Part("ruff check", [*python, "ruff", "check", ".", "run"])
    yield Part("ruff format", [*python, "ruff", "format", "--check", ".", "run"])
    yield Part("mypy", [*python, "mypy"])
    yield Part("import contracts", [str(Path(sys.executable).with_name("lint-imports"))])
    yield Part("migrations", [*manage, "makemigrations", "--check", "--dry-run"])
    schema = scratch / "openapi.yaml"
    yield Part(
        "API schema",
        [*manage, "spectacular", "--validate", "--fail-on-warn", "--file", str(schema)],
        look=lambda: same(schema, SCHEMA, "manage.py spectacular --file docs/openapi.yaml"),
    )
    for name, sources in LOCKS.items():
        yield lock_part(name, sources, scratch)
    npm = [*python, "portal.supervise.console", "npm"]
    yield Part("console lint", [*npm, "run", "lint"], colour=35)
    yield Part("console client", [*npm, "run", "api"], look=unchanged(ROOT / "frontend" / "src"), colour=35)
    yield Part("console units", [*npm, "test"], colour=35)
    yield Part("console build", [*python, "portal.supervise.console"], colour=35)
    yield pytest(*SPREAD, "-m", "not slow and not browser")


def lock_part(name: str, sources: list[str], scratch: Path) -> Part:
    """Compiling again, starting from the lock there is, changes nothing."""
    committed, fresh = ROOT / "requirements" / f"{name}.lock", scratch / f"{name}.lock"
    shutil.copy(committed, fresh)
    python = ["--python-version", NEWER.get(name, "3.11")]
    command = [installer(), *COMPILE, *python, "--no-annotate", "--no-header", *sources, "-o", str(fresh)]
    return Part(f"lock {name}", command, look=lambda: same(fresh, committed, f"the command in CONTRIBUTING for {name}"))


def pytest(*arguments: str) -> Part:
    return Part("pytest", [sys.executable, "-m", "pytest", *arguments], colour=33)


def same(fresh: Path, committed: Path, how: str) -> str:
    if committed.exists() and fresh.read_bytes() == committed.read_bytes():
        return ""
    return f"{committed.relative_to(ROOT)} is out of step; write it anew with {how}"


def unchanged(folder: Path) -> Callable[[], str]:
    before = console.digest(folder)
    return lambda: (
        "" if console.digest(folder) == before else f"{folder.relative_to(ROOT)} was out of step; see git diff"
    )


def run_part(supervisor: Supervisor, part: Part, env: dict[str, str]) -> Result:
    say(paint(f"\n== {part.name}: {' '.join(map(short, part.command))}", 1))
    started = time.monotonic()
    log = "test-" + part.name.replace(" ", "-")
    child = Child(name=log, command=part.command, env=env, cwd=ROOT, colour=part.colour, is_restarted=False)
    supervisor.start(child)
    supervisor.wait(lambda: not child.is_running(), 3600)
    code = child.process.wait(1) if child.process and not child.is_running() else None
    supervisor.output.drain(child)
    last = supervisor.output.tail(log, 1).strip()
    problem = part.look() if code == 0 else f"exit code {code}"
    if code is None:
        child.kill_session()
        problem = "took more than an hour"
    if problem:
        say(paint(f"   {problem}", 31))
    return Result(part.name, not problem, time.monotonic() - started, problem or last[-100:])


def short(word: str) -> str:
    return Path(word).name if word.startswith("/") else word


def browser() -> str:
    """Path of a Chromium, installed by root where there is none; '' when there is no way."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found or os.geteuid() != 0 or not shutil.which("apt-get"):
        return found or ""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    say("installing Chromium with apt-get")
    for command in (["update"], ["install", "-y", "--no-install-recommends", "chromium", "fonts-wqy-microhei"]):
        subprocess.run(["apt-get", "-qq", *command], env=env, stdout=subprocess.DEVNULL, check=False)
    return shutil.which("chromium") or ""


def everything() -> int:
    LOGS.mkdir(parents=True, exist_ok=True)
    lock.take(LOCAL / "test.lock")
    scratch = LOCAL / "scratch"
    scratch.mkdir(exist_ok=True)
    results: list[Result] = []
    skipped: list[str] = []
    env = {
        **os.environ,
        "AQUIFER_MODE": "test",
        "PYTHONUNBUFFERED": "1",
        "DJANGO_SETTINGS_MODULE": "portal.settings",
    }
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "agent")])
    with Supervisor(LOGS) as supervisor:
        supervisor.output.is_shown, supervisor.output.has_names = True, False
        try:
            if not env.get("DATABASE_URL"):
                postgres = Postgres(LOCAL / "pg-test", LOGS / "postgres-test.log", is_for_tests=True)
                env["DATABASE_URL"] = start_postgres(supervisor, postgres)
            if sys.argv[1:]:
                results.append(run_part(supervisor, pytest(*sys.argv[1:]), env))
            else:
                for part in parts(scratch):
                    results.append(run_part(supervisor, part, env))
                if chromium := browser():
                    part = Part("browser", pytest("-m", "browser").command, colour=33)
                    results.append(run_part(supervisor, part, {**env, "AQUIFER_CHROMIUM": chromium}))
                else:
                    skipped.append("browser: there is no Chromium, and only root can have one installed")
        except Stopped:
            say("\nStopped.")
            return 130
    say()
    for result in results:
        say(str(result))
    for text in skipped:
        say(f"  {paint('SKIPPED', 33)} {text}")
    bad = [result.name for result in results if not result.is_good]
    say(
        paint(
            f"\n{len(bad)} of {len(results)} failed: {', '.join(bad)}" if bad else "\nAll passed.",
            31 if bad else 32,
        )
    )
    return 1 if bad else 0


if __name__ == "__main__":
    main(everything)
