"""The console, built from source: Node.js by `requirements/frontend.lock` in `.local/node`, then npm.

`python -m portal.supervise.console` builds when `frontend/dist` is not of the sources that are there, and
only then. The new build replaces the old one in one rename, so a page is never served in halves.
`python -m portal.supervise.console npm run dev` calls npm, after having installed what is needed.
"""

# ruff: noqa: S603 - every command here is our own

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from portal.supervise import environment
from portal.supervise.environment import LOCAL, ROOT
from portal.supervise.steps import Failed, main, say

SOURCES = ROOT / "frontend"
DIST = SOURCES / "dist"
_STAMP = "sources.sha256"
_NODE = LOCAL / "node"
_NOT_SOURCES = ["dist.new", "dist.old", ".*", "*.tsbuildinfo"]  # beside what .gitignore says


def is_built() -> bool:
    """Whether what would be served was built from what is there now."""
    try:
        return (DIST / _STAMP).read_text(encoding="utf-8").strip() == digest(SOURCES)
    except OSError:
        return False


def digest(folder: Path) -> str:
    """One number for all source files, their names and contents."""
    total = hashlib.sha256()
    for file in _files(folder, folder, _ignored(folder)):
        total.update(f"{file.relative_to(folder).as_posix()}\0{file.stat().st_size}\0".encode())
        total.update(file.read_bytes())
    return total.hexdigest()


def _ignored(folder: Path) -> list[str]:
    """What git ignores there is made, not written: node_modules, the last build, compiled messages."""
    try:
        lines = (folder / ".gitignore").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        lines = []
    return [line.strip().strip("/") for line in lines if line.strip()] + _NOT_SOURCES


def _files(folder: Path, top: Path, ignored: list[str]) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if any(path.relative_to(top).match(pattern) for pattern in ignored):
            continue
        if path.is_dir():
            yield from _files(path, top, ignored)
        else:
            yield path


def install() -> dict[str, str]:
    """Node.js and the packages of `package-lock.json`; the environment in which to call npm."""
    uv = environment.installer()
    lock = (ROOT / "requirements" / "frontend.lock").read_bytes() + (SOURCES / "package-lock.json").read_bytes()
    wanted = hashlib.sha256(lock).hexdigest()
    env = {
        **os.environ,
        "PATH": f"{_NODE / 'bin'}:{os.environ.get('PATH', os.defpath)}",
        "npm_config_audit": "false",
        "npm_config_fund": "false",
        "npm_config_update_notifier": "false",
        "NO_COLOR": "1",
        "VITE_CONFIG_NATIVE_IGNORE_WARNING": "true",
    }
    if not os.access(Path(env.get("HOME") or "/"), os.W_OK):
        env["npm_config_cache"] = str(LOCAL / "cache" / "npm")
    stamp = SOURCES / "node_modules" / ".aquifer-lock"
    if (_NODE / "bin" / "npm").exists() and stamp.exists() and stamp.read_text() == wanted:
        return env
    python = _NODE / "bin" / "python"
    _call([uv, "venv", "--quiet", "--clear", "--python", sys.executable, _NODE], env)
    environment.sync(uv, python, "frontend")
    say("installing the console's packages")
    _call(["npm", "ci", "--no-progress", "--loglevel=error"], env)
    stamp.write_text(wanted)
    return env


def build() -> None:
    """Have `frontend/dist` hold a build of the present sources."""
    wanted = digest(SOURCES)
    env = install()
    say("building the console")
    fresh, old = SOURCES / "dist.new", SOURCES / "dist.old"
    for folder in (fresh, old):
        shutil.rmtree(folder, ignore_errors=True)
    _call(["npm", "run", "--silent", "build", "--", "--outDir", fresh.name, "--emptyOutDir", "--logLevel", "warn"], env)
    _call([sys.executable, "-m", "whitenoise.compress", "--quiet", fresh], env)
    (fresh / _STAMP).write_text(wanted + "\n", encoding="utf-8")
    if DIST.exists():
        DIST.rename(old)
    fresh.rename(DIST)
    shutil.rmtree(old, ignore_errors=True)
    say("the console is built; reload the page")


def _call(command: list[str | Path], env: dict[str, str]) -> None:
    words = [str(part) for part in command]
    if words[0] == "npm":  # looked up in the PATH we made, not in ours
        words[0] = str(_NODE / "bin" / "npm")
    done = subprocess.run(words, cwd=SOURCES, env=env, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command[:3]))} failed with exit code {done.returncode}")


def _as_told() -> int:
    if sys.argv[1:]:
        _call([*sys.argv[1:]], install())
    elif not is_built():
        build()
    return 0


if __name__ == "__main__":
    main(_as_told)
