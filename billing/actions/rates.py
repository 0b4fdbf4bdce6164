"""Rating records of one tenant: its terms, its prices and what its month has come to, read once for many records."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Q, Sum

from billing.models import BillingTerm, Charge, PriceBook, PriceVersion, TenantClass, UsageRecord
from billing.periods import Period, month_of
from billing.policy import Policy
from billing.rating import ZERO, Meter, Prices, PriceWindow, TierScope
from billing.rating.charges import Counters, Metered, Rated, rate_record
from billing.rating.money import less


@dataclass(frozen=True, slots=True)
class Terms:
    """By which book, and as whom, a tenant pays from an instant on."""

    book_id: UUID | None  # None: no book of this currency yet, so no prices
    currency: str
    tenant_class: str
    is_taxed: bool
    since: datetime | None


@dataclass(slots=True)
class Rates:
    """Asked record by record, in order of time. `counters` begin with what is charged already, and go up with each."""

    tenant_id: UUID
    policy: Policy
    start: datetime
    end: datetime
    book: PriceBook | None = None  # another than the tenant's, to see what it would come to
    without: Sequence[Charge] = ()  # charges that are to be reversed, and do not count any more
    _terms: list[Terms] = field(default_factory=list)
    _prices: dict[UUID | None, tuple[Prices, list[datetime]]] = field(default_factory=dict)
    _counted: set[datetime] = field(default_factory=set)
    _counters: dict[Any, Decimal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._terms = list(terms_of(self.tenant_id, self.policy.currency, self.end))
        if self.book is not None:
            kept = [(t.tenant_class, t.is_taxed, t.since) for t in self._terms]
            self._terms = [Terms(self.book.pk, self.book.currency, *rest) for rest in kept]

    def terms_at(self, at: datetime) -> Terms:
        return next(t for t in reversed(self._terms) if t.since is None or t.since <= at)

    def prices(self, terms: Terms) -> Prices:
        return self._book(terms.book_id)[0]

    def rate(self, record: UsageRecord) -> list[Rated]:
        terms = self.terms_at(record.start_at)
        prices, edges = self._book(terms.book_id)
        month = month_of(record.start_at, self.policy.zone)
        return list(
            rate_record(metered(record), prices, terms.tenant_class, edges, month.start, self._of(month, prices))
        )

    def _book(self, book_id: UUID | None) -> tuple[Prices, list[datetime]]:
        found = self._prices.get(book_id)
        if found is None:
            rows = PriceVersion.objects.filter(Q(tenant=None) | Q(tenant_id=self.tenant_id), book_id=book_id)
            windows = [row.window() for row in rows.holding(self.start, self.end)]
            edges = {at for w in windows for at in (w.valid_from, w.valid_to) if at is not None}
            found = self._prices[book_id] = (Prices(windows), sorted(edges))
        return found

    def _of(self, month: Period, prices: Prices) -> Counters:
        if month.start not in self._counted:
            self._counted.add(month.start)
            tiered = [w for w in prices.windows if w.tier_mode is not None]
            self._counters.update(charged_by_tier_scope(self.tenant_id, month.start, tiered))
            scopes = {w.id: w.tier_scope for w in tiered}
            for charge in self.without:
                if charge.price_version_id in scopes and charge.billing_period_start == month.start:
                    whose = getattr(charge, _COLUMNS[scopes[charge.price_version_id]])
                    key = (charge.price_version_id, whose, month.start)
                    self._counters[key] = less(self._counters.get(key, ZERO), charge.quantity or ZERO)
        return self._counters


def terms_of(tenant_id: UUID, currency: str, until: datetime) -> Iterator[Terms]:
    """In order of time; the first is for all the time before the tenant had terms of its own."""
    default = PriceBook.objects.filter(currency=currency, is_default=True).first()
    yield Terms(default.pk if default else None, currency, TenantClass.EXTERNAL, True, None)
    rows = BillingTerm.objects.filter(tenant_id=tenant_id, valid_from__lt=until).select_related("book")
    for row in rows.order_by("valid_from"):
        yield Terms(row.book_id, row.book.currency, row.tenant_class, row.is_taxed, row.valid_from)


_COLUMNS: dict[TierScope, str] = {
    TierScope.TENANT: "tenant_id", TierScope.PROJECT: "project_id", TierScope.USER: "user"
}  # fmt: skip


def scope_column(scope: str) -> str:
    """Where a charge says whose month is added up."""
    return _COLUMNS[TierScope(scope)]


def charged_by_tier_scope(tenant_id: UUID, month: datetime, tiered: Iterable[PriceWindow]) -> dict[Any, Decimal]:
    """What a month has come to by each tiered price, for whoever's month is added up."""
    found: dict[Any, Decimal] = defaultdict(lambda: ZERO)
    by_scope: dict[TierScope, list[UUID]] = defaultdict(list)
    for window in tiered:
        by_scope[window.tier_scope].append(window.id)
    for scope, ids in by_scope.items():
        rows = (
            Charge.objects.filter(
                tenant_id=tenant_id,
                billing_period_start=month,
                price_version_id__in=ids,
                is_minimum=False,
                commitment_id=None,
            )
            .order_by()
            .values_list("price_version_id", _COLUMNS[scope])
            .annotate(amount=Sum("quantity"))
        )
        for price_id, whose, amount in rows:
            found[price_id, whose, month] = amount
    return dict(found)


def metered(record: UsageRecord) -> Metered:
    return Metered(
        id=record.pk,
        tenant_id=record.tenant_id,
        project_id=record.project_id,
        user=record.user,
        flavor_id=record.flavor_id,
        unit=record.unit,
        site=record.site,
        slicing_mode=record.slicing_mode,
        service_class=record.service_class,
        start=record.start_at,
        end=record.end_at,
        held_milli=record.held_milli,
        cpu_milli=record.cpu_milli,
        memory_mib=record.memory_mib,
        power_watts=record.power_watts,
        power_milliwatts=record.power_milliwatts,
    )


def in_order(records: Sequence[UsageRecord]) -> list[UsageRecord]:
    """The order in which tiers fill up. Reversals come last."""
    key: Callable[[UsageRecord], Any] = lambda r: (r.reverses_id is not None, r.start_at, r.pk)  # noqa: E731 - a key
    return sorted(records, key=key)


def meter_unit(meter: str, unit: str) -> str:
    """As a line of an invoice names it."""
    return {Meter.MEMORY: "gib", Meter.ENERGY: "kwh", Meter.CPU: "core"}.get(Meter(meter), unit)
