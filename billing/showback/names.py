"""What tenants are called."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import Max

from billing.models import UsageRecord
from portal.models import Tenant


def names_of(tenants: Iterable[UUID]) -> dict[UUID, str]:
    """As they are called now; who is gone, as usage remembers them."""
    ids = set(tenants)
    names: dict[UUID, str] = dict(Tenant.objects.filter(pk__in=ids).values_list("pk", "name"))
    missing = ids - names.keys()
    if not missing:
        return names
    gone: Any = UsageRecord.objects.filter(tenant_id__in=missing).order_by().values_list("tenant_id")
    return {**dict(gone.annotate(name=Max("tenant"))), **names}
