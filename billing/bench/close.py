"""How long the end of a month takes: from usage that is metered to issued invoices, a settlement and an archive.

    manage.py bench close --tenants 5000 --events 1000000 --json

Usage is made up by the database itself, an even share for each tenant, and none of it is charged before: a month that
was charged hour by hour has only its last hour left. The rest is what a worker does who is asked to close a month, with
all locks and triggers of the ledger.
"""

from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection
from django.utils import timezone

from billing.actions import books, closing, ledger, months, prices
from billing.models import Charge, Invoice, Month, PriceBook
from billing.periods import Period, month_of
from billing.policy import Policy, policy
from billing.rating import total_of
from billing.states import MonthState
from federation.bench.figures import BenchError, Clock, database, memory_mib
from portal.audit import SYSTEM
from portal.models import Project, ResourceFlavor, Tenant

HELP = "close a month: charge, issue, settle and archive"
_PROJECTS, _SITES, _PRICE_EDGES = 3, 4, 3

# Each tenant has as many as the next: up to an hour of a share of a card, or of eight. Of one run there are 24.
_USAGE = """
INSERT INTO billing_usagerecord (
    id, created_at, metered_at, allocation_id, workload_id, workload, workload_kind, "user", tenant_id, tenant,
    project_id, project, flavor_id, flavor, unit, site, cluster, node, pool, model, slicing_mode, service_class,
    cpu_milli, memory_mib, device_memory_mib, power_watts, start_at, end_at, revision, seconds, held_milli,
    milli_seconds, quantity, proof_at, event_ids, version)
SELECT gen_random_uuid(), now(), now(), md5('run' || i / (24 * %(tenants)s) || t.id)::uuid,
    md5('work' || i / (24 * %(tenants)s) || t.id)::uuid, 'train', 'job', 'user-' || i %% 11, t.id, t.name,
    p.id, p.name, f.id, f.name, 'device', 'site-' || i %% %(sites)s, 'main', 'node', 'pool', f.name, 'exclusive',
    'guaranteed', 0, 0, 0, 0, s.at, s.at + make_interval(secs => s.seconds), 0, s.seconds, s.held,
    s.seconds * s.held, round(s.seconds * s.held / 3600000.0, 9), s.at, '{}', 0
FROM generate_series(0, %(events)s - 1) AS one(i)
CROSS JOIN LATERAL (
    SELECT %(start)s::timestamptz + make_interval(hours => (i / %(tenants)s * 37 %% %(hours)s)::int) AS at,
        (600 + i::bigint * 7919 %% 3001)::int AS seconds,
        (ARRAY[125, 250, 500, 1000, 2000, 8000])[1 + i %% 6]::bigint AS held
) s
JOIN bench_tenants t ON t.n = i %% %(tenants)s
JOIN bench_projects p ON p.tenant_id = t.id AND p.n = i / %(tenants)s %% %(projects)s
JOIN bench_flavors f ON f.n = i / 7 %% %(flavors)s
"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--tenants", type=int, default=200)
    parser.add_argument("--events", type=int, default=40_000, help="usage records of the month")
    parser.add_argument("--skus", type=int, default=20, help="flavors, each at four prices one after the other")


def run(options: dict[str, Any]) -> dict[str, Any]:
    tenants, events, skus = (int(options[name]) for name in ("tenants", "events", "skus"))
    if min(tenants, events, skus) < 1:
        raise BenchError("There has to be one of each at least.")
    with database():
        rules = policy()
        last_month = month_of(month_of(timezone.now(), rules.zone).start - timedelta(days=1), rules.zone)
        with Clock() as filling:
            made = fill(tenants, events, skus, last_month, rules)
        queries = [0]
        with Clock() as clock, _counted(queries):
            month, phases = close_month(last_month, rules)
        memory = memory_mib("VmHWM")
        with Clock() as proving:
            broken = list(ledger.verify())
        ours = Charge.objects.filter(tenant_id__in=made)
        asked = Invoice.objects.filter(tenant_id__in=made, state="issued")
        issued, worth = asked.count(), total_of(asked.values_list("total", flat=True))
        if broken or worth != total_of(ours.values_list("billed_cost", flat=True).iterator()):
            raise BenchError(
                f"What is asked for is not what is in the ledger, or the ledger is not whole: {broken[:3]}"
            )
        return {
            "tenants": tenants,
            "events": events,
            "skus": skus,
            "charges": ours.count(),
            "invoices": issued,
            "total": str(worth),
            "fill_s": round(filling.seconds, 2),
            "close_s": round(clock.seconds, 2),
            "close_cpu_s": round(clock.cpu, 2),
            **{f"{state}_s": round(seconds, 2) for state, seconds in phases.items()},
            "events_per_s": round(events / clock.seconds),
            "invoices_per_s": round(issued / clock.seconds, 1),
            "archive_mib": round(month.archive_bytes / 1024**2, 1),
            "queries": queries[0],
            "queries_per_tenant": round(queries[0] / tenants, 1),
            "verify_s": round(proving.seconds, 2),
            "rss_peak_mib": memory,
        }


def close_month(period: Period, rules: Policy) -> tuple[Month, dict[str, float]]:
    """The closed month, and how many seconds each of its states took."""
    month = months.close(by=SYSTEM, period=period, policy=rules)
    phases: dict[str, float] = defaultdict(float)
    is_more = True
    while is_more:
        state = month.state
        with Clock() as clock:
            is_more = closing.step(month_id=month.pk, policy=rules)
        phases[state] += clock.seconds
        month.refresh_from_db()
    if month.state != MonthState.CLOSED:
        raise BenchError(f"The month is {month.state}: {month.message}")
    return month, phases


@contextmanager
def _counted(queries: list[int]) -> Iterator[None]:
    def count(execute: Any, *rest: Any) -> Any:
        queries[0] += 1
        return execute(*rest)

    with connection.execute_wrapper(count):
        yield


def fill(tenants: int, events: int, skus: int, period: Period, rules: Policy) -> list[Any]:
    made = Tenant.objects.bulk_create(Tenant(slug=f"bench-{n}", name=f"Institute {n}") for n in range(tenants))
    projects = Project.objects.bulk_create(
        Project(tenant=tenant, slug=f"p{n}", name=f"Project {n}") for tenant in made for n in range(_PROJECTS)
    )
    flavors = [
        ResourceFlavor.objects.create(name=f"bench-{n}", vendor="nvidia", model=f"bench-{n}") for n in range(skus)
    ]
    length = period.end - period.start
    for n, flavor in enumerate(flavors):
        for place in range(_PRICE_EDGES + 1):
            prices.set_price(
                by=SYSTEM, flavor=flavor, unit_price=Decimal(3_000_001 + n * 70_007 + place * 11).scaleb(-6),
                currency=rules.currency, valid_from=_edge(period.start, length, n, place),
                valid_to=_edge(period.start, length, n, place + 1) if place < _PRICE_EDGES else None,
            )  # fmt: skip
    book = PriceBook.objects.get(currency=rules.currency, is_default=True)
    books.set_tax(by=SYSTEM, book=book, name="VAT", rate=Decimal("0.06"), valid_from=period.start)
    with connection.cursor() as cursor:
        some: tuple[tuple[str, Sequence[Any]], ...] = (("tenants", made), ("projects", projects), ("flavors", flavors))
        for name, rows in some:
            cursor.execute(f"CREATE TEMP TABLE bench_{name} (n bigint, id uuid, tenant_id uuid, name text)")
            with cursor.copy(f"COPY bench_{name} FROM STDIN") as copy:
                for n, row in enumerate(rows):
                    number = n % _PROJECTS if name == "projects" else n
                    copy.write_row((number, row.pk, getattr(row, "tenant_id", None), row.name))
        cursor.execute(
            _USAGE,
            {
                "events": events, "tenants": tenants, "flavors": skus, "sites": _SITES, "projects": _PROJECTS,
                "start": period.start, "hours": int(length / timedelta(hours=1)),
            },
        )  # fmt: skip
        cursor.execute("DROP TABLE bench_tenants, bench_projects, bench_flavors")
        # Of tables that are empty nothing is to be known: plans that are kept would be made for empty ones.
        cursor.execute("ANALYZE billing_usagerecord, billing_priceversion, portal_tenant, portal_project")
    return [tenant.pk for tenant in made]


def _edge(start: datetime, length: timedelta, flavor: int, place: int) -> datetime:
    """The first price begins with the month, the others at odd seconds within it."""
    return start + (length * place / (_PRICE_EDGES + 1)) + timedelta(seconds=place * (flavor * 131 + 17))
