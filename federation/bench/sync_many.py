"""Simulated clusters, fed into the same code as real ones: a whole list, the same again, and a stream of changes.

No server and no driver takes part: what is measured is everything from a list of NodeSeen to committed rows.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from federation.bench.figures import Clock, copy_seconds, memory_mib, spread
from federation.drivers.abilities import SiteChanges
from federation.drivers.base import DeviceSeen, NodeSeen
from federation.models import Accelerator, Cluster, ClusterKind, ClusterWatch, Node, Site
from federation.reconcile import inventory, watches
from federation.states import ClusterState

_MODELS = (("nvidia", "A100-80G", 81_920), ("ascend", "910B", 65_536), ("amd", "MI300X", 196_608))
_TICK = 0.1  # changes of a cluster are told in pieces of so many seconds, as a follower would gather them


def run(options: dict[str, Any]) -> dict[str, Any]:
    nodes, devices, mode = options["nodes"], options["devices"], options["mode"]
    clusters = _clusters(options["clusters"])
    figures: dict[str, Any] = {
        "clusters": len(clusters), "nodes": nodes * len(clusters), "devices": nodes * devices * len(clusters),
    }  # fmt: skip
    figures |= _pass("first", clusters, nodes, devices, round_=0)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # as autovacuum does within a minute; what follows begins sooner
    figures["copy_seconds"] = round(copy_seconds(figures["nodes"] + figures["devices"]), 2)
    if mode in ("noop", "all"):
        # The first that finds all as it is notes that; what follows need not compare.
        figures |= _pass("noop_compared", clusters, nodes, devices, round_=0)
        figures |= _pass("noop", clusters, nodes, devices, round_=0)
    if mode in ("full", "all"):
        figures |= _pass("full", clusters, nodes, devices, round_=1)
    if mode in ("delta", "all"):
        figures |= _delta(clusters, options)
    counted = {"rows_nodes": Node.objects.count(), "rows_devices": Accelerator.objects.count()}
    return {**figures, **counted, "memory_peak_mib": memory_mib("VmHWM")}


def _clusters(count: int) -> list[Cluster]:
    site = Site.objects.create(slug="bench", name="Bench")
    return [
        Cluster.objects.create(
            site=site, slug=f"bench-{i}", name=f"Bench {i}", kind=ClusterKind.KUBERNETES, driver="fake",
            state=ClusterState.CONNECTED,
        )
        for i in range(count)
    ]  # fmt: skip


def _node(cluster: int, number: int, devices: int, round_: int) -> NodeSeen:
    """In another round every node and every device of it differs a little, by what others hold there."""
    vendor, model, memory = _MODELS[number % len(_MODELS)]
    name = f"c{cluster:03d}-n{number:05d}"
    return NodeSeen(
        name=name, cpu_milli=128_000, memory_mib=1_031_168, rack=f"rack-{number // 32}",
        labels={"topology.kubernetes.io/zone": f"zone-{number % 4}", "kubernetes.io/hostname": name},
        foreign_cpu_milli=100 * (round_ % 1000),  # of what can be: more is not believed
        devices=tuple(
            DeviceSeen(
                index=i, uuid=f"GPU-{name}-{i}", vendor=vendor, model=model, memory_mib=memory,
                foreign_milli=500 * (round_ % 2), resource=f"{vendor}.com/gpu",
            )
            for i in range(devices)
        ),
    )  # fmt: skip


def _pass(name: str, clusters: list[Cluster], nodes: int, devices: int, round_: int) -> dict[str, Any]:
    """Each cluster's whole list, one after the other, as one worker does it. Making the lists is not counted."""
    wall = cpu = database = 0.0
    changed = 0
    for number, cluster in enumerate(clusters):
        shown = [_node(number, i, devices, round_) for i in range(nodes)]
        cluster.refresh_from_db()
        with Clock() as clock, _in_database() as waited:
            seen, _ = inventory.believable(shown)
            changed += inventory.store(cluster, seen)
        wall, cpu, database = wall + clock.seconds, cpu + clock.cpu, database + waited[0]
    return {
        f"{name}_seconds": round(wall, 2), f"{name}_python_cpu_seconds": round(cpu, 2),
        f"{name}_sql_percent": round(100 * database / wall, 1), f"{name}_changed_clusters": changed,
    }  # fmt: skip


@contextmanager
def _in_database() -> Iterator[list[float]]:
    """Seconds spent in statements: waiting for the server, and turning values into SQL and back in the client."""
    waited = [0.0]

    def measure(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        began = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            waited[0] += time.perf_counter() - began

    with connection.execute_wrapper(measure):
        yield waited


def _delta(clusters: list[Cluster], options: dict[str, Any]) -> dict[str, Any]:
    """Changes at a steady rate over all clusters; one applier goes round those that have some, as followers do in
    one process. From the moment that a change is due to the commit that makes it visible."""
    rate, devices, nodes = options["rate"], options["devices"], options["nodes"]
    total = int(rate * options["seconds"])
    tokens = [token for cluster in clusters if (token := ClusterWatch.objects.take(cluster.pk))]
    took: list[float] = []
    began = renewed = time.perf_counter()
    told = 0
    pending: dict[int, list[tuple[float, int]]] = {}
    while told < total or pending:
        now = time.perf_counter()
        while told < total and began + told / rate <= now:
            pending.setdefault(told % len(clusters), []).append((began + told / rate, told))
            told += 1
        if now - renewed > 5:
            renewed = now
            for cluster, token in zip(clusters, tokens, strict=True):
                ClusterWatch.objects.renew(cluster.pk, token, is_whole=True)
        if not pending:
            time.sleep(0.001)
            continue
        # The cluster that has waited longest, with all it has by now.
        number = min(pending, key=lambda one: pending[one][0][0])
        if now - pending[number][0][0] < _TICK and told < total:
            time.sleep(0.001)
            continue
        changes = pending.pop(number)
        due = {(k // len(clusters)) % nodes: k for _, k in changes}
        seen = [_node(number, node, devices, 2 + k) for node, k in due.items()]
        watches.apply(clusters[number].pk, tokens[number], SiteChanges(seen))
        done = time.perf_counter()
        took += [done - at for at, _ in changes]
    wall = time.perf_counter() - began
    return {"delta_per_second": round(total / wall), "delta_asked_per_second": rate, **spread("delta", took)}
