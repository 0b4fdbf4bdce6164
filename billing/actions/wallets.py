"""Wallets: money comes in, pays invoices, comes back when one is cancelled, and expires.

Whoever touches a tenant's wallets holds the tenant's row first, as whoever touches its invoices does.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Max, Sum
from django.utils import timezone

from billing.actions import ledger
from billing.actions.ledger import Move
from billing.models import AccountKind, Credit, CreditUse, Invoice, LedgerTransaction, TransactionKind, Wallet
from billing.rating import ZERO, total_of
from billing.rating.wallets import Drain, Lot, drain
from portal import audit, events
from portal.audit import SYSTEM, Actor
from portal.errors import Conflict, Invalid
from portal.models import Tenant
from portal.models.base import uuid7

Reason = CreditUse.Reason


@transaction.atomic
def add(
    *,
    by: Actor,
    tenant: Tenant,
    currency: str,
    kind: str,
    amount: Decimal,
    expires_at: datetime | None = None,
    note: str = "",
) -> Credit:
    """Money into a tenant's wallet: paid in (`top-up`) or given (`grant`). What was overdrawn is made good first."""
    if expires_at is not None and expires_at <= timezone.now():
        raise Invalid.field("expires_at", "It has to expire in the future.", "in-the-past")
    _lock(tenant.pk)
    wallet, _ = Wallet.objects.get_or_create(tenant=tenant, currency=currency)
    pk = uuid7()
    is_paid = kind == Credit.Kind.TOP_UP
    posted = ledger.post(
        by=by,
        kind=TransactionKind.PAYMENT if is_paid else TransactionKind.CREDIT,
        key=f"credit {pk}",
        moves=[
            Move(AccountKind.CASH if is_paid else AccountKind.CREDIT, amount, currency),
            Move(AccountKind.WALLET, -amount, currency, tenant.pk),
        ],
        tenant_id=tenant.pk,
        memo=note,
    )
    credit: Credit = Credit.objects.create(
        id=pk, wallet=wallet, kind=kind, amount=amount, expires_at=expires_at, note=note, by=by.actor_name,
        posted_in=posted,
    )  # fmt: skip
    good = min(_overdrawn(wallet), amount)
    if good > ZERO:
        CreditUse.objects.create(wallet=wallet, credit=credit, reason=Reason.OVERDRAFT, amount=good)
        CreditUse.objects.create(wallet=wallet, credit=None, reason=Reason.OVERDRAFT, amount=-good)
    detail = {"kind": kind, "amount": str(amount), "currency": currency, "note": note}
    audit.record(by=by, what="wallet.credit", target=wallet, detail=detail)
    events.publish(Wallet.topic, wallet.pk, tenant.pk)
    return credit


@transaction.atomic
def set_overdraft(*, by: Actor, wallet: Wallet, overdraft: Decimal) -> Wallet:
    """How far below zero the wallet may go from now on. Not less than it is below zero already."""
    _lock(wallet.tenant_id)
    wallet = Wallet.objects.select_for_update().get(pk=wallet.pk)
    if overdraft < (overdrawn := _overdrawn(wallet)):
        raise Conflict(f"The wallet is overdrawn by {overdrawn:.2f} {wallet.currency}.")
    was, wallet.overdraft, wallet.version = wallet.overdraft, overdraft, wallet.version + 1
    wallet.save(update_fields=["overdraft", "version"])
    audit.record(by=by, what="wallet.overdraft", target=wallet, detail={"was": str(was), "is": str(overdraft)})
    events.publish(Wallet.topic, wallet.pk, wallet.tenant_id)
    return wallet


def pay(by: Actor, invoice: Invoice, payable: Decimal) -> Decimal:
    """Pay as much of an invoice as the tenant's wallet allows, as it is issued; how much. Its tenant is locked."""
    wallet = Wallet.objects.filter(tenant_id=invoice.tenant_id, currency=invoice.currency).first()
    if wallet is None or payable <= ZERO:
        return ZERO
    room = wallet.overdraft - _overdrawn(wallet)
    found = drain(_lots(wallet), payable, timezone.now(), room)
    if found.paid <= ZERO:
        return ZERO
    posted = ledger.post(
        by=by,
        kind=TransactionKind.PAYMENT,
        key=f"wallet pays {invoice.pk}",
        moves=[
            Move(AccountKind.WALLET, found.paid, invoice.currency, invoice.tenant_id),
            Move(AccountKind.RECEIVABLE, -found.paid, invoice.currency, invoice.tenant_id),
        ],
        tenant_id=invoice.tenant_id,
    )
    CreditUse.objects.bulk_create(_uses(wallet, invoice, found, posted))
    audit.record(
        by=by, what="wallet.pay", target=wallet, detail={"invoice": str(invoice.pk), "amount": str(found.paid)}
    )  # fmt: skip
    events.publish(Wallet.topic, wallet.pk, wallet.tenant_id)
    return found.paid


def paid_for(invoice: Invoice) -> Decimal:
    """How much of an invoice its tenant's wallet paid."""
    return total_of(CreditUse.objects.filter(invoice=invoice).values_list("amount", flat=True))


def _uses(wallet: Wallet, invoice: Invoice, found: Drain, posted: LedgerTransaction) -> list[CreditUse]:
    taken: list[tuple[UUID | None, Decimal]] = [*found.taken]
    if found.overdrawn > ZERO:
        taken.append((None, found.overdrawn))
    return [_use(wallet, credit, amount, Reason.INVOICE, invoice, posted) for credit, amount in taken]


def _use(
    wallet: Wallet,
    credit_id: UUID | None,
    amount: Decimal,
    reason: str,
    invoice: Invoice | None = None,
    posted_in: LedgerTransaction | None = None,
) -> CreditUse:
    return CreditUse(
        wallet=wallet, credit_id=credit_id, amount=amount, reason=reason, invoice=invoice, posted_in=posted_in
    )


def give_back(by: Actor, invoice: Invoice) -> Decimal:
    """What a wallet paid of an invoice that is cancelled goes back to where it came from; how much."""
    uses = list(CreditUse.objects.filter(invoice=invoice).select_related("wallet", "posted_in").order_by("id"))
    if not uses:
        return ZERO
    wallet, paid_in = uses[0].wallet, uses[0].posted_in
    assert paid_in is not None, "what pays an invoice is posted"
    posted = ledger.reverse(by=by, what=paid_in, memo=f"Cancels {invoice.number}")
    rows = [_use(wallet, use.credit_id, -use.amount, Reason.RESTORED, invoice, posted) for use in uses]
    on_overdraft = sum((use.amount for use in uses if use.credit_id is None), ZERO)
    # As far as it was made good since, those credits get it back first.
    made_good = max(on_overdraft - _overdrawn(wallet), ZERO)
    of_credits = CreditUse.objects.filter(wallet=wallet, reason=Reason.OVERDRAFT, credit__isnull=False)
    newest_first = of_credits.values_list("credit_id").annotate(good=Sum("amount"), last=Max("id")).order_by("-last")
    for credit_id, good, _ in newest_first if made_good > ZERO else ():
        again = min(made_good, good)
        if again > ZERO:
            made_good -= again
            rows += [
                _use(wallet, credit_id, -again, Reason.OVERDRAFT),
                _use(wallet, None, again, Reason.OVERDRAFT),
            ]
    CreditUse.objects.bulk_create(rows)  # in one statement, after which the database looks at the sums
    audit.record(by=by, what="wallet.restore", target=wallet, detail={"invoice": str(invoice.pk)})
    events.publish(Wallet.topic, wallet.pk, wallet.tenant_id)
    return sum((use.amount for use in uses), ZERO)


def due_to_expire(limit: int = 500) -> list[UUID]:
    """Tenants with credits that have expired and are not used up."""
    rows = Credit.objects.with_left().filter(expires_at__lte=timezone.now(), left__gt=0)
    return list(rows.order_by().values_list("wallet__tenant_id", flat=True).distinct()[:limit])


@transaction.atomic
def expire(*, tenant_id: UUID, by: Actor = SYSTEM) -> int:
    """Take what is left of expired credits out of the tenant's wallets; how many there were. May be repeated.

    What was given goes back to where it came from; what was paid in is kept, as revenue.
    """
    _lock(tenant_id)
    rows = Credit.objects.with_left().filter(wallet__tenant_id=tenant_id, expires_at__lte=timezone.now(), left__gt=0)
    expired = list(rows.select_related("wallet").in_order())
    for credit in expired:
        wallet, left = credit.wallet, credit.left
        times = CreditUse.objects.filter(credit=credit, reason=Reason.EXPIRED).count()
        is_given = credit.kind == Credit.Kind.GRANT
        posted = ledger.post(
            by=by,
            kind=TransactionKind.CREDIT if is_given else TransactionKind.PAYMENT,
            key=f"expiry {times + 1} of credit {credit.pk}",
            moves=[
                Move(AccountKind.WALLET, left, wallet.currency, tenant_id),
                Move(AccountKind.CREDIT if is_given else AccountKind.REVENUE, -left, wallet.currency),
            ],
            tenant_id=tenant_id,
            memo="Expired",
        )
        CreditUse.objects.create(
            wallet=wallet, credit=credit, reason=Reason.EXPIRED, amount=left, posted_in=posted
        )  # fmt: skip
        audit.record(
            by=by, what="wallet.expire", target=wallet, detail={"credit": str(credit.pk), "amount": str(left)}
        )  # fmt: skip
        events.publish(Wallet.topic, wallet.pk, tenant_id)
    return len(expired)


def _lock(tenant_id: UUID) -> None:
    Tenant.objects.select_for_update(no_key=True).get(pk=tenant_id)


def _overdrawn(wallet: Wallet) -> Decimal:
    uses = CreditUse.objects.filter(wallet=wallet, credit=None)
    found: Decimal = uses.aggregate(amount=Sum("amount", default=ZERO))["amount"]
    return found


def _lots(wallet: Wallet) -> Iterable[Lot]:
    rows = Credit.objects.with_left().filter(wallet=wallet, left__gt=0)
    for pk, left, expires_at, came_at in rows.values_list("pk", "left", "expires_at", "created_at"):
        yield Lot(pk, left, expires_at, came_at)
