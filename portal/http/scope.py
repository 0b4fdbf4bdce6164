"""What a request body names, if the caller may know of it; 404 otherwise, as for what does not exist."""

from typing import Any

from portal.errors import NotFound
from portal.models import Project, Tenant
from portal.permissions import scope_of


def tenant_here(user: Any, tenant_id: Any, permission: str = "tenant.view") -> Tenant:
    """The tenant a body names, if the caller may know of it; 404 otherwise."""
    found: Tenant | None = Tenant.objects.in_scope(scope_of(user, permission)).filter(pk=tenant_id).first()
    if found is None:
        raise NotFound("There is no such tenant.")
    return found


def project_here(user: Any, project_id: Any) -> Project:
    found: Project | None = (
        Project.objects.in_scope(scope_of(user, "project.view")).select_related("tenant").filter(pk=project_id).first()
    )
    if found is None:
        raise NotFound("There is no such project.")
    return found
