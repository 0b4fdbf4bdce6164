"""Tenancy, people, quota, and the log of changes. Imported as `from portal.models import Tenant`."""

from portal.models.changes import AuditEntry, IdempotencyRecord, OutboxEvent, StateChange, StreamPosition
from portal.models.quotas import Quota, ResourceFlavor
from portal.models.tenants import Department, Project, Tenant
from portal.models.tokens import AccessToken, LoginFailures, OneTimeLogin
from portal.models.users import Membership, User

__all__ = [
    "AccessToken",
    "AuditEntry",
    "Department",
    "IdempotencyRecord",
    "LoginFailures",
    "Membership",
    "OneTimeLogin",
    "OutboxEvent",
    "Project",
    "Quota",
    "ResourceFlavor",
    "StateChange",
    "StreamPosition",
    "Tenant",
    "User",
]
