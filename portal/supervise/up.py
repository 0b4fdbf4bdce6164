"""`manage.py up`: everything on this machine, from an empty folder to a page with a login, until Ctrl-C."""

import http.client
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from portal.supervise import console, lock, product
from portal.supervise.environment import LOCAL, LOGS
from portal.supervise.output import rotate
from portal.supervise.postgres import Postgres
from portal.supervise.processes import Child
from portal.supervise.product import Address
from portal.supervise.steps import Failed, Step, paint, say
from portal.supervise.supervisor import Probe, Stopped, Supervisor

LOCK = LOCAL / "run.lock"
DATABASE = "aquifer"


@dataclass(frozen=True)
class Options:
    address: Address
    has_demo: bool = True
    is_reset: bool = False


def up(options: Options) -> int:
    LOGS.mkdir(parents=True, exist_ok=True)
    held = lock.take(LOCK)
    lock.write(held, options.address.url)
    with Supervisor(LOGS) as supervisor:
        try:
            _start(supervisor, options)
            supervisor.run()
        except Stopped:
            say("\nStopping.")
    os.close(held)
    say("Stopped. Nothing is left running.")
    return 0


def _start(supervisor: Supervisor, options: Options) -> None:
    if options.is_reset:
        with Step("Erase"):
            _erase()
    has_console = console.is_built()
    url = os.environ.get("DATABASE_URL", "")
    if not url:
        with Step("Database"):
            url = start_postgres(supervisor, Postgres(LOCAL / "pg", LOGS / "postgres.log"))
    env = product.environment(options.address, url)
    console_build = product.console_build(env)
    if not has_console:
        supervisor.start(console_build)
    (LOCAL / "broker" / "queue").mkdir(parents=True, exist_ok=True)
    (LOCAL / "broker" / "control").mkdir(parents=True, exist_ok=True)
    product.AGENT_STATE.mkdir(mode=0o700, exist_ok=True)

    with tempfile.TemporaryDirectory(prefix="aquifer-") as private:
        answers = Answers(Path(private, "answers"))
        preparing = supervisor.start(product.prepare(env, answers.file, has_demo=options.has_demo))
        with Step("Tables"):
            _await(supervisor, preparing, lambda: answers.has("migrated"), 120)
        web = supervisor.start(product.web(env, options.address))
        with Step("Demo data" if options.has_demo else "First account"):
            _await(supervisor, preparing, lambda: answers.has("ready"), 300)
        join_token, login = answers.get("join"), answers.get("login")
    with Step("Web server"):
        _await(supervisor, web, lambda: answers_http(options.address), 60)
    with Step("Workers"):
        supervisor.start(product.worker(env))
        supervisor.start(product.beat(env))
        supervisor.start(product.watcher(env))
        supervisor.start(product.planner(env))
        product.PROBE.touch()
        supervisor.probes.append(Probe(product.PROBE, product.PROBE_SECONDS, ("worker", "beat")))
    with Step("This machine's agent"):
        _start_agent(supervisor, env, options.address, join_token)
    say()
    say(f"  {paint('Aquifer is ready:', 1)} {options.address.url}{login}")
    say("  The link logs you in once, as the administrator. Ctrl-C stops everything.")
    if not has_console:
        say("  The console is being built; the page says so until it is there.")
    say()
    supervisor.output.is_shown = True


def _start_agent(supervisor: Supervisor, env: dict[str, str], address: Address, join_token: str) -> None:
    """Everything else is up; without its agent this machine is just a site that cannot be reached."""
    product.point_agent(address)
    if join_token:
        enrolment = supervisor.start(product.agent_enrolment(env, address, join_token))
        supervisor.wait(lambda: not enrolment.is_running(), 20)
        supervisor.output.drain(enrolment)
    if any(product.AGENT_STATE.glob("identity.json")):
        supervisor.start(product.agent(env))
    else:
        supervisor.output.note(f"This machine could not join: {supervisor.output.tail('enrol', 1)}", 31)


def start_postgres(supervisor: Supervisor, postgres: Postgres, database: str = DATABASE) -> str:
    """An embedded server with an empty or earlier database of that name; its URL."""
    rotate(postgres.log)
    postgres.prepare()
    child = supervisor.start(postgres.child())
    _await(supervisor, child, postgres.is_ready, 60)
    postgres.create_database(database)
    return postgres.url(database)


class Answers:
    """What `prepare` has told so far."""

    def __init__(self, file: Path) -> None:
        self.file = file
        file.touch(mode=0o600)

    def _told(self) -> dict[str, str]:
        lines = self.file.read_text(encoding="utf-8").splitlines()
        return {name: value for name, _, value in (line.partition(" ") for line in lines)}

    def has(self, name: str) -> bool:
        return name in self._told()

    def get(self, name: str) -> str:
        return self._told().get(name, "")


def _await(supervisor: Supervisor, child: Child, until: Callable[[], bool], seconds: float) -> None:
    """Wait for a sign from a child that is starting; one that ends instead has said why in its log."""
    is_there = supervisor.wait(lambda: until() or not child.is_running(), seconds) and until()
    if not is_there:
        what = "does not start" if child.is_running() else "ended"
        last = supervisor.output.tail(child.name, 1) or "it said nothing"
        raise Failed(f"{child.name} {what}: {last}\n    All of it: {LOGS / f'{child.name}.log'}")


def answers_http(address: Address) -> bool:
    """Whether the web server answers at all."""
    host = address.url.removeprefix("http://").rsplit(":", 1)[0]
    connection = http.client.HTTPConnection(host.strip("[]"), address.port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()


def _erase() -> None:
    """The database, the broker's files and the agent's state; not the packages."""
    if not os.environ.get("DATABASE_URL"):
        Postgres(LOCAL / "pg", LOGS / "postgres.log").erase()
    for name in ("broker", "agent"):
        shutil.rmtree(LOCAL / name, ignore_errors=True)
    for name in ("beat-schedule", "worker-probe"):
        (LOCAL / name).unlink(missing_ok=True)
