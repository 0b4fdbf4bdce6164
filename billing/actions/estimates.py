"""What work may cost at worst, before anything of it runs: which cards it may get where, at which prices."""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from itertools import product
from uuid import UUID

from django.db.models import Q

from billing.actions.rates import terms_of
from billing.models import Budget, PriceVersion
from billing.periods import month_of
from billing.policy import Policy
from billing.rating import ServiceClass
from billing.rating import estimates as pure
from billing.rating.charges import Metered
from billing.rating.prices import Prices, PriceWindow
from federation.models import Accelerator, AcceleratorModel, Workload
from federation.placement.filters import step_up
from portal.models import ResourceFlavor

_NOBODY = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Estimate:
    """`rate` is what an hour costs at most. `run` is what one run is billed at most; none: it has no time limit."""

    currency: str
    rate: Decimal
    run: int | None
    runs: int
    is_priced: bool

    def seconds(self, budget: Budget | None, now: datetime, month_end: datetime) -> int:
        """How long it may run within this month; without a time limit, up to the budget's horizon."""
        room = max(math.ceil((month_end - now).total_seconds()), 0)
        if self.run is not None:
            return min(self.run * self.runs, room)
        horizon = budget.horizon_hours if budget is not None else None
        return room if horizon is None else min(room, horizon * 3600)

    def cost(self, budget: Budget | None, now: datetime, month_end: datetime) -> Decimal:
        return pure.worst_case(self.rate, self.seconds(budget, now, month_end))


class Estimator:
    """For work of one tenant, by the prices that are known now until the month ends. Asked of many, it reads once."""

    def __init__(self, tenant_id: UUID, policy: Policy, now: datetime) -> None:
        self.now, self.end = now, month_of(now, policy.zone).end
        known = list(terms_of(tenant_id, policy.currency, self.end))
        present = next(t for t in reversed(known) if t.since is None or t.since <= now)
        # What begins before the month ends in another currency is on other budgets.
        self._terms = [t for t in known if t is present or (t.since and t.since > now)]
        self._terms = [t for t in self._terms if t.currency == present.currency]
        self.currency = present.currency
        rows = PriceVersion.objects.filter(Q(tenant=None) | Q(tenant_id=tenant_id))
        by_book: dict[UUID | None, list[PriceWindow]] = defaultdict(list)
        for row in rows.filter(book__in={t.book_id for t in self._terms}).holding(now, self.end):
            by_book[row.book_id].append(row.window())
        self._prices = {t.book_id: Prices(by_book[t.book_id]) for t in self._terms}
        self._windows = [w for prices in self._prices.values() for w in prices.windows]
        edges = {at for w in self._windows for at in (w.valid_from, w.valid_to) if at is not None}
        self._instants = [now, *sorted(at for at in edges if now < at < self.end)]

    def of(self, work: Workload) -> Estimate:
        may_be = list(self._may_be(work))
        found = [pure.hourly(may_be, self._prices[t.book_id], t.tenant_class, self._instants) for t in self._terms]
        limit = run_limit(work)
        run = None if limit is None else pure.billed_seconds(limit, self._windows)
        runs = 1 + max(work.max_retries - work.retries, 0)
        return Estimate(self.currency, max(found), run, runs, bool(self._windows))

    def _may_be(self, work: Workload) -> Iterator[Metered]:
        """All that it may be granted, as far as prices tell it apart."""
        sites = {w.site for w in self._windows if not work.site_slugs or w.site in work.site_slugs} | {""}
        modes = {w.slicing_mode for w in self._windows}
        modes = {mode for mode in modes if not work.slicing_modes or mode in work.slicing_modes} | {""}
        for flavor_id, unit, held, watts in self._flavors(work):
            one = Metered(
                id=_NOBODY, tenant_id=work.tenant_id, project_id=work.project_id, user=work.submitted_by,
                flavor_id=flavor_id, unit=unit, site="", slicing_mode="", service_class="",
                start=self.now, end=self.now + timedelta(hours=1), held_milli=held * work.replicas,
                cpu_milli=work.cpu_milli * work.replicas, memory_mib=work.memory_mib * work.replicas,
                power_watts=watts,
            )  # fmt: skip
            for site, mode, service_class in product(sites, modes, ServiceClass):
                yield replace(one, site=site, slicing_mode=mode, service_class=service_class)

    def _flavors(self, work: Workload) -> Iterator[tuple[UUID, str, int, int]]:
        """Of each that it may be granted: the unit, how much of it one member holds at most, nominal watts."""
        if not work.accelerators:
            for pk in self._cores:
                yield pk, "core", work.cpu_milli, 0
            return
        for pk, name, flavor_id, watts in self._models:
            if all(not names or name in names for names in (work.model_names, work.pool.model_names)):
                held = work.accelerator_milli
                if held < 1000:
                    held = max((step_up(held, step) for step in self._steps[pk]), default=held)
                yield flavor_id, "device", work.accelerators * held, watts or 0

    @cached_property
    def _cores(self) -> list[UUID]:
        return list(ResourceFlavor.objects.filter(unit=ResourceFlavor.Unit.CORE).values_list("pk", flat=True))

    @cached_property
    def _models(self) -> list[tuple[UUID, str, UUID, int | None]]:
        return list(AcceleratorModel.objects.values_list("pk", "name", "flavor_id", "power_watts"))

    @cached_property
    def _steps(self) -> dict[UUID, list[int]]:
        """To which steps shares of a model's cards are rounded up."""
        found: dict[UUID, list[int]] = defaultdict(list)
        cards = Accelerator.objects.filter(is_present=True).order_by()
        for pk, step in cards.values_list("model_id", "step_milli").distinct():
            found[pk].append(step)
        return found


def run_limit(work: Workload) -> int | None:
    """The longest that one run of it takes: its time limit, and what it is given to end."""
    return None if work.max_seconds is None else work.max_seconds + work.grace_seconds
