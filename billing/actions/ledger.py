"""Posting to the ledger, reversing what is posted, and proving that nobody has touched it.

Postings stand in one line: whoever posts holds the ledger until his transaction ends. So a post is the last thing that
a transaction does, and rows of tenants and invoices are locked before it.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from billing.models import AccountKind, Charge, LedgerAccount, LedgerEntry, LedgerTransaction, TransactionKind
from billing.rating import ZERO, total_of
from portal import bulk
from portal.audit import Actor
from portal.errors import Conflict
from portal.models.base import uuid7

GENESIS = sha256(b"").hexdigest()
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('billing ledger', 0))"
_OPPOSITE = ("milli_seconds", "quantity", "list_cost", "contracted_cost", "billed_cost", "effective_cost")
_NOT_CONTENT = {"id", "created_at", "transaction"}
_CHARGE_FIELDS = [field for field in Charge._meta.concrete_fields if field.name not in _NOT_CONTENT]
_STORED, _ATTRIBUTES = zip(
    *((field.name, field.attname) for field in Charge._meta.concrete_fields if not field.has_db_default()), strict=True
)


class KeyUsedOtherwise(Conflict):
    """A repeat that is none."""

    code = "key-used-otherwise"


@dataclass(frozen=True, slots=True)
class Move:
    """A debit (above zero) or a credit (below) on an account."""

    kind: AccountKind
    amount: Decimal
    currency: str
    tenant_id: UUID | None = None
    site: str = ""


@transaction.atomic
def post(
    *,
    by: Actor,
    kind: TransactionKind,
    key: str,
    moves: Iterable[Move],
    charges: Sequence[Charge] = (),
    tenant_id: UUID | None = None,
    memo: str = "",
    reverses: LedgerTransaction | None = None,
) -> LedgerTransaction:
    """Add one transaction. The same key with the same content is answered with what it made the first time."""
    sums = _summed(moves)
    for position, charge in enumerate(charges, 1):
        charge.position = position
    digest = _digest(kind, tenant_id, key, memo, reverses.pk if reverses else None, sums, charges)
    with connection.cursor() as cursor:
        cursor.execute(_LOCK)
    there = LedgerTransaction.objects.filter(key=key).first()
    if there is not None:
        if there.digest != digest:
            raise KeyUsedOtherwise(f"Something else was posted as {key} before.")
        return there
    last = LedgerTransaction.objects.order_by("-seq").first()
    posted = LedgerTransaction(
        id=uuid7(),
        seq=last.seq + 1 if last else 1,
        kind=kind,
        tenant_id=tenant_id,
        key=key,
        reverses=reverses,
        memo=memo,
        by=by.actor_name,
        posted_at=timezone.now(),
        digest=digest,
    )
    posted.chain = _chain(last.chain if last else GENESIS, posted)
    posted.save(force_insert=True)
    LedgerEntry.objects.bulk_create(
        LedgerEntry(transaction=posted, account=_account(move), amount=move.amount, currency=move.currency)
        for move in sums
    )
    for charge in charges:
        charge.transaction = posted
    bulk.insert(Charge, _STORED, [tuple(_plain(charge, name) for name in _ATTRIBUTES) for charge in charges])
    return posted


def _plain(charge: Charge, name: str) -> Any:
    value = getattr(charge, name)
    return value.value if isinstance(value, Enum) else value


@transaction.atomic
def reverse(*, by: Actor, what: LedgerTransaction, memo: str = "") -> LedgerTransaction:
    """Undo a transaction, with all its charges. A reversal of the reversal restores it.

    Charges that were restored are taken back by reversing what restored them, and not restored again.
    """
    times = LedgerTransaction.objects.filter(reverses=what).count()
    entries = LedgerEntry.objects.filter(transaction=what).select_related("account")
    return post(
        by=by,
        kind=TransactionKind.REVERSAL,
        key=f"reversal {times + 1} of {what.pk}",
        moves=[
            Move(AccountKind(e.account.kind), -e.amount, e.currency, e.account.tenant_id, e.account.site)
            for e in entries
        ],
        charges=[opposite(charge) for charge in Charge.objects.filter(transaction=what).order_by("position")],
        tenant_id=what.tenant_id,
        memo=memo,
        reverses=what,
    )


def opposite(charge: Charge) -> Charge:
    """The charge that takes this one back, not posted yet."""
    values = {field.attname: getattr(charge, field.attname) for field in _CHARGE_FIELDS}
    for name in _OPPOSITE:
        if values[name] is not None:
            values[name] = -values[name]
    return Charge(**{**values, "reverses_id": charge.pk})


def balance(kind: AccountKind, currency: str, **where: Any) -> Decimal:
    """What stands on accounts of a kind."""
    entries = LedgerEntry.objects.filter(
        account__kind=kind, account__currency=currency, **{f"account__{name}": value for name, value in where.items()}
    )
    return total_of(entries.values_list("amount", flat=True))


@dataclass(frozen=True, slots=True)
class Broken:
    seq: int
    why: str


def verify() -> Iterator[Broken]:
    """Read the whole ledger, and name each transaction that is not what it was when it was posted."""
    before, expected = GENESIS, 1
    for posted in LedgerTransaction.objects.order_by("seq").iterator(500):
        if posted.seq != expected:
            yield Broken(expected, "it is missing")
        entries = LedgerEntry.objects.filter(transaction=posted).select_related("account")
        moves = [
            Move(AccountKind(e.account.kind), e.amount, e.currency, e.account.tenant_id, e.account.site)
            for e in entries
        ]
        charges = list(Charge.objects.filter(transaction=posted).order_by("position"))
        if posted.digest != _digest(
            posted.kind, posted.tenant_id, posted.key, posted.memo, posted.reverses_id, _summed(moves), charges
        ):
            yield Broken(posted.seq, "its content is not what was posted")
        if posted.chain != _chain(before, posted):
            yield Broken(posted.seq, "it does not follow the one before it")
        before, expected = posted.chain, posted.seq + 1


def _summed(moves: Iterable[Move]) -> list[Move]:
    """One for each account, in one order."""
    found: dict[tuple[str, str, str, str], list[Move]] = {}
    for move in moves:
        found.setdefault((move.kind, str(move.tenant_id or ""), move.site, move.currency), []).append(move)
    return [
        Move(some[0].kind, total_of(m.amount for m in some), some[0].currency, some[0].tenant_id, some[0].site)
        for _, some in sorted(found.items())
    ]


def _account(move: Move) -> LedgerAccount:
    account, _ = LedgerAccount.objects.get_or_create(
        kind=move.kind, tenant_id=move.tenant_id, site=move.site, currency=move.currency
    )
    found: LedgerAccount = account
    return found


def _digest(
    kind: str,
    tenant_id: UUID | None,
    key: str,
    memo: str,
    reverses: UUID | None,
    moves: Iterable[Move],
    charges: Iterable[Charge],
) -> str:
    """Of all that a transaction says, in one way of writing it. (Ids of charges are given anew at each try.)"""
    content = sha256()
    rows: list[list[Any]] = [
        [kind, tenant_id, key, memo, reverses],
        *([m.kind, m.tenant_id, m.site, m.currency, m.amount] for m in moves),
        *([getattr(charge, field.attname) for field in _CHARGE_FIELDS] for charge in charges),
    ]
    for row in rows:
        content.update(_line(row))
    return content.hexdigest()


def _chain(before: str, posted: LedgerTransaction) -> str:
    row = [before, posted.seq, posted.pk, posted.by, posted.posted_at, posted.digest]
    return sha256(_line(row)).hexdigest()


def _line(row: list[Any]) -> bytes:
    return json.dumps([_text(value) for value in row]).encode() + b"\n"


def _text(value: Any) -> str:
    match value:
        case None:
            return "\x00"
        case Decimal():
            return f"{value if value else ZERO:.15f}"
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="microseconds")
        case list():
            return "[" + ",".join(map(_text, value)) + "]"
    return str(value)
