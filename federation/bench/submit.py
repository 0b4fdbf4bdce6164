"""From a user's submit to a committed grant: at a steady rate, or for a batch that comes at once."""

import multiprocessing
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from django.db import connections

from federation.actions import arrays, workloads
from federation.bench.figures import BenchError, Clock, database, memory_mib, spread
from federation.drivers.base import DeviceSeen, NodeSeen
from federation.models import Allocation, Cluster, Pool, Site, Workload
from federation.placement import plan
from federation.reconcile import admission, grants, inventory
from federation.reconcile.queues import Queues
from federation.states import ClusterState
from portal.actions import quotas, tenants
from portal.audit import SYSTEM
from portal.models import Project, ResourceFlavor

HELP = "Time from submit to a committed grant, at a rate or for a batch."
_MODEL = "A100-80G"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--nodes", type=int, default=1213, help="nodes of eight devices (1213)")
    parser.add_argument("--rate", type=float, default=300, help="submits a second (300)")
    parser.add_argument("--seconds", type=float, default=10, help="for so long (10)")
    parser.add_argument("--batch", type=int, default=0, help="instead: so many at once")


def run(options: dict[str, Any]) -> dict[str, Any]:
    total = options["batch"] or int(options["rate"] * options["seconds"])
    if total > options["nodes"] * 8:
        raise BenchError(f"{total} pieces of work of one device each do not fit on {options['nodes']} nodes of eight.")
    plan.warm()
    with database():
        pool, project = _fill(options["nodes"])
        figures: dict[str, Any] = {
            "nodes": options["nodes"], "submits": total,
        }  # fmt: skip
        figures |= _batch(pool, project, total) if options["batch"] else _rated(pool, project, total, options["rate"])
        figures["grants"] = Allocation.objects.count()
        figures["granted_twice"] = figures["grants"] - Allocation.objects.values("workload").distinct().count()
        return figures | {"memory_peak_mib": memory_mib("VmHWM")}


def _fill(nodes: int) -> tuple[Pool, Project]:
    cluster = Cluster.objects.create(
        site=Site.objects.create(slug="bench", name="Bench"), slug="bench", name="Bench", kind="kubernetes",
        driver="fake", state=ClusterState.CONNECTED,
    )  # fmt: skip
    inventory.store(cluster, [_node(number) for number in range(nodes)])
    pool = Pool.objects.create(slug="bench", name="Bench")
    pool.clusters.set([cluster])
    tenant = tenants.create(by=SYSTEM, slug="bench", name="Bench")
    project = tenants.add_project(by=SYSTEM, tenant=tenant, slug="bench", name="Bench")
    flavor = ResourceFlavor.objects.get(accelerator_model__name=_MODEL)
    quotas.grant(by=SYSTEM, tenant=tenant, project=project, flavor=flavor, nominal_milli=nodes * 8000)
    return pool, project


def _node(number: int) -> NodeSeen:
    devices = tuple(DeviceSeen(i, f"GPU-{number}-{i}", "nvidia", _MODEL, 81920) for i in range(8))
    return NodeSeen(f"n{number:06d}", 128_000, 1_031_168, devices=devices)


def _submit(pool: Pool, project: Project, number: int) -> Workload:
    return workloads.submit(
        by=SYSTEM, project=project, pool=pool, name=f"w{number}", accelerators=1, cpu_milli=4000, memory_mib=16_384
    )


def _rated(pool: Pool, project: Project, total: int, rate: float) -> dict[str, Any]:
    """One process submits when each is due, this one looks at the queue as the planner does."""
    queues = Queues()
    queues.step(0.001)  # the first look reads the whole fleet; a planner that lives has done so
    connections.close_all()
    mine, its = multiprocessing.Pipe(duplex=False)
    submitter = multiprocessing.get_context("fork").Process(target=_submitter, args=(its, pool, project, total, rate))
    with _commits() as committed:
        submitter.start()
        its.close()
        began = time.perf_counter()
        due: dict[Any, tuple[float, float]] = {}
        while not due or len(committed) < len(due):
            queues.step(0.02)
            if not due and mine.poll():
                due = mine.recv()
        submitter.join()
    queues.end()
    seconds = time.perf_counter() - began
    return {
        "asked_per_s": rate, "done_per_s": round(total / seconds, 1),
        **spread("accepted", [accepted - at for at, accepted in due.values()]),
        **spread("granted", [committed[pk] - due[pk][0] for pk in committed]),
    }  # fmt: skip


def _submitter(answer: Connection, pool: Pool, project: Project, total: int, rate: float) -> None:
    """Tells, by id, when each was due and when it was accepted: on the clock that all processes share."""
    due = {}
    began = time.perf_counter() + 0.2
    for number in range(total):
        at = began + number / rate
        time.sleep(max(at - time.perf_counter(), 0.0))
        pk = _submit(pool, project, number).pk
        due[pk] = (at, time.perf_counter())
    answer.send(due)
    connections.close_all()


def _batch(pool: Pool, project: Project, total: int) -> dict[str, Any]:
    with Clock() as accepted:
        arrays.submit_many(
            by=SYSTEM, project=project, pool=pool, name="w", count=total, accelerators=1, cpu_milli=4000,
            memory_mib=16_384,
        )  # fmt: skip
    with Clock() as granted, _commits() as committed:
        while len(committed) < total:
            admission.run(str(pool.pk))
    return {
        "accepted_seconds": round(accepted.seconds, 2), "granted_seconds": round(granted.seconds, 2),
        "granted_per_s": round(total / granted.seconds, 1),
    }  # fmt: skip


@contextmanager
def _commits() -> Iterator[dict[Any, float]]:
    """When each workload's grant was durable."""
    found: dict[Any, float] = {}
    real = grants.commit_all

    def commit_all(planned: Any) -> Any:
        done = real(planned)
        now = time.perf_counter()
        found.update((pk, now) for pk in done)
        return done

    setattr(grants, "commit_all", commit_all)  # noqa: B010 - a name of a module is not to be assigned to
    try:
        yield found
    finally:
        setattr(grants, "commit_all", real)  # noqa: B010 - as above
