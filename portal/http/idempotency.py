"""A create with an Idempotency-Key happens once, however often it is sent.

The key's row, the thing created and the stored answer are one transaction: either all are there or none.
A second request with the key waits on the first by the unique index, then gets the same answer.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from django.db import IntegrityError, transaction
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from portal.errors import IdempotencyKeyReused, Invalid
from portal.models import IdempotencyRecord


def once(request: Request, create: Callable[[], Response]) -> Response:
    """Run `create` in a transaction, at most once per caller and key."""
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        with transaction.atomic():
            return create()
    if len(key) > 200 or not key.isprintable():
        raise Invalid("An Idempotency-Key has at most 200 printable characters.")
    # The key belongs to this very request: same caller, address and body.
    seen = hashlib.sha256(f"{request.path}\n{json.dumps(request.data, sort_keys=True)}".encode()).hexdigest()
    mine = {"actor_id": request.user.pk, "key": key}
    try:
        with transaction.atomic():
            record = IdempotencyRecord.objects.create(**mine, request_digest=seen)
            response = create()
            record.status = response.status_code
            record.body = json.loads(json.dumps(response.data, cls=JSONEncoder))
            record.save(update_fields=["status", "body"])
            return response
    except IntegrityError:
        record_or_none = IdempotencyRecord.objects.filter(**mine).first()
        if record_or_none is None:  # the clash was about something else, inside `create`
            raise
        return _answer(record_or_none, seen)


def _answer(record: IdempotencyRecord, seen: str) -> Response:
    if record.request_digest != seen:
        raise IdempotencyKeyReused()
    body: Any = record.body
    return Response(body, status=record.status, headers={"Idempotency-Replayed": "true"})
