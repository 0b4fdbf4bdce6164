"""Setting prices. What was asked for so far stays as it was: a change begins now or later."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from billing.models import PriceBook, PriceVersion
from billing.rating import Meter, Tier, TierScope
from portal import audit, events
from portal.audit import Actor
from portal.errors import Conflict, Invalid
from portal.models import ResourceFlavor, Tenant


@dataclass(frozen=True, slots=True)
class Terms:
    """For what a price is, beside its flavor, and how it is counted."""

    meter: Meter = Meter.ACCELERATOR
    tenant_class: str = ""
    site: str = ""
    slicing_mode: str = ""
    service_class: str = ""
    tier_mode: str = ""
    tier_scope: TierScope = TierScope.TENANT
    tiers: Sequence[Tier] = ()
    minimum_seconds: int = 0
    step_seconds: int = 1

    def key(self) -> dict[str, str]:
        return {
            "meter": self.meter, "tenant_class": self.tenant_class, "site": self.site,
            "slicing_mode": self.slicing_mode, "service_class": self.service_class,
        }  # fmt: skip

    def amounts(self) -> dict[str, Any]:
        return {
            "tier_mode": self.tier_mode, "tier_scope": self.tier_scope,
            "tier_starts": [tier.start for tier in self.tiers], "tier_prices": [tier.unit_price for tier in self.tiers],
            "minimum_seconds": self.minimum_seconds, "step_seconds": self.step_seconds,
        }  # fmt: skip


PLAIN = Terms()


def _check(terms: Terms) -> None:
    starts = [tier.start for tier in terms.tiers]
    if starts != sorted(set(starts)) or any(start <= 0 for start in starts):
        raise Invalid.field("tiers", "Each tier begins above the one before it.", "not-rising")
    if bool(starts) != bool(terms.tier_mode):
        raise Invalid.field("tier_mode", "Say how the tiers count, or leave both out.", "tiers-without-mode")


def default_book(currency: str) -> PriceBook:
    """The book of whoever has no terms of their own."""
    found, _ = PriceBook.objects.get_or_create(
        currency=currency, is_default=True,
        defaults={"slug": f"list-{currency.lower()}", "name": f"List prices in {currency}"},
    )  # fmt: skip
    book: PriceBook = found
    return book


@transaction.atomic
def set_price(
    *,
    by: Actor,
    flavor: ResourceFlavor | None,
    unit_price: Decimal,
    currency: str,
    book: PriceBook | None = None,
    tenant: Tenant | None = None,
    valid_from: datetime | None = None,
    valid_to: datetime | None = None,
    terms: Terms = PLAIN,
) -> PriceVersion:
    """An hour of the flavor's whole unit costs `unit_price` from `valid_from` (empty: now) on, in the default book
    of the currency or in another.

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
    _check(terms)
    book = book or default_book(currency)
    if book.currency != currency:
        raise Invalid.field("currency", f"This book is in {book.currency}.", "other-currency")
    if flavor is None:
        PriceBook.objects.select_for_update(no_key=True).get(pk=book.pk)  # one change at a time
    else:
        ResourceFlavor.objects.select_for_update(no_key=True).get(pk=flavor.pk)
    key: dict[str, Any] = {
        "flavor_id": flavor.pk if flavor else None,
        "tenant_id": tenant.pk if tenant else None,
        "currency": currency,
        "book_id": book.pk,
        **terms.key(),
    }
    alike = PriceVersion.objects.alike(**key)
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
    price: PriceVersion = PriceVersion.objects.create(
        **key, **terms.amounts(), unit_price=unit_price, valid_from=begins, valid_to=valid_to
    )  # fmt: skip
    price.refresh_from_db()
    audit.record(
        by=by,
        what="price.set",
        target=price,
        detail={"flavor": flavor.name if flavor else "any", "unit_price": str(price.unit_price), "currency": currency},
    )
    events.publish("price", price.pk, price.tenant_id)
    return price
