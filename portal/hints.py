"""Wake a worker. A hint may be lost: the broker may be gone, and the sweep finds the row a second later."""

import logging
from typing import Any

from celery import current_app
from django.db import transaction

logger = logging.getLogger(__name__)


def send(task: str, *args: Any) -> None:
    """Enqueue now. Whatever is wrong with the broker is noted and is nobody else's trouble."""
    try:
        current_app.send_task(task, args=args)
    except Exception as error:  # each transport raises its own; the rows are the truth
        logger.warning("The broker did not take %s: %s", task, error)


def soon(task: str, pk: Any) -> None:
    """Enqueue `task(pk)` once the present transaction has committed."""
    transaction.on_commit(lambda: send(task, str(pk)), robust=True)
