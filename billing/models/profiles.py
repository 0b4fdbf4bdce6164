"""Whom invoices are made out to."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from portal.models import Tenant
from portal.models.base import Row


class BillingProfile(Row):
    """A tenant as its invoices name it. Copied onto each when it is issued, so a change leaves those alone."""

    scope_paths: ClassVar = {"tenant": "tenant_id"}

    tenant = models.OneToOneField(Tenant, on_delete=models.PROTECT, related_name="billing_profile")
    legal_name = models.CharField(max_length=200)
    tax_id = models.CharField(max_length=18, blank=True, default="", help_text="统一社会信用代码.")
    address = models.CharField(max_length=300, blank=True, default="")
    phone = models.CharField(max_length=50, blank=True, default="")
    bank = models.CharField(max_length=200, blank=True, default="")
    bank_account = models.CharField(max_length=50, blank=True, default="")
    email = models.EmailField(blank=True, default="")
    payment_terms_days = models.PositiveSmallIntegerField(default=30)
    home_site = models.CharField(
        max_length=63, blank=True, default="", help_text="The member whose tenant it is, by its site. Empty: the hub's."
    )

    class Meta:
        constraints = [
            models.CheckConstraint(name="profile_terms_within_a_year", condition=Q(payment_terms_days__lte=365))
        ]

    def __str__(self) -> str:
        return self.legal_name
