"""Which price holds for what, when."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from uuid import UUID

from billing.rating.kinds import Meter, TierMode, TierScope


@dataclass(frozen=True, slots=True)
class Tier:
    """From so many units of the month on, a unit costs this."""

    start: Decimal
    unit_price: Decimal


@dataclass(frozen=True, slots=True)
class PriceWindow:
    """What an hour of a flavor's whole unit costs from one instant until before another.

    An empty text, and no flavor, is for any. `tiers` are those above the first, by rising start.
    """

    id: UUID
    flavor_id: UUID | None
    is_own: bool  # agreed with this tenant; it goes before the list price
    unit_price: Decimal
    valid_from: datetime
    valid_to: datetime | None
    meter: Meter = Meter.ACCELERATOR
    tenant_class: str = ""
    site: str = ""
    slicing_mode: str = ""
    service_class: str = ""
    tier_mode: TierMode | None = None
    tier_scope: TierScope = TierScope.TENANT
    tiers: tuple[Tier, ...] = ()
    minimum_seconds: int = 0
    step_seconds: int = 1

    def holds_at(self, at: datetime) -> bool:
        return self.valid_from <= at and (self.valid_to is None or at < self.valid_to)

    def fits(self, what: "Asked") -> bool:
        return (
            self.meter == what.meter
            and self.flavor_id in (None, what.flavor_id)
            and self.tenant_class in ("", what.tenant_class)
            and self.site in ("", what.site)
            and self.slicing_mode in ("", what.slicing_mode)
            and self.service_class in ("", what.service_class)
        )

    @property
    def rank(self) -> tuple[bool, ...]:
        """Of several that fit the greatest goes first: the tenant's own, then what names its class, and so on.

        Two of equal rank that fit the same have the same key, and of those only one holds at a time.
        """
        return (
            self.is_own,
            self.tenant_class != "",
            self.site != "",
            self.slicing_mode != "",
            self.service_class != "",
            self.flavor_id is not None,
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """What a price is looked for."""

    flavor_id: UUID
    meter: Meter = Meter.ACCELERATOR
    tenant_class: str = ""
    site: str = ""
    slicing_mode: str = ""
    service_class: str = ""


class Prices:
    """The prices that one tenant may meet in a stretch of time, ready to be asked many times."""

    def __init__(self, windows: Iterable[PriceWindow]) -> None:
        self.windows = sorted(windows, key=lambda w: w.rank, reverse=True)
        self._by_flavor: dict[UUID | None, list[PriceWindow]] = defaultdict(list)
        for window in self.windows:
            self._by_flavor[window.flavor_id].append(window)
        self._fitting: dict[Asked, list[PriceWindow]] = {}

    def at(self, what: Asked, instant: datetime) -> PriceWindow | None:
        """What is to be paid."""
        return next((w for w in self._for(what) if w.holds_at(instant)), None)

    def listed_at(self, what: Asked, instant: datetime) -> PriceWindow | None:
        """What it says on the list, for tenants with neither an agreement nor a class."""
        return next((w for w in self._for(what) if not w.is_own and not w.tenant_class and w.holds_at(instant)), None)

    def has(self, what: Asked) -> bool:
        return bool(self._for(what))

    def _for(self, what: Asked) -> list[PriceWindow]:
        found = self._fitting.get(what)
        if found is None:
            near = [*self._by_flavor.get(what.flavor_id, ()), *self._by_flavor.get(None, ())]
            found = sorted((w for w in near if w.fits(what)), key=lambda w: w.rank, reverse=True)
            self._fitting[what] = found
        return found

    def digest(self) -> str:
        """Equal for equal prices, whatever their order: what a rating was computed by."""
        lines = sorted(repr((str(w.id), str(w.flavor_id), w)) for w in self.windows)
        return sha256("\n".join(lines).encode()).hexdigest()


def edges_of(prices: Iterable[PriceWindow], start: datetime, end: datetime) -> list[datetime]:
    """Where usage between two instants has to be cut, those two included, in order."""
    inner = {at for p in prices for at in (p.valid_from, p.valid_to) if at is not None and start < at < end}
    return sorted(inner | {start, end})


def tiers_of(window: PriceWindow) -> Sequence[Tier]:
    """All tiers, the first included."""
    return (Tier(Decimal(0), window.unit_price), *window.tiers)
