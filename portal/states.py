"""States of the portal's own rows. Data only; see federation/states.py for the pattern."""

from enum import StrEnum


class TenantState(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"


TENANT_ARROWS = {
    TenantState.ACTIVE: frozenset({TenantState.SUSPENDED}),  # platform staff: actions/tenants.py
    TenantState.SUSPENDED: frozenset({TenantState.ACTIVE}),  # platform staff
}
