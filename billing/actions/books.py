"""Price books, taxes on them, and by which of them a tenant pays. What holds does not change: another follows it."""

from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from billing.models import BillingTerm, Charge, PriceBook, TaxRule, TenantClass, UsageRecord
from portal import audit
from portal.audit import Actor
from portal.errors import Conflict, Invalid
from portal.models import Tenant


@transaction.atomic
def create(*, by: Actor, slug: str, name: str, currency: str) -> PriceBook:
    """An empty book. It is used by tenants whose terms name it."""
    if PriceBook.objects.filter(slug=slug).exists():
        raise Conflict(f"There is a price book {slug} already.")
    book: PriceBook = PriceBook.objects.create(slug=slug, name=name, currency=currency)
    audit.record(by=by, what="pricebook.create", target=book, detail={"currency": currency})
    return book


@transaction.atomic
def set_terms(
    *,
    by: Actor,
    tenant: Tenant,
    book: PriceBook,
    tenant_class: TenantClass = TenantClass.EXTERNAL,
    is_taxed: bool = True,
    valid_from: datetime | None = None,
) -> BillingTerm:
    """From `valid_from` (empty: now) on the tenant pays by this book, as one of this class.

    In the past terms may begin only where the tenant has used nothing since.
    """
    Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
    now = timezone.now().replace(microsecond=0)
    begins = valid_from or now
    if begins.microsecond:
        raise Invalid.field("valid_from", "Terms begin on whole seconds.", "not-a-whole-second")
    if begins < now and UsageRecord.objects.filter(tenant_id=tenant.pk, end_at__gt=begins).exists():
        raise Conflict(f"{tenant.name} has used something since then. New terms can begin now or later.")
    if BillingTerm.objects.filter(tenant=tenant, valid_from=begins).exists():
        raise Conflict("Other terms begin at that very moment.")
    term: BillingTerm = BillingTerm.objects.create(
        tenant=tenant, book=book, tenant_class=tenant_class, is_taxed=is_taxed, valid_from=begins
    )
    audit.record(by=by, what="terms.set", target=term, detail={"book": book.slug, "tenant_class": str(tenant_class)})
    return term


@transaction.atomic
def set_tax(*, by: Actor, book: PriceBook, name: str, rate: Decimal, valid_from: datetime | None = None) -> TaxRule:
    """A tax on all invoices by a book. One of the same name that holds ends where this begins; months that are invoiced
    stay as they are. What holds at the end of a month is what the month is taxed by.
    """
    PriceBook.objects.select_for_update(no_key=True).get(pk=book.pk)
    begins = valid_from or timezone.now().replace(microsecond=0)
    alike = TaxRule.objects.filter(book=book, name=name)
    if alike.filter(valid_from__gte=begins).exists():
        raise Conflict(f"A later {name} is planned already.")
    asked = Charge.objects.filter(tax_rule_id__in=alike.values("pk"), billing_period_end__gt=begins)
    if asked.exists():
        raise Conflict(f"{name} was asked for after that already. A change can begin later.")
    alike.filter(Q(valid_to=None) | Q(valid_to__gt=begins)).update(valid_to=begins, version=F("version") + 1)
    rule: TaxRule = TaxRule.objects.create(book=book, name=name, rate=rate, valid_from=begins)
    audit.record(by=by, what="tax.set", target=rule, detail={"book": book.slug, "rate": str(rate)})
    return rule
