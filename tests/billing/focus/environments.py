"""Environments for the validators that others wrote: made once per lock, kept in ~/.cache/aquifer/focus.

They want other Pythons and older packages than we have, so they stay out of ours. Making one takes the package index.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aquifer" / "focus"
UV = ROOT / ".local" / "uv" / "bin" / "uv"


def python_of(name: str, oldest: tuple[int, int]) -> Path:
    """The Python of the environment of `requirements/<name>.lock`. Skips the test where it cannot be had; in CI only
    for want of such a Python."""
    lock = ROOT / "requirements" / f"{name}.lock"
    base = _python(oldest)
    if base is None:
        pytest.skip(f"{name} needs Python {oldest[0]}.{oldest[1]} or newer, and there is none here")
    digest = hashlib.sha256(lock.read_bytes() + str(base).encode()).hexdigest()[:12]
    place = CACHE / f"{name}-{digest}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            _make(place, base, lock)
    return place / "bin" / "python"


def _make(place: Path, base: Path, lock: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    uv = str(UV) if UV.exists() else shutil.which("uv") or "uv"
    made = subprocess.run([base, "-m", "venv", "--without-pip", place], capture_output=True, text=True)
    if made.returncode == 0:
        sync = [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", place / "bin" / "python", lock]
        made = subprocess.run(sync, capture_output=True, text=True)
    if made.returncode != 0:
        message = f"{lock.name} could not be installed: {made.stderr[-500:]}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    (place / "complete").touch()


def _python(oldest: tuple[int, int]) -> Path | None:
    """One that really runs: a shim of pyenv answers only for the version that is chosen."""
    if sys.version_info[:2] >= oldest:
        return Path(sys.executable).resolve()
    minors = range(oldest[1], 15)
    found = [Path(path) for minor in minors if (path := shutil.which(f"python3.{minor}"))]
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found += [path for minor in minors for path in sorted(versions.glob(f"3.{minor}.*/bin/python3"))]
    code = f"import sys, venv; sys.exit(sys.version_info[:2] < {oldest})"
    for python in found:
        if subprocess.run([python, "-c", code], capture_output=True).returncode == 0:
            return python
    return None
