"""The books: every device's ledger replayed in commit order, every counter against the rows it counts."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now

from federation.models import Accelerator, Allocation, Cluster, LedgerEntry, Pool

Entry = tuple[Any, Any, int, int, int]  # device, allocation, generation, delta, held
WHOLE = 1000

_QUOTAS = """
SELECT 'quota ' || q.id || ' says it holds ' || q.held_milli || ', its allocations hold ' || sum_held
FROM portal_quota q CROSS JOIN LATERAL (
  SELECT coalesce(sum(a.held_milli), 0) AS sum_held FROM federation_allocation a
  WHERE a.tenant_id = q.tenant_id AND a.flavor_id = q.flavor_id AND a.state <> 'released'
    AND (q.project_id IS NULL OR a.project_id = q.project_id)) s
WHERE q.held_milli <> sum_held"""
_NODES = """
SELECT 'node ' || n.name || ' says it holds ' || n.held_cpu_milli || ' cpu and ' || n.held_memory_mib
  || ' MiB, its allocations hold ' || cpu || ' and ' || mib
FROM federation_node n CROSS JOIN LATERAL (
  SELECT coalesce(sum(a.cpu_milli), 0) AS cpu, coalesce(sum(a.memory_mib), 0) AS mib
  FROM federation_allocation a WHERE a.node_id = n.id AND a.state <> 'released') s
WHERE n.held_cpu_milli <> cpu OR n.held_memory_mib <> mib"""
_DEVICES = """
SELECT 'device ' || d.uuid || ' says it holds ' || d.held_milli || ' and ' || d.held_memory_mib
  || ' MiB for ' || d.held_shares || ', its ' || holders || ' shares hold ' || milli || ' and ' || mib
FROM federation_accelerator d CROSS JOIN LATERAL (
  SELECT coalesce(sum(s.milli), 0) AS milli, coalesce(sum(s.memory_mib), 0) AS mib, count(*) AS holders
  FROM federation_share s JOIN federation_allocation a ON a.id = s.allocation_id
  WHERE s.accelerator_id = d.id AND a.state <> 'released') s
WHERE d.held_milli <> milli OR d.held_memory_mib <> mib OR d.held_shares <> holders"""
_PARTS = """
SELECT 'card ' || d.uuid || ' says it is in ' || d.present_parts || ' parts, there are ' || parts
FROM federation_accelerator d CROSS JOIN LATERAL (
  SELECT count(*) AS parts FROM federation_accelerator p WHERE p.parent_id = d.id AND p.is_present) s
WHERE d.present_parts <> parts"""
# An allocation that is lost may still run; its successor may run elsewhere. Billing tells them apart (sites.py).
_TWO_ATTEMPTS = """
SELECT 'workload ' || workload_id || ' is live in attempts ' || string_agg(DISTINCT attempt::text, ' and ')
FROM federation_allocation WHERE state NOT IN ('released', 'lost')
GROUP BY workload_id HAVING count(DISTINCT attempt) > 1"""
_HALF_GANGS = """
SELECT 'workload ' || w.id || ' has ' || count(*) || ' of ' || w.replicas || ' members in attempt ' || a.attempt
FROM federation_allocation a JOIN federation_workload w ON w.id = a.workload_id
GROUP BY w.id, a.attempt
HAVING count(*) NOT BETWEEN coalesce(nullif(w.min_replicas, 0), w.replicas) AND w.replicas"""
_UNHELD = """
SELECT 'workload ' || w.id || ' is ' || w.state || ' with ' || live || ' live of ' || w.replicas || ' members'
FROM federation_workload w CROSS JOIN LATERAL (
  SELECT count(*) FILTER (WHERE a.state IN ('reserved', 'starting', 'active')) AS live,
         count(*) FILTER (WHERE a.exit_code IS NOT NULL OR a.state = 'lost') AS done,
         greatest(count(*), coalesce(nullif(w.min_replicas, 0), w.replicas)) AS granted
  FROM federation_allocation a WHERE a.workload_id = w.id AND a.attempt = w.attempt) s
WHERE (w.state IN ('admitted', 'running') AND live + done < granted)
   OR (w.state NOT IN ('admitted', 'running') AND live > 0)"""
_LOCKS = """
SELECT 'backend ' || pid || ' (' || application_name || ', ' || state || ') holds a ' || mode || ' on '
  || coalesce(relation::regclass::text, locktype)
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""


def problems() -> list[str]:
    """Everything that must hold after every commit, whatever is under way."""
    with one_snapshot():
        return held() + [line for query in (_TWO_ATTEMPTS, _HALF_GANGS, _UNHELD) for line in _lines(query)]


def held() -> list[str]:
    """What is held: the ledger replayed, and all sums."""
    with one_snapshot():
        return [*ledger(), *(line for query in (_QUOTAS, _NODES, _DEVICES, _PARTS) for line in _lines(query))]


@contextmanager
def one_snapshot() -> Iterator[None]:
    """All that is read is of one moment, so the books may be looked at while work goes on."""
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        if is_outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield


def left_over() -> list[str]:
    """What must be gone once all work has ended: grants, locks of the database, and leases that have not run out."""
    found = [f"{a.state} allocation {a.pk}: {a.reason}" for a in Allocation.objects.holding()]
    for model in (Allocation, Cluster, Pool):
        held = model.objects.exclude(lease_token=None).exclude(lease_expires_at__lt=Now())
        found += [f"{model.__name__} {row.pk} is leased until {row.lease_expires_at}" for row in held]
    return found + locks()


def locks() -> list[str]:
    """Locks that other connections hold on this database."""
    return _lines(_LOCKS)


def ledger() -> Iterator[str]:
    """Replay all devices, and compare where they end with what the rows say now."""
    entries = LedgerEntry.objects.order_by("accelerator_id", "generation").values_list(
        "accelerator_id", "allocation_id", "generation", "delta_milli", "held_milli"
    )
    last: dict[Any, tuple[int, int]] = {}
    held_by: dict[tuple[Any, Any], int] = {}
    yield from replay(entries.iterator(5000), last, held_by)
    for device, uuid, generation, milli in Accelerator.objects.values_list("pk", "uuid", "generation", "held_milli"):
        if last.get(device, (0, 0)) != (generation, milli):
            yield f"device {uuid} is at {(generation, milli)}, its ledger ends at {last.get(device)}"
    live = {
        (device, pk): milli
        for device, pk, milli in Allocation.objects.holding().values_list("shares__accelerator", "pk", "shares__milli")
        if device
    }
    remaining = {key: milli for key, milli in held_by.items() if milli}
    for device, allocation in live.keys() ^ remaining.keys():
        yield f"allocation {allocation} on device {device} is live or in the ledger, but not both"
    for key in live.keys() & remaining.keys():
        if live[key] != remaining[key]:
            yield f"allocation {key[1]} has {live[key]} of device {key[0]}, the ledger gave it {remaining[key]}"


def replay(
    entries: Iterable[Entry],
    last: dict[Any, tuple[int, int]] | None = None,
    held_by: dict[tuple[Any, Any], int] | None = None,
) -> Iterator[str]:
    """Entries by device and number. Fills in where each device ends and what each allocation is left with."""
    last = {} if last is None else last
    held_by = {} if held_by is None else held_by
    for device, rows in groupby(entries, key=itemgetter(0)):
        held, expected = 0, 1
        for _, allocation, generation, delta, now in rows:
            if generation != expected:
                yield f"device {device}: {generation} follows {expected - 1} in its ledger"
            if now != held + delta:
                yield f"device {device}#{generation}: {held} {delta:+d} became {now}"
            if not 0 <= now <= WHOLE:
                yield f"device {device}#{generation}: {now} of {WHOLE} was held"
            held, expected = now, generation + 1
            before = held_by.get((device, allocation), 0)
            held_by[device, allocation] = before + delta
            if (before > 0) == (delta > 0) or before + delta < 0:
                yield f"device {device}#{generation}: allocation {allocation} held {before} and got {delta:+d}"
        last[device] = (expected - 1, held)


def _lines(query: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return [row[0] for row in cursor.fetchall()]
