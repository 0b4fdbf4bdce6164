"""The Python environment of a checkout: `.local/uv` (the installer) and `.local/venv` (the packages).

Standard library only. Everything installed is pinned with hashes in `requirements/*.lock`; a step whose
lock has not changed since is skipped.
"""

# ruff: noqa: S603 - every command here is our own

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from portal.supervise.steps import Failed, Step, tick

ROOT = Path(__file__).resolve().parents[2]
LOCAL = Path(os.environ.get("AQUIFER_DATA_DIR") or ROOT / ".local").absolute()
LOGS = LOCAL / "logs"
VENV = LOCAL / "venv"
PYTHON = VENV / "bin" / "python"
_UV_HOME = LOCAL / "uv"
_NEEDS_MIB = {"first": 1200, "again": 150}


def prepare(lock: str) -> None:
    """Have `.local/venv` hold exactly what `requirements/<lock>.lock` says, or more where it is a superset."""
    LOGS.mkdir(parents=True, exist_ok=True)
    _check_room()
    if is_installed(lock):
        return
    uv = installer()
    with Step("Packages"):
        # Without its stamp an environment was left half-made: packages in it may be there in part.
        if not (_is_of_this_python() and _stamp(VENV).exists()):
            _call([uv, "venv", "--quiet", "--clear", "--python", sys.executable, VENV], "making .local/venv")
        _stamp(VENV).unlink(missing_ok=True)
        sync(uv, PYTHON, lock)
    _stamp(VENV).write_text(f"{lock} {_hash(lock)}\n", encoding="utf-8")


def sync(uv: str, python: Path, lock: str) -> None:
    lock_file = ROOT / "requirements" / f"{lock}.lock"
    _call(
        [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", python, lock_file],
        f"installing requirements/{lock}.lock",
    )


def installer() -> str:
    """A uv to install with: the one on PATH, else our pinned one in .local/uv."""
    os.environ.update(mirrors(dict(os.environ)))
    if found := shutil.which("uv"):
        return found
    uv = _UV_HOME / "bin" / "uv"
    if _stamp(_UV_HOME).exists() and _stamp(_UV_HOME).read_text().split()[-1:] == [_hash("uv")]:
        return str(uv)
    python = _UV_HOME / "bin" / "python"
    has_ensurepip = importlib.util.find_spec("ensurepip") is not None or _install_venv_package()
    with Step("Installer"):
        if has_ensurepip:
            _call([sys.executable, "-m", "venv", "--clear", _UV_HOME], "making .local/uv")
            pip: list[str | Path] = [python, "-m", "pip"]
        elif importlib.util.find_spec("pip") is not None:  # Debian's python3-pip without python3-venv
            _call([sys.executable, "-m", "venv", "--clear", "--without-pip", _UV_HOME], "making .local/uv")
            pip = [sys.executable, "-m", "pip", "--python", python]
        else:
            raise Failed(
                "Python's venv module is not complete here. Type this once, then start again:\n"
                f"    {'' if os.geteuid() == 0 else 'sudo '}apt-get install -y {venv_package()}",
                code=2,
            )
        lock = ROOT / "requirements" / "uv.lock"
        quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
        _call([*pip, "install", *quiet, "--require-hashes", "-r", lock], "installing uv")
        _stamp(_UV_HOME).write_text(f"uv {_hash('uv')}\n", encoding="utf-8")
    return str(uv)


def mirrors(env: dict[str, str]) -> dict[str, str]:
    """pip and uv read different names for the same mirror and certificates; told one, we tell the other."""
    told: dict[str, str] = {"UV_PYTHON_DOWNLOADS": "never"}
    for one, other in (("PIP_INDEX_URL", "UV_DEFAULT_INDEX"), ("PIP_CERT", "SSL_CERT_FILE")):
        if env.get(one) and not env.get(other):
            told[other] = env[one]
        elif env.get(other) and not env.get(one):
            told[one] = env[other]
    if not os.access(Path(env.get("HOME") or "/"), os.W_OK) and not env.get("UV_CACHE_DIR"):
        told["UV_CACHE_DIR"] = str(LOCAL / "cache")
    return told


def venv_package() -> str:
    return f"python3.{sys.version_info.minor}-venv"


def _install_venv_package() -> bool:
    """Only root on Debian or Ubuntu can; True when ensurepip is there afterwards."""
    apt = shutil.which("apt-get")
    if os.geteuid() != 0 or apt is None:
        return False
    install = [apt, "install", "-y", "-qq", "--no-install-recommends", venv_package()]
    with Step(f"apt-get {venv_package()}"):
        for command in (install, [apt, "update", "-qq"], install):  # a fresh system has no package lists yet
            code, _ = _logged(command, DEBIAN_FRONTEND="noninteractive")
            if command is install and code == 0:
                break
    importlib.invalidate_caches()
    return importlib.util.find_spec("ensurepip") is not None


def _call(command: list[str | Path], doing: str) -> None:
    """Run one installer command; its words go to .local/logs/setup.log, the last of them to the user."""
    code, said = _logged([str(part) for part in command])
    if code == 0:
        return
    if "No space left on device" in said or "os error 28" in said:
        raise Failed(f"The disk is full: stopped while {doing}. Make room in {LOCAL} and start again.")
    last = " ".join(said.split())[-300:]
    raise Failed(f"Stopped while {doing}: {last or 'no message'}\n    All of it: {LOGS / 'setup.log'}")


def _logged(words: list[str], **env: str) -> tuple[int, str]:
    """Exit code and what was said, which also is in the log."""
    LOGS.mkdir(parents=True, exist_ok=True)
    with (LOGS / "setup.log").open("a+", encoding="utf-8", errors="replace") as log:
        log.write(f"$ {' '.join(words)}\n")
        log.flush()
        begin = log.tell()
        with subprocess.Popen(
            words, env={**os.environ, **env}, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        ) as process:
            while process.poll() is None:
                tick()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.1)
        log.seek(begin)
        return process.returncode, log.read()


def needed_mib() -> int:
    return _NEEDS_MIB["again" if PYTHON.exists() else "first"]


def _check_room() -> None:
    free, needed = shutil.disk_usage(LOCAL).free // 2**20, needed_mib()
    if free < needed:
        raise Failed(
            f"Only {free} MiB are free in {LOCAL}; Aquifer needs {needed} MiB there. Make room and start again."
        )
    if not os.access(LOCAL, os.W_OK):
        raise PermissionError(13, "not writable", str(LOCAL))


def _stamp(home: Path) -> Path:
    return home / ".aquifer-lock"


def _hash(lock: str) -> str:
    return hashlib.sha256((ROOT / "requirements" / f"{lock}.lock").read_bytes()).hexdigest()


def _is_of_this_python() -> bool:
    """False when there is none, or the system's Python has moved on since it was made."""
    here = VENV / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    return here.is_dir() and os.access(PYTHON, os.X_OK)


def is_installed(lock: str) -> bool:
    """What tests need includes what running needs, so a checkout made for tests also runs."""
    try:
        name, installed = _stamp(VENV).read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return False
    return _is_of_this_python() and name in {lock, "dev"} and installed == _hash(name)
