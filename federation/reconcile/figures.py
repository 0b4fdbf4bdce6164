"""Live figures of devices: the last value in a row each, and a compact frame to the browsers that watch."""

from collections.abc import Sequence
from uuid import UUID

from django.db import connection

from federation.drivers.base import UsageSample
from federation.models import Accelerator, Cluster
from federation.reconcile import energy
from portal import streams
from portal.leases import forgettable

_USE = ("cpu_milli", "memory_used_mib", "disk_read_kibps", "disk_write_kibps", "net_in_kibps", "net_out_kibps")


def store(cluster: Cluster, samples: Sequence[UsageSample]) -> None:
    """Overwrite the figures of a cluster's devices in one statement, and stream what was seen."""
    _note_use(cluster, samples)
    by_uuid = {sample.uuid: sample for sample in samples if sample.uuid}
    whole = {sample.ref: sample.power_watts for sample in samples if sample.ref and sample.power_watts is not None}
    if not by_uuid and not whole:
        return
    rows = [
        (pk, held, by_uuid[uuid])
        for pk, uuid, held in Accelerator.objects.filter(node__cluster=cluster, is_present=True).values_list(
            "pk", "uuid", "held_milli"
        )
        if uuid in by_uuid
    ]
    with forgettable(), connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO federation_figures
                 (accelerator_id, busy_percent, memory_used_mib, power_watts, temperature_celsius, at)
               SELECT * FROM unnest(%s::uuid[], %s::float8[], %s::int4[], %s::float8[], %s::float8[], %s::timestamptz[])
               ON CONFLICT (accelerator_id) DO UPDATE SET busy_percent = excluded.busy_percent,
                 memory_used_mib = excluded.memory_used_mib, power_watts = excluded.power_watts,
                 temperature_celsius = excluded.temperature_celsius, at = excluded.at
               WHERE federation_figures.at <= excluded.at""",
            [
                [pk for pk, _, _ in rows],
                [s.busy_percent for _, _, s in rows],
                [s.memory_used_mib for _, _, s in rows],
                [s.power_watts for _, _, s in rows],
                [s.temperature_celsius for _, _, s in rows],
                [s.at for _, _, s in rows],
            ],
        )
        cursor.execute("UPDATE federation_cluster SET figures_at = now() WHERE id = %s", [cluster.pk])
        energy.add(
            cursor, cluster, {pk: s.power_watts for pk, _, s in rows if s.power_watts is not None}, whole,
            at=max(sample.at for sample in samples),
        )  # fmt: skip
    _stream(cluster, rows)


def _note_use(cluster: Cluster, samples: Sequence[UsageSample]) -> None:
    """What running work uses, as its site says. That of agents comes with their reports."""
    used = [(s.ref, *(getattr(s, name) for name in _USE)) for s in samples if s.ref and _is_use(s)]
    if not used:
        return
    with forgettable(), connection.cursor() as cursor:
        cursor.execute(
            """UPDATE federation_allocation AS a
               SET used_cpu_milli = said.cpu, used_memory_mib = said.memory, used_disk_read_kibps = said.disk_read,
                 used_disk_write_kibps = said.disk_write, used_net_in_kibps = said.net_in,
                 used_net_out_kibps = said.net_out
               FROM unnest(%s::text[], %s::int4[], %s::int4[], %s::int4[], %s::int4[], %s::int4[], %s::int4[])
                 AS said (ref, cpu, memory, disk_read, disk_write, net_in, net_out)
               WHERE a.id = said.ref::uuid AND a.cluster_id = %s AND a.state = 'active'""",
            [*(list(column) for column in zip(*used, strict=True)), cluster.pk],
        )


def _is_use(sample: UsageSample) -> bool:
    """Our names are ids; and a site that only says what a whole server draws says nothing of this."""
    try:
        UUID(sample.ref)
    except ValueError:
        return False
    return any(getattr(sample, name) is not None for name in _USE)


def _stream(cluster: Cluster, rows: Sequence[tuple[UUID, int, UsageSample]]) -> None:
    """Whole numbers only: a frame for 500 devices is about 25 kB. Only the platform's people see all devices."""
    streams.send_figures(
        str(cluster.pk),
        rows[0][2].at.isoformat() if rows else "",
        [
            [str(pk), None if s.busy_percent is None else round(s.busy_percent), s.memory_used_mib, held]
            for pk, held, s in rows
        ],
    )
