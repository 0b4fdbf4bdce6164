"""The hub's side of leased servers: the ledger that the Redfish driver keeps its leases in, as rows."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from uuid import uuid4

from django.db import Error, connection, transaction
from django.db.models import Max

from federation.drivers.base import Unavailable
from federation.drivers.redfish.ledger import FORGET_SECONDS, STEP_SECONDS, Lease, Picture, from_json, to_json
from federation.models import Cluster, Server, ServerLease


class RowLedger:
    """Implements federation.drivers.redfish.ledger.Ledger over Server and ServerLease.

    Seconds are by the database's clock, one for all workers.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def now(self) -> float:
        with _database(), connection.cursor() as cursor:
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
            return float(cursor.fetchone()[0])

    @contextmanager
    def turn(self) -> Iterator["_RowTurn"]:
        """One at a time for each cluster, and short: no controller is asked meanwhile."""
        with _database(), transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 2))", [str(self.cluster.pk)])
            yield _RowTurn(self.cluster, self.now())

    def look(self, refs: Sequence[str]) -> dict[str, Lease]:
        with _database():
            rows = ServerLease.objects.filter(cluster=self.cluster, ref__in=list(refs))
            return {row.ref: from_json(row.kept) for row in rows}

    def there(self) -> list[Lease]:
        with _database():
            return [from_json(row.kept) for row in ServerLease.objects.filter(cluster=self.cluster, gone_at=None)]

    def pictures(self) -> dict[str, Picture]:
        with _database():
            rows = Server.objects.filter(cluster=self.cluster).exclude(seen=None)
            return {row.name: Picture(row.seen_at or 0.0, row.seen or {}) for row in rows}

    def keep_pictures(self, pictures: Mapping[str, Picture]) -> None:
        with _database():
            Server.objects.bulk_create(
                [
                    Server(cluster=self.cluster, name=name, seen=dict(picture.seen), seen_at=picture.at)
                    for name, picture in sorted(pictures.items())
                ],
                update_conflicts=True,
                unique_fields=["cluster", "name"],
                update_fields=["seen", "seen_at"],
            )


class _RowTurn:
    def __init__(self, cluster: Cluster, now: float) -> None:
        self._cluster = cluster
        self._leases = ServerLease.objects.filter(cluster=cluster)
        self._now = now
        # The hub's own count goes before any lease: it has raised it the moment it gives up on a site.
        hub = Cluster.objects.filter(pk=cluster.pk).values_list("epoch", flat=True).first() or 0
        self.epoch = max(hub, self._leases.aggregate(most=Max("epoch"))["most"] or 0)

    def get(self, ref: str) -> Lease | None:
        row = self._leases.filter(ref=ref).first()
        return from_json(row.kept) if row is not None else None

    def holder(self, machine: str) -> Lease | None:
        row = self._leases.filter(server=machine, gone_at=None).first()
        return from_json(row.kept) if row is not None else None

    def put(self, lease: Lease) -> None:
        values = {"server": lease.machine, "epoch": lease.epoch, "kept": to_json(lease), "gone_at": lease.gone_at}
        ServerLease.objects.update_or_create(cluster=self._cluster, ref=lease.ref, defaults=values)
        if not lease.is_there:
            self._leases.filter(gone_at__lt=self._now - FORGET_SECONDS).delete()

    def raise_epoch(self, epoch: int) -> None:
        """By the leases that carry it, and by the hub's own count."""
        self.epoch = max(self.epoch, epoch)

    def begin_step(self, machine: str) -> str:
        row, _ = Server.objects.get_or_create(cluster=self._cluster, name=machine)
        if row.step_until > self._now:
            return ""
        token = uuid4().hex
        Server.objects.filter(pk=row.pk).update(step_token=token, step_until=self._now + STEP_SECONDS)
        return token

    def has_step(self, machine: str, token: str) -> bool:
        return Server.objects.filter(cluster=self._cluster, name=machine, step_token=token).exists()

    def end_step(self, machine: str, token: str) -> None:
        mine = Server.objects.filter(cluster=self._cluster, name=machine, step_token=token)
        mine.update(step_token="", step_until=0.0)

    def ask_off(self, machine: str) -> float:
        row, _ = Server.objects.get_or_create(cluster=self._cluster, name=machine)
        if row.off_asked_at is None:
            Server.objects.filter(pk=row.pk).update(off_asked_at=self._now)
            return 0.0
        return self._now - row.off_asked_at

    def forget_off(self, machine: str) -> None:
        Server.objects.filter(cluster=self._cluster, name=machine).update(off_asked_at=None)


@contextmanager
def _database() -> Iterator[None]:
    try:
        yield
    except Error as error:
        raise Unavailable(f"The ledger of leases failed: {type(error).__name__}.") from error
