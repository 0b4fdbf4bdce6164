"""Many real agents on this machine at a real hub, which is killed under them: who comes back when, and with what."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.db import connection
from django.utils import timezone

from federation.actions import agents, sites, workloads
from federation.bench.figures import BenchError, Clock, database, percentile
from federation.models import Agent, Allocation, Cluster, Node, Pool
from federation.reconcile import admission, allocations, clusters
from federation.states import AllocationState as A
from federation.states import ClusterState
from portal.actions import quotas, tenants
from portal.audit import SYSTEM
from portal.models import ResourceFlavor

HELP = "Real agents at a hub that is killed under them: back after how long, nothing lost, nothing twice; their memory."
LONGEST_WAIT = 300.0


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--agents", type=int, default=100, help="processes, each a site of its own (100)")
    parser.add_argument("--down", type=float, default=20.0, help="seconds that the hub is away (20)")
    parser.add_argument("--starts-at-once", type=int, default=8, help="agents that are started together (8)")


def run(options: dict[str, Any]) -> dict[str, Any]:
    with database(), TemporaryDirectory(prefix="aquifer-bench-") as folder, _field(Path(folder), options) as field:
        return field.measure(options["down"])


@dataclass
class Field:
    """The hub, the agents, and the work that each of them has one piece of."""

    folder: Path
    count: int
    hub: "Hub"
    processes: list[subprocess.Popen[bytes]]
    pool: Pool

    def measure(self, down: float) -> dict[str, Any]:
        with Clock() as connecting:
            self.until(self.are_connected, "all agents to be connected")
        with Clock() as starting:
            self.submit(down)
            self.until(lambda: self.live(A.ACTIVE) == self.count, "all work to run")
        memory = [_memory_mib(process.pid) for process in self.processes]
        hub_memory = _memory_mib(self.hub.pid)
        self.hub.kill()
        time.sleep(down)
        self.hub.start()
        back = self._back()
        self.until(lambda: self.live(A.ACTIVE) <= self.count // 2, "the ends to be told")
        self.until(self.are_connected, "all sites to be connected again")
        starts = [file.read_text().split() for file in (self.folder / "marks").iterdir()]
        memory_after = [_memory_mib(process.pid) for process in self.processes]
        return {
            "agents": self.count, "cores": os.cpu_count(), "connected_seconds": round(connecting.seconds, 1),
            "work_started_seconds": round(starting.seconds, 1), "hub_away_seconds": down,
            "back_p50_seconds": round(percentile(back, 50), 1), "back_max_seconds": round(max(back), 1),
            "agents_lost": sum(process.poll() is not None for process in self.processes),
            "sites_fenced": Cluster.objects.filter(epoch__gt=1).count(),
            "work_lost": Allocation.objects.filter(state=A.LOST).count() + self.count - len(starts),
            "work_started_twice": sum(len(pids) > 1 for pids in starts),
            "work_placed_twice": Allocation.objects.count() - self.count,
            "agent_memory_mib": round(sum(memory) / self.count, 1), "agent_memory_max_mib": max(memory),
            "agent_memory_after_mib": round(sum(memory_after) / self.count, 1), "hub_memory_mib": hub_memory,
        }  # fmt: skip

    def submit(self, down: float) -> None:
        """A whole machine each. Half of it ends while the hub is away."""
        (self.folder / "marks").mkdir()
        tenant = tenants.create(by=SYSTEM, slug="bench", name="Bench")
        project = tenants.add_project(by=SYSTEM, tenant=tenant, slug="bench", name="Bench")
        flavor = ResourceFlavor.objects.get_or_create(name="cpu", unit="core")[0]
        cpu_milli = Node.objects.values_list("cpu_milli", flat=True)[0]
        quotas.grant(by=SYSTEM, tenant=tenant, project=project, flavor=flavor, nominal_milli=self.count * cpu_milli)
        for number in range(self.count):
            # The hub is killed when all of it runs; a file that appears then lets the first half end.
            last = f"until [ -e {self.folder}/ending ]; do sleep 1; done" if number % 2 else "exec sleep 86400"
            workloads.submit(
                by=SYSTEM, project=project, pool=self.pool, name=f"w{number}", cpu_milli=cpu_milli, memory_mib=64,
                command=["sh", "-c", f"echo $$ >> {self.folder}/marks/$AQUIFER_REF; {last}"],
            )  # fmt: skip
        admission.run(str(self.pool.pk))

    def _back(self) -> list[float]:
        """Seconds from the hub's first answer until each agent's first report."""
        began, at = timezone.now(), time.monotonic()
        found: dict[Any, float] = {}
        while len(found) < self.count:
            if time.monotonic() - at > LONGEST_WAIT:
                raise BenchError(f"{self.count - len(found)} agents did not come back in {LONGEST_WAIT:.0f} s.")
            for pk, reported in Agent.objects.filter(reported_at__gt=began).values_list("pk", "reported_at"):
                assert reported is not None
                found.setdefault(pk, (reported - began).total_seconds())
            time.sleep(0.1)
        return list(found.values())

    def are_connected(self) -> bool:
        return Cluster.objects.filter(state=ClusterState.CONNECTED).count() == self.count and (
            Node.objects.count() == self.count
        )

    def live(self, state: A) -> int:
        return Allocation.objects.filter(state=state).count()

    def until(self, is_so: Callable[[], bool], what: str) -> None:
        """Until it is so, with this process as the hub's worker."""
        deadline = time.monotonic() + LONGEST_WAIT
        while not is_so():
            if time.monotonic() > deadline:
                raise BenchError(f"Waited {LONGEST_WAIT:.0f} s in vain for {what}.")
            due = {"next_check_at__lte": timezone.now()}
            for pk in [*Allocation.objects.filter(**due).values_list("pk", flat=True)]:
                allocations.run(str(pk))
            for pk in [*Cluster.objects.filter(**due).values_list("pk", flat=True)]:
                clusters.run(str(pk))


class Hub:
    """The web process alone; whoever measures does the work of the others."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AQUIFER_", "PYTEST"))}
        self._env = kept | {
            "AQUIFER_MODE": "local", "AQUIFER_DATA_DIR": str(folder), "AQUIFER_PUBLIC_URL": self.url,
            "AQUIFER_PROCESS": "web", "DATABASE_URL": _database_url(), "DJANGO_SETTINGS_MODULE": "portal.settings",
            "PYTHONPATH": str(settings.BASE_DIR), "PYTHONWARNINGS": "ignore",
        }  # fmt: skip

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        words = ["-m", "uvicorn", "portal.asgi:application", "--port", str(self._port), "--log-level", "error"]
        with (self._folder / "hub.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, *words], env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 60
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise BenchError(f"The hub does not start: {(self._folder / 'hub.log').read_text()[-1000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """As a power cut would. What ends meanwhile may begin to."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            (self._folder / "ending").touch()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:  # noqa: S310 - our own, on loopback
                return bool(answer.status == 200)
        except OSError:
            return False


@contextmanager
def _field(folder: Path, options: dict[str, Any]) -> Iterator[Field]:
    count = options["agents"]
    hub = Hub(folder)
    processes: list[subprocess.Popen[bytes]] = []
    pool = Pool.objects.create(slug="bench", name="Bench")
    try:
        hub.start()
        site = sites.add(by=SYSTEM, slug="bench", name="Bench")
        for number in range(count):
            cluster = _enrol(folder, site, f"m{number:03d}", hub.url)
            pool.clusters.add(cluster)
            processes.append(_start_agent(folder / cluster.slug))
            if number % options["starts_at_once"] == options["starts_at_once"] - 1:
                _until_reported(len(processes))
        yield Field(folder, count, hub, processes, pool)
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)  # takes its work along
        for process in processes:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
        hub.kill()


def _enrol(folder: Path, site: Any, slug: str, url: str) -> Cluster:
    """As `aquifer-agent enrol` does, without a start of Python for each."""
    cluster = sites.add_cluster(by=SYSTEM, site=site, slug=slug, name=slug, kind="baremetal", driver="agent")
    _, join = sites.invite_agent(by=SYSTEM, cluster=cluster)
    _, own = agents.enrol(secret=join, machine_id=slug, hostname=slug, agent_version="0")
    (folder / slug).mkdir(mode=0o700)
    known = {"hub": url, "agent_token": own, "cluster_id": str(cluster.pk), "cluster": slug, "name": slug}
    (folder / slug / "identity.json").write_text(json.dumps(known))
    return cluster


def _start_agent(state_dir: Path) -> subprocess.Popen[bytes]:
    words = ["-m", "aquifer_agent", "run", "--state-dir", str(state_dir), "--on-exit", "stop", "--limits", "rlimit"]
    with (state_dir / "agent.log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(settings.BASE_DIR / "agent")},
        )  # fmt: skip


def _until_reported(count: int) -> None:
    deadline = time.monotonic() + LONGEST_WAIT
    while Agent.objects.exclude(reported_at=None).count() < count:
        if time.monotonic() > deadline:
            raise BenchError(f"Of {count} agents not all have reported in {LONGEST_WAIT:.0f} s.")
        time.sleep(0.1)


def _database_url() -> str:
    given = connection.settings_dict
    host, port = str(given.get("HOST") or ""), str(given.get("PORT") or "")
    secret = f":{quote(str(given['PASSWORD']), safe='')}" if given.get("PASSWORD") else ""
    address = f"{quote(str(given['USER']), safe='')}{secret}@"
    if host.startswith("/"):  # a socket
        return f"postgresql://{address}/{given['NAME']}?host={quote(host, safe='')}" + (f"&port={port}" if port else "")
    return f"postgresql://{address}{host}{':' + port if port else ''}/{given['NAME']}"


def _memory_mib(pid: int) -> float:
    """Proportional: what processes share is counted once."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0
