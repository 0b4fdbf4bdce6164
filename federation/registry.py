"""From a row to a driver: which class speaks to this cluster, and with what."""

from importlib import import_module

from django.conf import settings
from django.db import connection
from psycopg.conninfo import make_conninfo

from federation.drivers.base import DriverConfig, SiteDriver
from federation.mailbox import RowMailbox
from federation.models import Cluster


def driver_for(cluster: Cluster) -> SiteDriver:
    """The driver of one cluster, with its settings and secrets. Opens nothing."""
    module, _, name = settings.FEDERATION_DRIVERS[cluster.driver].partition(":")
    driver: SiteDriver = getattr(import_module(module), name)(
        DriverConfig(
            cluster_id=str(cluster.pk),
            kind=cluster.kind,
            epoch=cluster.epoch,
            settings={**cluster.settings, **_local(cluster)},
            port=RowMailbox(cluster) if cluster.driver == "agent" else None,
        )
    )
    return driver


def _local(cluster: Cluster) -> dict[str, str]:
    """A simulated site lives in a schema of its own of our database, reached by its own connection."""
    if cluster.driver != "fake":
        return {}
    parts = connection.settings_dict
    dsn = make_conninfo(
        dbname=parts["NAME"],
        user=parts["USER"] or None,
        password=parts["PASSWORD"] or None,
        host=parts["HOST"] or None,
        port=parts["PORT"] or None,
    )
    return {"dsn": dsn}
