"""How this installation bills. The one place of this app that reads settings."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from django.conf import settings


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who writes the invoices, as they name it."""

    name: str = ""
    tax_id: str = ""
    address: str = ""
    bank: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    currency: str  # ISO 4217
    zone: ZoneInfo  # whose months are billed
    issuer: Issuer = Issuer()


def policy() -> Policy:
    return Policy(
        currency=settings.BILLING_CURRENCY,
        zone=ZoneInfo(settings.BILLING_TIME_ZONE),
        issuer=Issuer(**settings.BILLING_ISSUER),
    )
