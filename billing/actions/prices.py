"""Setting prices. What was asked for so far stays as it was: a change begins now or later."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from billing.models import Price
from portal import audit, events
from portal.audit import Actor
from portal.errors import Conflict, Invalid
from portal.models import ResourceFlavor, Tenant


@transaction.atomic
def set_price(
    *,
    by: Actor,
    flavor: ResourceFlavor,
    unit_price: Decimal,
    currency: str,
    tenant: Tenant | None = None,
    valid_from: datetime | None = None,
    valid_to: datetime | None = None,
) -> Price:
    """An hour of the flavor's whole unit costs `unit_price` from `valid_from` (empty: now) on.

    The price that holds then ends there; one already planned for later limits this one. In the past a
    price may begin only where none held.
    """
    now = timezone.now().replace(microsecond=0)
    begins = valid_from or now
    for name, instant in (("valid_from", begins), ("valid_to", valid_to)):
        if instant is not None and instant.microsecond:
            raise Invalid.field(name, "Prices begin and end on whole seconds.", "not-a-whole-second")
    if valid_to is not None and valid_to <= begins:
        raise Invalid.field("valid_to", "A price ends after it begins.", "ends-before-it-begins")
    ResourceFlavor.objects.select_for_update(no_key=True).get(pk=flavor.pk)  # one change at a time
    key: dict[str, Any] = {
        "flavor_id": flavor.pk,
        "tenant_id": tenant.pk if tenant else None,
        "currency": currency,
    }
    alike = Price.objects.alike(**key)
    present = alike.filter(Q(valid_to=None) | Q(valid_to__gt=begins), valid_from__lte=begins).first()
    if present is not None:
        if present.valid_from == begins:
            raise Conflict("Another price begins at that very moment.")
        if begins < now:
            raise Conflict("A price holds there already. A change can begin now or later.")
        alike.filter(pk=present.pk).update(valid_to=begins, version=F("version") + 1, changed_at=Now())
    planned = alike.filter(valid_from__gt=begins).order_by("valid_from").first()
    if planned is not None:
        valid_to = min(valid_to or planned.valid_from, planned.valid_from)
    price: Price = Price.objects.create(**key, unit_price=unit_price, valid_from=begins, valid_to=valid_to)
    price.refresh_from_db()
    audit.record(
        by=by,
        what="price.set",
        target=price,
        detail={"flavor": flavor.name, "unit_price": str(price.unit_price), "currency": currency},
    )
    events.publish("price", price.pk, price.tenant_id)
    return price
