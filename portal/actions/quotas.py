"""Flavors, and who may hold how much of them."""

from django.db import transaction
from django.db.models import F

from portal import audit, events
from portal.audit import Actor
from portal.errors import ConcurrentUpdate, Invalid
from portal.models import Project, Quota, ResourceFlavor, Tenant

CPU = "cpu"


def cpu_flavor() -> ResourceFlavor:
    """What work without accelerators is counted in: host cores."""
    flavor, _ = ResourceFlavor.objects.get_or_create(name=CPU, defaults={"unit": ResourceFlavor.Unit.CORE})
    return flavor


@transaction.atomic
def grant(
    *,
    by: Actor,
    tenant: Tenant,
    flavor: ResourceFlavor,
    nominal_milli: int,
    project: Project | None = None,
    borrowing_limit_milli: int = 0,
    lending_limit_milli: int | None = None,
    weight: int = 1,
) -> Quota:
    """Give a project (or a whole tenant) a share of a flavor."""
    if project is not None and project.tenant_id != tenant.pk:
        raise Invalid.field("project", "This project belongs to another tenant.")
    quota = Quota.objects.create(
        tenant=tenant,
        project=project,
        flavor=flavor,
        nominal_milli=nominal_milli,
        borrowing_limit_milli=borrowing_limit_milli,
        lending_limit_milli=lending_limit_milli,
        weight=weight,
    )
    quota.refresh_from_db()  # the database has counted what is held already
    audit.record(by=by, what="quota.grant", target=quota, detail={"nominal_milli": nominal_milli})
    events.publish("quota", quota.pk, tenant.pk)
    return quota


@transaction.atomic
def change(*, by: Actor, quota: Quota, **amounts: int | None) -> Quota:
    """Set amounts anew. Below what is held is allowed: nothing stops, and nothing more is granted."""
    if not Quota.objects.filter(pk=quota.pk, version=quota.version).update(version=F("version") + 1, **amounts):
        raise ConcurrentUpdate()
    quota.refresh_from_db()
    audit.record(by=by, what="quota.change", target=quota, detail=dict(amounts))
    events.publish("quota", quota.pk, quota.tenant_id)
    return quota
