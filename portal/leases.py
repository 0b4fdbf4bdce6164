"""A lock per row, in the row: who works on it, until when, and when to look again.

Whoever claims a row gets a token; only that token can settle it. A worker that dies lets its lease run
out, and the sweep comes back. All clocks are the database's.
"""

import random
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Self, TypeVar

from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import F, Q, Value
from django.db.models.functions import Least, Now

from portal.models.base import ScopedQuerySet

STUCK_AFTER = 10
M = TypeVar("M", bound=models.Model, covariant=True)


def seconds_from_now(seconds: float) -> Any:
    return Now() + Value(timedelta(seconds=seconds), output_field=models.DurationField())


def backoff_seconds(attempts: int) -> float:
    """2, 4, 8 … 600 s, up to a fifth more at random so that many rows do not come back at one moment."""
    return min(2.0**attempts, 600.0) * random.uniform(1.0, 1.2)


@contextmanager
def forgettable() -> Iterator[None]:
    """A transaction that need not survive a crash of the database: its commit does not wait for the disk.

    For leases, times of the next look and live figures: what is lost of them is found again by the sweep.
    Inside another transaction it changes nothing: that one decides.
    """
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        if is_outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL synchronous_commit TO off")
        yield


class LeasedQuerySet(ScopedQuerySet[M]):
    def claim(self, pk: Any, **values: Any) -> uuid.UUID | None:
        """Take the row for settings.LEASE_SECONDS; None when somebody has it. Counts an attempt. Writes `values`."""
        token = uuid.uuid4()
        with forgettable():
            taken = self._claim(pk, token, values)
        return token if taken else None

    def _claim(self, pk: Any, token: uuid.UUID, values: Mapping[str, Any]) -> int:
        return self.filter(Q(pk=pk) & (Q(lease_token=None) | Q(lease_expires_at__lt=Now()))).update(
            lease_token=token,
            lease_expires_at=seconds_from_now(settings.LEASE_SECONDS),
            attempts=Least(F("attempts") + 1, 99),
            **values,
        )

    def settle(self, pk: Any, token: uuid.UUID, *, check_in: float | None, is_good: bool = True, **values: Any) -> bool:
        """Give the row back and write `values`; look again in `check_in` seconds (None: not by itself).

        False when the lease was lost: write nothing else then. A bad outcome keeps the count of attempts.
        """
        if is_good:
            values["attempts"] = 0
        return bool(
            self.filter(pk=pk, lease_token=token).update(
                lease_token=None,
                lease_expires_at=None,
                next_check_at=None if check_in is None else seconds_from_now(check_in),
                **values,
            )
        )

    def settle_unless_woken(self, pk: Any, token: uuid.UUID, *, was: datetime | None, check_in: float) -> None:
        """Give the row back and look again in `check_in` seconds, or at once when its next look is not `was` any more:
        somebody has asked for one meanwhile. Need not survive a crash."""
        table = self.model._meta.db_table
        with forgettable(), connection.cursor() as cursor:
            cursor.execute(
                f"""UPDATE {table} SET lease_token = NULL, lease_expires_at = NULL, attempts = 0,
                      next_check_at = CASE WHEN next_check_at IS NOT DISTINCT FROM %s
                        THEN now() + %s * interval '1 second'
                        ELSE least(next_check_at, now()) END
                    WHERE id = %s AND lease_token = %s""",  # noqa: S608 - a table of ours
                [was, check_in, pk, token],
            )

    def due(self) -> Self:
        """Rows to look at now, and nobody is looking."""
        return self.filter(Q(next_check_at__lte=Now()) & (Q(lease_token=None) | Q(lease_expires_at__lt=Now())))

    def take_due(self, limit: int, *, again_in: float = 5.0, since: float = 0.0) -> list[Any]:
        """Ids that are due, oldest first, each handed out once per `again_in` seconds: a message that is
        lost costs that long, and a queue that is behind is not filled up with repeats. Only what has been due for
        `since` seconds.
        """
        with forgettable():
            pks = list(
                self.due()
                .filter(next_check_at__lte=seconds_from_now(-since))
                .order_by("next_check_at")
                .select_for_update(skip_locked=True, of=("self",))
                .values_list("pk", flat=True)[:limit]
            )
            self.filter(pk__in=pks).update(next_check_at=seconds_from_now(again_in))
        return pks

    def wake(self, pks: Iterable[Any]) -> int:
        """Ask for a look by the next sweep, where none is due within seconds anyway (and perhaps on its way)."""
        with forgettable():
            return self.filter(pk__in=list(pks), next_check_at__gt=seconds_from_now(6)).update(next_check_at=Now())


class Leased(models.Model):
    lease_token = models.UUIDField(null=True, editable=False)
    lease_expires_at = models.DateTimeField(null=True, editable=False)
    next_check_at = models.DateTimeField(null=True, db_default=Now(), editable=False)
    attempts = models.PositiveSmallIntegerField(default=0, editable=False)

    class Meta:
        abstract = True

    @property
    def is_stuck(self) -> bool:
        """Tried too often without one good outcome; somebody should look."""
        return self.attempts > STUCK_AFTER


def lease_pair(name: str) -> models.CheckConstraint:
    """Token and expiry are both set or both empty."""
    return models.CheckConstraint(
        name=f"{name}_lease_pair",
        condition=Q(lease_token__isnull=True, lease_expires_at__isnull=True)
        | Q(lease_token__isnull=False, lease_expires_at__isnull=False),
    )
