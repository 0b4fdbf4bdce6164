"""How this installation bills. The one place of this app that reads settings."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from django.conf import settings


@dataclass(frozen=True, slots=True)
class Policy:
    currency: str  # ISO 4217
    zone: ZoneInfo  # whose months are billed


def policy() -> Policy:
    return Policy(currency=settings.BILLING_CURRENCY, zone=ZoneInfo(settings.BILLING_TIME_ZONE))
