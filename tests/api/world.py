"""One of each noun, all belonging to one tenant, and a digest of the whole database."""

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connection
from django.utils import timezone

from billing import capacity, gaps, metering
from billing.actions import (
    books,
    budgets,
    closing,
    commitments,
    drafts,
    exporting,
    exports,
    invoices,
    months,
    payments,
    prices,
    profiles,
    rerating,
    wallets,
)
from billing.models import CapacityHour, Charge, Export, Month, SettlementLine, UsageGap, UsageRecord
from billing.periods import month
from billing.policy import policy
from federation.actions import agents, catalogue, sites
from federation.connections import Connection
from federation.drivers.base import DeviceSeen, NodeSeen
from federation.models import (
    Accelerator,
    Agent,
    AgentRelease,
    CapacityChange,
    ClusterCredential,
    Figures,
    Image,
    Template,
    Workload,
)
from federation.reconcile import inventory
from federation.states import WorkloadState as W
from portal.actions import quotas, tenants, tokens
from portal.audit import SYSTEM
from portal.models import AccessToken, AuditEntry, Membership, Tenant
from portal.permissions import Role
from tests import certificates, factories
from tests.billing.rows import NOVEMBER, Estate, at, october


@dataclass
class World:
    """A tenant that has one of everything. `things` are its rows by the name of their list in the API."""

    things: dict[str, Any] = field(default_factory=dict)
    estate: Estate = field(default_factory=lambda: Estate(devices=4))
    agent_secret: str = ""
    join_secret: str = ""

    def __post_init__(self) -> None:
        estate, things = self.estate, self.things
        self.tenant: Tenant = estate.tenant
        self.owner = factories.user(Role.TENANT_OWNER, self.tenant)
        self.member = factories.user(Role.PROJECT_MEMBER, self.tenant, estate.project)
        department = tenants.add_department(by=self.owner, tenant=self.tenant, slug="research", name="Research")
        project = tenants.add_project(
            by=self.owner, tenant=self.tenant, slug="speech", name="Speech", department=department
        )
        flavor = estate.flavor
        things |= {
            "tenants": self.tenant,
            "departments": department,
            "projects": project,
            "users": self.member,
            "memberships": Membership.objects.get(user=self.member),
            "flavors": flavor,
            "accelerator-models": estate.model,
            "pools": estate.pool,
            "sites": estate.site,
            "clusters": estate.cluster,
            "nodes": estate.node,
            "accelerators": estate.devices[0],
            "quotas": quotas.grant(by=SYSTEM, tenant=self.tenant, project=project, flavor=flavor, nominal_milli=5000),
        }
        whose: dict[str, Any] = {"by": self.owner, "tenant": self.tenant, "slug": "ours"}
        things["images"] = catalogue.add(Image, **whose, name="Ours", form="vm", reference="a.raw", sha256="0" * 64)
        things["templates"] = catalogue.add(Template, **whose, name="Ours", work={"accelerators": 1})
        self._work()
        self._money()
        self._exports()
        self._agent()
        things["tokens"], self.token_secret = tokens.create(
            by=self.owner, user=self.owner, name="nightly", scopes=["*"], days=30, tenant=self.tenant
        )
        AccessToken.objects.update(last_used_at=timezone.now() + timedelta(days=1))  # reading leaves no trace
        things["audit-entries"] = AuditEntry.objects.filter(tenant_id=self.tenant.pk).order_by("id").first()

    def _work(self) -> None:
        estate, things = self.estate, self.things
        things["allocations"] = estate.running(at(0), at(30), device=0)
        Figures.objects.create(accelerator=estate.devices[0], busy_percent=50, at=timezone.now())
        running: Workload = things["allocations"].workload
        for state in (W.RUNNING, W.QUEUED, W.SUSPENDED, W.FAILED):
            made = factories.workload(estate.project, estate.pool) if state != W.RUNNING else running
            Workload.objects.filter(pk=made.pk).update(state=state)
            made.refresh_from_db()
            things[f"workloads {state}"] = made
        things["workloads"] = running

    def _money(self) -> None:
        estate, things = self.estate, self.things
        things["prices"] = estate.price("10", tenant=self.tenant)
        things["price-books"] = books.create(by=SYSTEM, slug=f"book-{estate.site.slug}", name="Ours", currency="CNY")
        things["tax-rules"] = books.set_tax(by=SYSTEM, book=things["price-books"], name="VAT", rate=Decimal("0.06"))
        things["billing-terms"] = books.set_terms(
            by=SYSTEM, tenant=self.tenant, book=prices.default_book("CNY"), valid_from=at(0) - timedelta(days=200)
        )
        things["credits"] = wallets.add(
            by=SYSTEM, tenant=self.tenant, currency="CNY", kind="grant", amount=Decimal(5), note="Welcome"
        )
        things["wallets"] = things["credits"].wallet
        things["budgets"] = budgets.create(
            by=SYSTEM, tenant=self.tenant, project=estate.project, limit=Decimal(10**9), currency="CNY", policy=policy()
        )
        self.unprofiled = factories.tenant()
        things["billing-profiles"] = profiles.create(by=SYSTEM, tenant=self.tenant, legal_name="Ours Ltd.")
        estate.ended(at(0), at(60))
        estate.ended(at(0) - timedelta(days=60), at(60) - timedelta(days=60))
        estate.ended(at(0) - timedelta(days=30), at(60) - timedelta(days=30))
        while metering.step():
            pass
        things["usage-records"] = UsageRecord.objects.filter(tenant_id=self.tenant.pk).order_by("id").first()
        things["commitments"] = commitments.buy(
            by=SYSTEM, tenant=self.tenant, flavor=estate.flavor, held_milli=500, unit_price=Decimal(4), currency="CNY",
            start=at(0), end=at(120),
        )  # fmt: skip
        gaps.step()
        things["usage-gaps"] = UsageGap.objects.get(tenant_id=self.tenant.pk)
        with connection.cursor() as cursor:  # cards that have been there for long
            cursor.execute("SET LOCAL session_replication_role = replica")
            CapacityChange.objects.filter(node_id=estate.node.pk).update(at=at(-60))
            cursor.execute("SET LOCAL session_replication_role = DEFAULT")
        capacity.compute(at(0))
        things["capacity-hours"] = CapacityHour.objects.get(site=estate.site.slug)
        september = month("2026-09", policy().zone)
        older = drafts.draft(by=SYSTEM, tenant=self.tenant, period=september, policy=policy())
        older = invoices.issue(by=SYSTEM, invoice=older, policy=policy())
        things["payments"] = payments.receive(
            by=SYSTEM, invoice=older, amount=Decimal(1), received_on=at(0).date(), reference="B-1"
        )
        old = drafts.draft(by=SYSTEM, tenant=self.tenant, period=october(), policy=policy())
        things["invoices issued"] = invoices.issue(by=SYSTEM, invoice=old, policy=policy())
        things["invoices"] = drafts.draft(by=SYSTEM, tenant=self.tenant, period=NOVEMBER, policy=policy())
        things["charges"] = Charge.objects.filter(tenant_id=self.tenant.pk, category="usage").order_by("id").first()
        things["proposals"] = rerating.propose(
            by=SYSTEM, tenant=self.tenant, book=prices.default_book("CNY"), start=NOVEMBER.start, end=NOVEMBER.end,
            policy=policy(),
        )  # fmt: skip

        months.ensure(policy=policy(), now=NOVEMBER.end)
        first, second = Month.objects.exclude(state="closed").order_by("period_start")[:2]
        things["months closed"], things["months"] = self._close(first), second
        things["settlements"] = SettlementLine.objects.filter(tenant_id=self.tenant.pk, side="site").first()

    def _close(self, asked: Month) -> Month:
        """The months are everybody's: another world, made later, finds its own usage late, and settled by the next."""
        period, now = month(asked.label, policy().zone), NOVEMBER.end
        months.close(by=SYSTEM, period=period, policy=policy(), accept=months.ACCEPTABLE, now=now)
        while closing.step(month_id=asked.pk, policy=policy(), now=now):
            pass
        return Month.objects.get(pk=asked.pk, state="closed")

    def _exports(self) -> None:
        whose: dict[str, Any] = {"by": SYSTEM, "tenant": self.tenant}
        keys = {"access_key": "canary-access", "secret_key": "canary-secret"}
        self.things["export-targets"] = exports.add_target(
            **whose, slug="bucket", endpoint="https://10.0.0.9", bucket="bucket", keys=keys
        )
        self.things["export-schedules"] = exports.add_schedule(
            **whose, kind="focus-1.4", format="parquet", every="day", hour=3, policy=policy()
        )
        asked = [exports.request(**whose, kind="card-hours", format="csv", period=NOVEMBER) for _ in range(2)]
        exporting.make(asked[0].pk, policy=policy(), folder=settings.EXPORTS_DIR)
        self.things["exports"], self.things["exports waiting"] = Export.objects.get(pk=asked[0].pk), asked[1]

    def _agent(self) -> None:
        site, things = self.estate.site, self.things

        def bare(slug: str) -> Any:
            return sites.add_cluster(by=SYSTEM, site=site, slug=slug, name=slug, kind="baremetal", driver="agent")

        _, secret = sites.invite_agent(by=SYSTEM, cluster=bare("bare"))
        _, self.agent_secret = agents.enrol(secret=secret, machine_id="m", hostname="h", agent_version="1")
        self.agent = Agent.objects.get(cluster__slug="bare", cluster__site=site)
        card = {
            "index": 0,
            "uuid": f"GPU-cut-{site.slug}",
            "vendor": "nvidia",
            "model": "A100-80G",
            "memory_mib": 81920,
        }
        Agent.objects.filter(pk=self.agent.pk).update(inventory={"devices": [card | {"profiles": {"1g.10gb": 7}}]})
        inventory.store(
            self.agent.cluster, [NodeSeen(name="b", cpu_milli=1000, memory_mib=1024, devices=(DeviceSeen(**card),))]
        )
        things["accelerators to cut"] = Accelerator.objects.get(uuid=card["uuid"])
        things["agent-releases"] = AgentRelease.objects.create(
            serial=AgentRelease.objects.count() + 1, agent_version="9.0.0", sha256="0" * 64, size=3, manifest="{}",
            signature="", body=b"pyz", expires_at=timezone.now(),
        )  # fmt: skip
        things["join-tokens"], self.join_secret = sites.invite_agent(by=SYSTEM, cluster=bare("waiting"))
        things["clusters waiting"] = things["join-tokens"].cluster
        things["clusters direct"] = sites.add_cluster(
            by=SYSTEM, site=site, slug="direct", name="direct", kind="kubernetes", driver="kubernetes",
            connection=Connection(certificates.server(ClusterCredential.objects.count()), token=certificates.token()),
        )  # fmt: skip

    @property
    def ids(self) -> set[str]:
        """Ids of all that nobody outside of the tenant may learn of."""
        shared = {"flavors", "accelerator-models", "pools"}
        return {str(thing.pk) for name, thing in self.things.items() if name not in shared} - {self.audit_id}

    @property
    def audit_id(self) -> str:
        return str(self.things["audit-entries"].pk)  # a small number, which may well be found anywhere


def digest_of_database() -> dict[str, str]:
    """A sum over every row of every table of ours, sessions included: equal when nothing at all has changed."""
    labels = ("portal", "federation", "billing", "sessions")
    tables = [model._meta.db_table for model in apps.get_models() if model._meta.app_label in labels]
    tables += [model._meta.db_table for model in apps.get_models(include_auto_created=True) if model._meta.auto_created]
    parts = [
        f"SELECT '{table}', md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {table} t"  # noqa: S608
        for table in sorted(set(tables))
    ]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts))
        return dict(cursor.fetchall())
