"""`./run --doctor`: what this machine has and lacks, line by line; changes nothing."""

import importlib.util
import os
import shutil
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

from portal.supervise import environment
from portal.supervise.console import is_built
from portal.supervise.steps import paint, say

Finding = tuple[bool, str]


def look(host: str, port: int) -> int:
    """Print every finding; 0 when nothing stands in the way of a start."""
    is_fine = True
    for is_good, text in findings(host, port):
        is_fine = is_fine and is_good
        say(f"  {paint('ok', 32) if is_good else paint('!!', 31)} {text}")
    say("Nothing stands in the way." if is_fine else "Put right what is marked, then start with ./run.")
    return 0 if is_fine else 1


def findings(host: str, port: int) -> Iterator[Finding]:
    who = "root" if os.geteuid() == 0 else "an ordinary user"
    yield True, f"Python {sys.version.split()[0]} at {sys.executable}, as {who}"
    yield from _installer()
    yield from _folder()
    yield _port(host, port)
    yield from _network()
    yield (
        True,
        f"console {'built' if is_built() else 'not built yet: ./run builds it while everything else starts'}",
    )
    for name, address in (("DATABASE_URL", "the embedded Postgres"), ("REDIS_URL", "files as broker")):
        yield True, f"{name} is set and will be used" if os.environ.get(name) else f"{name} not set: {address}"
    if os.geteuid() == 0 and not os.environ.get("DATABASE_URL"):
        yield shutil.which("useradd") is not None, "root: Postgres will run as the system user pgserver"
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    yield True, f"browser for ./run test: {browser or 'none; root gets Chromium installed, others skip that part'}"


def _installer() -> Iterator[Finding]:
    if uv := shutil.which("uv"):
        yield True, f"uv at {uv}"
    elif importlib.util.find_spec("ensurepip") or importlib.util.find_spec("pip"):
        yield True, "Python's venv module is complete"
    elif os.geteuid() == 0 and shutil.which("apt-get"):
        yield True, f"Python's venv module is not complete: ./run will install {environment.venv_package()}"
    else:
        yield False, f"Python's venv module is not complete: sudo apt-get install -y {environment.venv_package()}"


def _folder() -> Iterator[Finding]:
    place = environment.LOCAL
    while not place.exists():
        place = place.parent
    yield os.access(place, os.W_OK), f"{environment.LOCAL} can be written"
    free = shutil.disk_usage(place).free // 2**20
    needed = environment.needed_mib()
    yield free >= needed, f"{free} MiB free there, {needed} needed"


def _port(host: str, port: int) -> Finding:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            return False, f"port {port} on {host}: {error.strerror}"
    return True, f"port {port} on {host} is free"


def _network() -> Iterator[Finding]:
    """Packages come from an index; with everything installed none is needed any more."""
    if environment.is_installed("run"):
        yield True, "packages are installed"
        return
    told = environment.mirrors(dict(os.environ))
    index = os.environ.get("PIP_INDEX_URL") or told.get("PIP_INDEX_URL") or "https://pypi.org/simple"
    url = f"{index.rstrip('/')}/uv/"
    shown = url.split("@")[-1]  # a mirror's address may carry a password
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - the index the user chose
            yield answer.status == 200, f"package index answers: {shown}"
    except (OSError, ValueError) as error:
        yield False, f"package index {shown} cannot be reached: {error}"
