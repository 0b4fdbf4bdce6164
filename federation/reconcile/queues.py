"""The process that looks at queues: at once when a pool is woken, and whenever one is due.

Postgres says that a pool was woken (NOTIFY). A word that is lost costs a second: due pools are looked for that often.
Several such processes share the pools between them, by their leases; without any, workers do it (tasks.py).
"""

import time
from contextlib import suppress
from typing import Any
from uuid import UUID

import psycopg
from django.db import connection
from django.utils import timezone

from federation.models import Pool
from federation.reconcile import admission
from federation.reconcile.workloads import WOKEN

_LOOK_SECONDS = 1.0
_MOST = 100  # pools of one round
MOST_REST_SECONDS = 1.0


class Queues:
    """`step` looks at all queues that are due, then waits for the next."""

    def __init__(self) -> None:
        self._ears: psycopg.Connection[Any] | None = None
        self._rests: dict[UUID, float] = {}  # when a queue may be looked at again, on the clock of this process

    def step(self, most_seconds: float = _LOOK_SECONDS) -> None:
        """Raises the database's errors; the next step connects anew."""
        try:
            self._listen()
            due = list(Pool.objects.due().order_by("next_check_at").values_list("pk", flat=True)[:_MOST])
            rests = [self._look(pk) for pk in due]
            if not due or min(rests) > 0:
                self._wait(min([most_seconds, *rests]), is_due=bool(due))
        except (psycopg.Error, OSError) as error:
            self.end()
            raise psycopg.OperationalError(str(error)) from error

    def end(self) -> None:
        if self._ears is not None:
            with suppress(psycopg.Error, OSError):
                self._ears.close()
        self._ears = None

    def _listen(self) -> None:
        if self._ears is None or self._ears.closed:
            self._ears = psycopg.connect(**connection.get_connection_params() | {"autocommit": True})
            self._ears.execute(f"LISTEN {WOKEN}")

    def _look(self, pk: UUID) -> float:
        """At a queue that is due; or how long it rests. A look that takes long is not taken often, so that what
        is submitted or released close together shares one; after a quiet second the first is not kept waiting."""
        now = time.monotonic()
        if (rest := self._rests.get(pk, 0.0) - now) > 0:
            return rest
        admission.run(str(pk))
        done = time.monotonic()
        self._rests[pk] = done + min(done - now, MOST_REST_SECONDS)
        return 0.0

    def _wait(self, most_seconds: float, is_due: bool) -> None:
        """Until a pool is woken, or the next is due; or just so long, while those that are due rest."""
        if is_due:
            time.sleep(most_seconds)
            return
        until = Pool.objects.filter(lease_token=None).order_by("next_check_at").values_list("next_check_at", flat=True)
        seconds = most_seconds
        if (at := until.exclude(next_check_at=None).first()) is not None:
            seconds = min(max((at - timezone.now()).total_seconds(), 0.001), most_seconds)
        assert self._ears is not None
        for _ in self._ears.notifies(timeout=seconds, stop_after=1):
            pass
