"""Tenants, their departments and projects."""

from typing import Any

from django.db import transaction
from django.db.models import F

from portal import audit, events
from portal.audit import Actor
from portal.errors import ConcurrentUpdate, Invalid
from portal.models import Department, Project, Tenant
from portal.states import TenantState
from portal.transitions import move


@transaction.atomic
def create(*, by: Actor, slug: str, name: str, is_demo: bool = False) -> Tenant:
    tenant = Tenant.objects.create(slug=slug, name=name, is_demo=is_demo)
    audit.record(by=by, what="tenant.create", target=tenant)
    events.publish("tenant", tenant.pk, tenant.pk)
    return tenant


@transaction.atomic
def suspend(*, by: Actor, tenant: Tenant, reason: str = "SuspendedByStaff") -> Tenant:
    """Its people may no longer do or see anything; running work goes on until it is stopped."""
    move(tenant, TenantState.SUSPENDED, by=by, reason=reason)
    audit.record(by=by, what="tenant.suspend", target=tenant)
    return tenant


@transaction.atomic
def reinstate(*, by: Actor, tenant: Tenant) -> Tenant:
    move(tenant, TenantState.ACTIVE, by=by)
    audit.record(by=by, what="tenant.reinstate", target=tenant)
    return tenant


@transaction.atomic
def add_department(*, by: Actor, tenant: Tenant, slug: str, name: str) -> Department:
    department = Department.objects.create(tenant=tenant, slug=slug, name=name)
    audit.record(by=by, what="department.create", target=department)
    return department


@transaction.atomic
def add_project(*, by: Actor, tenant: Tenant, slug: str, name: str, department: Department | None = None) -> Project:
    if department is not None and department.tenant_id != tenant.pk:
        raise Invalid.field("department", "This department belongs to another tenant.")
    project = Project.objects.create(tenant=tenant, slug=slug, name=name, department=department)
    audit.record(by=by, what="project.create", target=project)
    events.publish("project", project.pk, tenant.pk)
    return project


@transaction.atomic
def rename(*, by: Actor, target: Any, name: str) -> Any:
    """Give a tenant, department or project another name."""
    old = target.name
    if (
        not type(target)
        .objects.filter(pk=target.pk, version=target.version)
        .update(name=name, version=F("version") + 1)
    ):
        raise ConcurrentUpdate()
    target.refresh_from_db()
    what = target._meta.model_name
    audit.record(by=by, what=f"{what}.rename", target=target, detail={"from": old, "to": name})
    events.publish(what, target.pk, target.pk if what == "tenant" else target.tenant_id)
    return target
