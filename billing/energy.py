"""What records of usage drew, as it was measured: put on them just before they are charged, when all figures are in."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from billing.models import UsageRecord
from billing.rating.energy import drawn
from federation.models import EnergyHour


def measure(records: Sequence[UsageRecord]) -> None:
    """Set `power_milliwatts` of records that are about to be charged, and write it. One query for many records."""
    hours = {r.start_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0) for r in records}
    measured = {
        (row.allocation_id, row.hour): (row.millijoules, row.milliseconds)
        for row in EnergyHour.objects.filter(
            allocation_id__in={r.allocation_id for r in records}, hour__in=hours, milliseconds__gt=0
        )
    }
    if not measured:
        return
    ran: dict[tuple[UUID, datetime], int] = {}
    for record in records:
        key = _key(record)
        ran[key] = ran.get(key, 0) + abs(record.seconds)
    changed = []
    for record in records:
        if record.reverses_id is None and (sums := measured.get(_key(record))) is not None:
            record.power_milliwatts = drawn(*sums, ran[_key(record)], record.held_milli * record.power_watts)
            changed.append(record)
    UsageRecord.objects.bulk_update(changed, ["power_milliwatts"], batch_size=1000)


def _key(record: UsageRecord) -> tuple[UUID, datetime]:
    return record.allocation_id, record.start_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
