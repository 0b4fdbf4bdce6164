"""Billing profiles: whom invoices are made out to, and when they are due."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F
from stdnum.cn import uscc
from stdnum.exceptions import ValidationError

from billing.models import BillingProfile
from portal import audit
from portal.audit import Actor
from portal.errors import Conflict, Invalid
from portal.models import Tenant

COPIED = ("legal_name", "tax_id", "address", "phone", "bank", "bank_account", "email")
_DAYS = BillingProfile._meta.get_field("payment_terms_days").default


@transaction.atomic
def create(*, by: Actor, tenant: Tenant, **values: Any) -> BillingProfile:
    Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
    if BillingProfile.objects.filter(tenant=tenant).exists():
        raise Conflict(f"{tenant.name} has a billing profile already.")
    profile: BillingProfile = BillingProfile.objects.create(tenant=tenant, **_checked(values))
    audit.record(by=by, what="billing-profile.create", target=profile, detail=_said(values))
    return profile


@transaction.atomic
def change(*, by: Actor, profile: BillingProfile, **values: Any) -> BillingProfile:
    """What is issued already stays as it is."""
    Tenant.objects.select_for_update(no_key=True).get(pk=profile.tenant_id)
    BillingProfile.objects.filter(pk=profile.pk).update(**_checked(values), version=F("version") + 1)
    profile.refresh_from_db()
    audit.record(by=by, what="billing-profile.change", target=profile, detail=_said(values))
    return profile


def copied(tenant_id: UUID, name: str) -> tuple[dict[str, str], int]:
    """What an invoice says of its tenant, and how many days it has to pay. Without a profile: its name."""
    profile = BillingProfile.objects.filter(tenant_id=tenant_id).first()
    if profile is None:
        return {**dict.fromkeys(COPIED, ""), "legal_name": name}, _DAYS
    return {field: getattr(profile, field) for field in COPIED}, profile.payment_terms_days


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    if not values.get("tax_id"):
        return values
    try:
        return {**values, "tax_id": uscc.validate(values["tax_id"])}
    except ValidationError as error:
        raise Invalid.field(
            "tax_id", "This is not a unified social credit code (统一社会信用代码): its check digit or form is wrong.",
            "not-a-tax-id",
        ) from error  # fmt: skip


def _said(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in (*COPIED, "payment_terms_days", "home_site")}
