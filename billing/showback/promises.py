"""What each tenant was promised of each flavor, as it is now."""

from collections.abc import Iterable
from uuid import UUID

from portal.models import Quota


def promised(flavors: Iterable[UUID]) -> dict[tuple[UUID, UUID], int]:
    """By flavor and tenant, in 1/1000: the tenant's own quota; where it has none, those of its projects together."""
    rows = Quota.objects.filter(flavor_id__in=set(flavors), nominal_milli__gt=0)
    own: dict[tuple[UUID, UUID], int] = {}
    parts: dict[tuple[UUID, UUID], int] = {}
    for flavor, tenant, project, milli in rows.values_list("flavor_id", "tenant_id", "project_id", "nominal_milli"):
        key = (flavor, tenant)
        if project is None:
            own[key] = milli
        else:
            parts[key] = parts.get(key, 0) + milli
    return {**parts, **own}
