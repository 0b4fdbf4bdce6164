"""Credentials of clusters that are asked directly: kept, replaced, tried, sealed anew. None is ever shown again."""

from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from federation.connections import Connection
from federation.drivers.base import SiteInfo
from federation.models import Cluster, ClusterCredential, ClusterWatch
from federation.registry import CONNECTED, driver_to_try, opened, sealed
from federation.sealing import vault
from federation.states import ClusterState as C
from portal import audit, events, hints
from portal.audit import Actor
from portal.errors import Conflict, IllegalTransition
from portal.vault import CannotOpen


@transaction.atomic
def connect(*, by: Actor, cluster: Cluster, connection: Connection, is_same_cluster: bool = False) -> Cluster:
    """Where the cluster is and how to be let in, replaced as a whole: nothing of an earlier credential remains.

    A new server or authority could be another cluster, which would say that nothing of ours runs there, and the
    hardware would be given away. So while work holds hardware the caller says that it is the same one.
    """
    locked = Cluster.objects.select_for_update().get(pk=cluster.pk)
    if locked.driver not in CONNECTED:
        raise Conflict(f"This cluster is not asked directly: its driver is {locked.driver}.")
    if locked.state == C.RETIRED:
        raise IllegalTransition("Cannot connect this cluster: it is retired.")
    old = ClusterCredential.objects.filter(cluster=locked).first()
    if old and not is_same_cluster and _is_elsewhere(old, connection) and locked.allocations.holding().exists():
        raise Conflict(
            "Work holds hardware here, and the server or its authority is another one. "
            "If it is the same cluster, say so with is_same_cluster."
        )
    keep(by=by, cluster=locked, connection=connection)
    Cluster.objects.filter(pk=locked.pk).update(next_check_at=Now(), attempts=0, version=F("version") + 1)
    ClusterWatch.objects.break_off(locked.pk)
    events.publish("cluster", locked.pk)
    hints.soon("federation.tasks.reconcile_cluster", locked.pk)
    return locked


def keep(*, by: Actor, cluster: Cluster, connection: Connection) -> None:
    """Seal the connection for this cluster in the place of what was there. In a transaction."""
    _check_alone(cluster, connection)
    row = ClusterCredential.objects.filter(cluster=cluster).first() or ClusterCredential(cluster=cluster, version=0)
    row.version += 1
    row.server, row.tls_server_name = connection.server, connection.tls_server_name
    row.fingerprint, row.expires_at = connection.fingerprint, connection.expires_at
    row.machines = [asdict(machine) for machine in connection.machines]
    row.way, row.has_authority = connection.way, bool(connection.ca_pem)
    row.replaced_at = Now()
    row.sealed = sealed(row, connection.secrets)
    row.save()
    audit.record(
        by=by,
        what="cluster.connect",
        target=cluster,
        detail={
            "server": connection.server,
            "tls_server_name": connection.tls_server_name,
            "fingerprint": connection.fingerprint,
            "expires_at": connection.expires_at.isoformat() if connection.expires_at else None,
        },
    )


def _check_alone(cluster: Cluster, connection: Connection) -> None:
    """Of two clusters at one server each would take the other's work for left over, and remove it."""
    others = ClusterCredential.objects.exclude(cluster=cluster).select_related("cluster")
    other = others.filter(server=connection.server).first()
    if other is not None and not connection.machines:
        raise Conflict(f"{connection.server} is connected already, as {other.cluster}. Retire that cluster first.")
    for machine in connection.machines:
        for other in others.filter(machines__contains=[{"server": machine.server}]):
            systems = {one["system"] for one in other.machines if one["server"] == machine.server}
            if not machine.system or systems & {machine.system, ""}:
                raise Conflict(f"{machine.name} is connected already, in {other.cluster}. Retire that cluster first.")


def _is_elsewhere(old: ClusterCredential, new: Connection) -> bool:
    try:
        authority = opened(old).get("ca_pem", "")
    except CannotOpen:  # nobody can tell what was there
        return True
    there = (new.server, new.tls_server_name, new.ca_pem)
    # More machines are no other place; one that is gone, or by that name elsewhere, may hold work.
    kept = all(machine in [asdict(one) for one in new.machines] for machine in old.machines)
    return not kept or (old.server, old.tls_server_name, authority) != there


def forget(cluster: Cluster) -> None:
    """What nobody will use again is not kept."""
    ClusterCredential.objects.filter(cluster=cluster).delete()


def try_out(*, driver: str, connection: Connection, settings_: dict[str, Any]) -> SiteInfo:
    """Ask the site with what was typed now, and keep nothing. Raises Unavailable, Rejected, BadAddress."""
    if driver not in settings.FEDERATION_DRIVERS:
        raise Conflict(f"This installation has no driver {driver}.")
    return driver_to_try(driver, connection, settings_).check()


def seal_anew() -> tuple[int, list[str]]:
    """Seal under the first key what another one has sealed: how many, and names of clusters whose key is not here.

    Safe while everything runs: readers find either form, and both open as long as both keys are there.
    """
    current, done, lost = vault(), 0, []
    stale = [
        pk
        for pk, text in ClusterCredential.objects.order_by("pk").values_list("pk", "sealed")
        if not current.is_current(text)
    ]
    for pk in stale:
        with transaction.atomic():
            rows = ClusterCredential.objects.select_for_update(of=("self",)).select_related("cluster")
            row = rows.filter(pk=pk).first()
            if row is None or current.is_current(row.sealed):
                continue
            try:
                row.sealed = current.reseal(row.sealed, *row.place)
            except CannotOpen:
                lost.append(str(row.cluster))
                continue
            row.save(update_fields=["sealed"])
            done += 1
    return done, lost
