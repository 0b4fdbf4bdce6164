"""Many tenants at once, whose usage is written as metering would: what a property needs that has to see a database."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from uuid import UUID

from billing.actions import books, prices
from billing.models import BillingTerm, PriceBook, TenantClass, UsageRecord
from billing.policy import policy
from billing.rating import Tier, TierMode, quantity_of
from billing.rating.timeline import hours
from portal import bulk
from portal.audit import SYSTEM
from portal.models import Project, ResourceFlavor, Tenant
from tests.billing.rows import NOVEMBER
from tests.factories import numbers

SITES = ("east", "west")
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
_LENGTH = int((NOVEMBER.end - NOVEMBER.start).total_seconds())


@dataclass(frozen=True, slots=True)
class Run:
    tenant: Tenant
    project: Project
    flavor: ResourceFlavor
    site: str
    service_class: str
    start: datetime
    seconds: int
    held_milli: int
    id: UUID
    event: int

    def records(self) -> Iterator[UsageRecord]:
        for start, end in hours(self.start, self.start + timedelta(seconds=self.seconds), [NOVEMBER.end]):
            seconds = int((end - start).total_seconds())
            yield UsageRecord(
                allocation_id=self.id, workload_id=self.id, workload="train", tenant_id=self.tenant.pk,
                tenant=self.tenant.name, project_id=self.project.pk, project=self.project.name,
                flavor_id=self.flavor.pk, flavor=self.flavor.name, unit="device", site=self.site, cluster="main",
                node="node", slicing_mode="exclusive", service_class=self.service_class, start_at=start, end_at=end,
                seconds=seconds, held_milli=self.held_milli, milli_seconds=seconds * self.held_milli,
                quantity=quantity_of(seconds * self.held_milli), proof_at=end, event_ids=[self.event],
            )  # fmt: skip


@dataclass
class Crowd:
    """Tenants of all classes, two currencies, taxed or not; flavors at prices that change within the month."""

    random: Random
    size: int
    is_tiered: bool = False
    has_terms: bool = True
    tenants: list[Tenant] = field(default_factory=list)
    projects: dict[UUID, list[Project]] = field(default_factory=dict)
    flavors: list[ResourceFlavor] = field(default_factory=list)

    def __post_init__(self) -> None:
        n = next(numbers)
        self.tenants = Tenant.objects.bulk_create(
            Tenant(slug=f"crowd-{n}-{i}", name=f"Institute {i}") for i in range(self.size)
        )
        made = Project.objects.bulk_create(
            Project(tenant=tenant, slug=f"crowd-{n}-{i}", name=f"Project {i}")
            for tenant in self.tenants
            for i in range(2)
        )
        for project in made:
            self.projects.setdefault(project.tenant_id, []).append(project)
        self.flavors = [
            ResourceFlavor.objects.create(name=f"crowd-{n}-{i}", vendor="nvidia", model=f"m{n}-{i}") for i in range(3)
        ]
        listed = prices.default_book(policy().currency)
        dollars = books.create(by=SYSTEM, slug=f"usd-{n}", name="Dollars", currency="USD")
        for book in (listed, dollars):
            self._priced(book)
            rate = Decimal(self.random.randrange(0, 200_000)).scaleb(-6)
            books.set_tax(by=SYSTEM, book=book, name=f"Tax {n}", rate=rate, valid_from=LONG_AGO)
        if self.has_terms:
            self._terms(listed, dollars)

    def _terms(self, listed: PriceBook, dollars: PriceBook) -> None:
        BillingTerm.objects.bulk_create(
            BillingTerm(
                tenant=tenant, book=self.random.choice([listed, listed, dollars]),
                tenant_class=self.random.choice(list(TenantClass)), is_taxed=self.random.random() < 0.7, valid_from=at,
            )
            for tenant in self.tenants
            for at in [LONG_AGO, *([self.instant()] if self.random.random() < 0.3 else [])]
        )  # fmt: skip

    def instant(self) -> datetime:
        return NOVEMBER.start + timedelta(seconds=self.random.randrange(_LENGTH))

    def _priced(self, book: PriceBook) -> None:
        for flavor in self.flavors:
            edges = sorted({LONG_AGO, *(self.instant() for _ in range(self.random.randrange(4)))})
            for begins, ends in zip(edges, [*edges[1:], None], strict=True):
                if self.random.random() < 0.1:
                    continue  # a while without a price
                for key in ({}, {"tenant_class": "internal"}, {"service_class": "best-effort"}):
                    if key and self.random.random() < 0.5:
                        continue
                    tiers = [Tier(Decimal(n), self._price()) for n in (3, 9)] if self._has_tiers() else []
                    prices.set_price(
                        by=SYSTEM, flavor=flavor, unit_price=self._price(), currency=book.currency, book=book,
                        valid_from=begins, valid_to=ends,
                        terms=prices.Terms(**key, tiers=tiers, tier_mode=TierMode.GRADUATED if tiers else ""),
                    )  # fmt: skip

    def _price(self) -> Decimal:
        return Decimal(self.random.randrange(10**8)).scaleb(-6)

    def _has_tiers(self) -> bool:
        return self.is_tiered and self.random.random() < 0.5

    def run(self, tenant: Tenant, longest: int = 20_000, within: int = _LENGTH) -> Run:
        seconds = self.random.randrange(1, longest)
        start = NOVEMBER.start + timedelta(seconds=self.random.randrange(within - seconds))
        return Run(
            tenant, self.random.choice(self.projects[tenant.pk]), self.random.choice(self.flavors),
            self.random.choice(SITES), self.random.choice(["guaranteed", "over-quota", "best-effort"]), start, seconds,
            self.random.choice([1, 125, 333, 500, 1000, 8000]), UUID(int=self.random.getrandbits(128)),
            self.random.randrange(1, 2**40),
        )  # fmt: skip


_FIELDS = [f for f in UsageRecord._meta.concrete_fields if not f.has_db_default()]


def write(records: Sequence[UsageRecord]) -> None:
    bulk.insert(
        UsageRecord, [f.name for f in _FIELDS], [tuple(getattr(r, f.attname) for f in _FIELDS) for r in records]
    )
