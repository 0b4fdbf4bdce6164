"""Exports from a ledger of so many charges: a month is closed, and its charges are there as often as it takes."""

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone

from billing.actions import exporting
from billing.bench import close
from billing.exports.ledger.query import Whole
from billing.exports.ledger.snapshots import newest_seq
from billing.exports.targets.folder import Folder
from billing.models import Charge
from billing.periods import month_of
from billing.policy import policy
from federation.bench.figures import Clock, database, memory_mib

_TENANTS, _EVENTS, _SKUS = 50, 20_000, 20
# Past the triggers, which prove each row against its transaction: what is timed is reading, and the copies have all
# that reading looks at.
_COPY = """
WITH copied AS (
  INSERT INTO billing_charge ({columns})
  SELECT {values} FROM billing_charge c, generate_series(%(from)s::int, %(until)s::int) AS k
  WHERE c.id = ANY(%(ids)s)
  RETURNING id, tenant_id
)
INSERT INTO billing_invoicedcharge (charge_id, invoice_id, sign)
SELECT copied.id, i.id, 1 FROM copied JOIN billing_invoice i ON i.tenant_id = copied.tenant_id
"""


def run(options: dict[str, Any]) -> dict[str, Any]:
    rows, what = options["rows"], f"focus-{options['focus']}"
    folder = Path(tempfile.mkdtemp(prefix="aquifer-bench-", dir=options["folder"]))
    try:
        with database():
            rules = policy()
            period = month_of(month_of(timezone.now(), rules.zone).start - timedelta(days=1), rules.zone)
            with Clock() as filling:
                close.fill(_TENANTS, _EVENTS, _SKUS, period, rules)
                close.close_month(period, rules)
                _multiply(rows)
            whole = Whole(period.start, period.end, newest_seq())
            before = memory_mib()
            with Clock() as clock:
                files = exporting.written(
                    what, options["format"], whole, Folder(folder), policy=rules, note=lambda name, done: None
                )
            done = sum(file["rows"] for file in files)
            return {
                "rows": done,
                "format": options["format"],
                "what": what,
                "files": len(files),
                "megabytes": round(sum(file["bytes"] for file in files) / 1e6, 1),
                "fill_s": round(filling.seconds, 2),
                "seconds": round(clock.seconds, 2),
                "cpu_seconds": round(clock.cpu, 2),
                "rows_per_second": round(done / clock.seconds),
                "rss_before_mib": before,
                "rss_peak_mib": memory_mib("VmHWM"),
            }
    finally:
        shutil.rmtree(folder)


def _multiply(rows: int) -> None:
    """Copies of the usage there is, until there are so many charges."""
    ids: list[UUID] = list(Charge.objects.filter(category="usage").values_list("pk", flat=True))
    times = max(0, -(-(rows - Charge.objects.count()) // len(ids)))
    names = [str(field.column) for field in Charge._meta.concrete_fields]
    anew = {"id": "md5(c.id::text || k)::uuid", "position": "c.position + 1000000 * k"}
    values = [anew.get(name, f'c."{name}"') for name in names]
    sql = _COPY.format(columns=", ".join(f'"{n}"' for n in names), values=", ".join(values))
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        for first in range(1, times + 1, 10):
            cursor.execute(sql, {"ids": ids, "from": first, "until": min(first + 9, times)})
        cursor.execute("SET session_replication_role = origin")
        cursor.execute("ANALYZE billing_charge, billing_invoicedcharge")
