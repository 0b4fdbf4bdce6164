"""The product's processes on one machine: which there are, with what command and environment."""

import json
import os
import secrets
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from portal.supervise.environment import LOCAL, ROOT
from portal.supervise.processes import Child

PROBE = LOCAL / "worker-probe"
PROBE_SECONDS = 180.0  # the longest task may take 75 s, and a few may be before the probe
AGENT_STATE = LOCAL / "agent"
_WEB_CONCURRENCY = 400  # requests and sockets at once; more get 503 at once instead of all becoming slow


@dataclass(frozen=True)
class Address:
    """Where the web server listens and how people on this machine call it."""

    host: str
    port: int

    @property
    def url(self) -> str:
        name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)  # noqa: S104 - compared, not bound
        return f"http://{f'[{name}]' if ':' in name and not name.startswith('[') else name}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether `url` stays on this machine for certain."""
        return self.host in {"localhost", "::1", "0.0.0.0", "::"} or self.host.startswith("127.")  # noqa: S104

    @property
    def allowed_hosts(self) -> str:
        """Loopback always; told to listen on more, also the names of this machine."""
        names = {"127.0.0.1", "localhost", "[::1]"}
        if self.host not in {"127.0.0.1", "localhost", "::1"}:
            names |= {socket.gethostname(), socket.getfqdn(), _outward_address()}
            names |= {self.host} - {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound
        return ",".join(sorted(names - {""}))


def environment(address: Address, database_url: str) -> dict[str, str]:
    return {
        **os.environ,
        "AQUIFER_MODE": "local",
        "AQUIFER_DATA_DIR": str(LOCAL),
        "AQUIFER_SECRET_KEY": secret_key(LOCAL / "secret-key"),
        "AQUIFER_ALLOWED_HOSTS": os.environ.get("AQUIFER_ALLOWED_HOSTS") or address.allowed_hosts,
        "AQUIFER_PUBLIC_URL": os.environ.get("AQUIFER_PUBLIC_URL") or address.url,
        "DATABASE_URL": database_url,
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "agent")]),
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore",
    }


def secret_key(file: Path) -> str:
    """One random key per installation, readable by its owner alone."""
    if value := os.environ.get("AQUIFER_SECRET_KEY", ""):
        return value
    try:
        with open(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="ascii") as fresh:
            fresh.write(secrets.token_urlsafe(48))
    except FileExistsError:
        file.chmod(0o600)
    return file.read_text(encoding="ascii").strip()


def console_build(env: dict[str, str]) -> Child:
    return _child("console", ["-m", "portal.supervise.console"], env, colour=90, stop_seconds=0.2, is_restarted=False)


def prepare(env: dict[str, str], answers: Path, *, has_demo: bool) -> Child:
    command = ["-m", "portal.supervise.prepare", str(answers), str(AGENT_STATE), *([] if has_demo else ["--no-demo"])]
    return _child("prepare", command, env, colour=90, stop_seconds=0.5, is_restarted=False)


def web(env: dict[str, str], address: Address) -> Child:
    command = ["-m", "uvicorn", "portal.asgi:application", "--host", address.host, "--port", str(address.port)]
    command += ["--limit-concurrency", str(_WEB_CONCURRENCY), "--timeout-graceful-shutdown", "1"]
    command += ["--log-level", "warning", "--no-access-log", "--no-server-header", "--ws-max-size", "65536"]
    return _child("web", command, {**env, "AQUIFER_PROCESS": "web"}, colour=36, stop_seconds=1.25)


def worker(env: dict[str, str]) -> Child:
    command = ["-m", "celery", "-A", "portal.celery", "--quiet", "worker", "-Q", "core,sites", "-c", "2"]
    command += ["--without-gossip", "--without-mingle", "--loglevel", "warning", "-n", "local@%h"]
    return _child("worker", command, {**env, "AQUIFER_PROCESS": "worker"}, colour=35, stop_seconds=2.5)


def beat(env: dict[str, str]) -> Child:
    command = ["-m", "celery", "-A", "portal.celery", "--quiet", "beat", "--loglevel", "warning"]
    command += ["--schedule", str(LOCAL / "beat-schedule"), "--pidfile", ""]
    return _child("beat", command, {**env, "AQUIFER_PROCESS": "beat"}, colour=34, stop_seconds=0.75)


def watcher(env: dict[str, str]) -> Child:
    """Follows the sites that tell of changes by themselves. Without any it sleeps."""
    command = [str(ROOT / "manage.py"), "watch_sites"]
    return _child("watcher", command, {**env, "AQUIFER_PROCESS": "watcher"}, colour=33, stop_seconds=1.0)


def planner(env: dict[str, str]) -> Child:
    """Places what waits in queues."""
    command = [str(ROOT / "manage.py"), "plan_queues"]
    return _child("planner", command, {**env, "AQUIFER_PROCESS": "planner"}, colour=31, stop_seconds=1.0)


def agent_enrolment(env: dict[str, str], address: Address, join_token: str) -> Child:
    """Joins this machine to the hub, once. The token goes by environment: the process list is public."""
    command = ["-m", "aquifer_agent", "enrol", "--hub", address.url, "--state-dir", str(AGENT_STATE)]
    command += ["--join-token-env", "AQUIFER_JOIN_TOKEN"] + ["--allow-http"] * (not address.is_loopback)
    kept = _without_hub_secrets(env) | {"AQUIFER_JOIN_TOKEN": join_token}
    return _child("enrol", command, kept, colour=32, stop_seconds=0.5, is_restarted=False)


def agent(env: dict[str, str]) -> Child:
    command = ["-m", "aquifer_agent", "run", "--state-dir", str(AGENT_STATE), "--on-exit", "stop"]
    if os.geteuid() == 0:
        command += ["--run-as", "nobody"]  # who tries Aquifer as root does not mean its work to be root
    return _child("agent", command, _without_hub_secrets(env), colour=32, stop_seconds=3.0)


def point_agent(address: Address) -> None:
    """Our own hub moves with `--port` and `--host`; its agent's identity stays the same."""
    file = AGENT_STATE / "identity.json"
    try:
        identity = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    moved = identity | {"hub": address.url, "allow_http": not address.is_loopback}
    if moved != identity:
        fresh = file.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(moved), encoding="utf-8")
        fresh.replace(file)


def _without_hub_secrets(env: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name not in _HUB_ONLY}


_HUB_ONLY = {
    "AQUIFER_SECRET_KEY", "AQUIFER_CREDENTIAL_KEYS", "AQUIFER_CREDENTIAL_KEYS_FILE", "DATABASE_URL", "REDIS_URL",
    "DJANGO_SETTINGS_MODULE", "AQUIFER_MODE",
}  # fmt: skip


def _child(
    name: str,
    arguments: list[str],
    env: dict[str, str],
    *,
    colour: int,
    stop_seconds: float,
    is_restarted: bool = True,
) -> Child:
    return Child(
        name=name,
        command=[sys.executable, *arguments],
        env=env,
        cwd=ROOT,
        colour=colour,
        stop_seconds=stop_seconds,
        is_restarted=is_restarted,
    )


def _outward_address() -> str:
    """The address this machine uses towards others; asks the routing table, sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect(("192.0.2.1", 9))
        except OSError:
            return ""
        return str(asked.getsockname()[0])
