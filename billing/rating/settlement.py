"""Who owes whom for what was used where: between member sites, and between the departments of a tenant.

A member whose tenant used another's cards owes for them; a department owes its tenant's centre, which pays invoices.
What a party owes and is owed comes out as its net position, and all positions of a currency add up to zero.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from billing.rating.money import ZERO, less, plus


class Side(StrEnum):
    SITE = "site"
    DEPARTMENT = "department"


@dataclass(frozen=True, slots=True)
class Share:
    """What a project of a tenant used at a site in a month. No site: what the hub sells itself."""

    tenant_id: UUID
    project_id: UUID | None
    site: str
    period: str
    currency: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Owed:
    """An amount that one party owes to another. Below zero: what was settled before was too much.

    Between sites a party is a site's slug, and "" the hub; between departments a department's, and "" the centre.
    """

    side: Side
    tenant_id: UUID
    debtor: str
    creditor: str
    period: str
    currency: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Position:
    owes: Decimal
    is_owed: Decimal

    @property
    def net(self) -> Decimal:
        return less(self.is_owed, self.owes)


def settle(shares: Iterable[Share], homes: Mapping[UUID, str], departments: Mapping[UUID, str]) -> list[Owed]:
    """One for each pair of parties, tenant, month and currency, in order. What a party owes itself is nothing."""
    sums: dict[tuple[str, str, str, str, str, str], Decimal] = defaultdict(lambda: ZERO)
    tenants: dict[str, UUID] = {}
    for share in shares:
        tenants[str(share.tenant_id)] = share.tenant_id
        home = homes.get(share.tenant_id, "")
        department = departments.get(share.project_id, "") if share.project_id else ""
        for side, debtor, creditor in ((Side.SITE, home, share.site), (Side.DEPARTMENT, department, "")):
            if debtor != creditor:
                key = (side.value, str(share.tenant_id), debtor, creditor, share.period, share.currency)
                sums[key] = plus(sums[key], share.amount)
    return [
        Owed(Side(side), tenants[tenant], debtor, creditor, period, currency, amount)
        for (side, tenant, debtor, creditor, period, currency), amount in sorted(sums.items())
        if amount
    ]


def positions(owed: Iterable[Owed]) -> dict[tuple[str, str], Position]:
    """By party and currency. Give the lines of one side, and of departments those of one tenant."""
    found: dict[tuple[str, str], Position] = defaultdict(lambda: Position(ZERO, ZERO))
    for line in owed:
        there = found[line.debtor, line.currency]
        found[line.debtor, line.currency] = Position(plus(there.owes, line.amount), there.is_owed)
        there = found[line.creditor, line.currency]
        found[line.creditor, line.currency] = Position(there.owes, plus(there.is_owed, line.amount))
    return dict(sorted(found.items()))


def statement(owed: Iterable[Owed], party: str) -> list[Owed]:
    """What one party sees: what it owes, and what it is owed."""
    return [line for line in owed if party in (line.debtor, line.creditor)]
