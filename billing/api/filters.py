"""What several lists of billing are filtered by."""

from typing import Any

import django_filters
from django.core.validators import RegexValidator

from billing.periods import Period, month
from billing.policy import policy
from portal.errors import Invalid

MONTH = r"^20[0-9]{2}-(0[1-9]|1[0-2])$"
MONTH_RULE = RegexValidator(MONTH, "Write a month as 2026-11.", code="not-a-month")


def period_named(label: str) -> Period:
    """The month of the billing time zone that a request names."""
    try:
        return month(label, policy().zone)
    except ValueError as error:
        raise Invalid.field("period", str(error), "not-a-month") from error


def month_filter(method: str) -> Any:
    return django_filters.CharFilter(
        method=method, validators=[MONTH_RULE], help_text="A month of the billing time zone, as 2026-11."
    )
