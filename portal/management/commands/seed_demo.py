"""A federation to look at before one has one: simulated, marked as demo, and run by the real machinery."""

import time
from decimal import Decimal
from random import Random
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import transaction

from billing.actions import prices
from federation.actions import pools, sites, workloads
from federation.models import AcceleratorModel, Cluster, Pool, Site
from federation.reconcile import inventory
from federation.registry import driver_for
from portal.actions import members, quotas, tenants
from portal.audit import SYSTEM
from portal.models import Project, Quota, ResourceFlavor, Tenant
from portal.permissions import Role

SITES = (
    # slug, name, region, kind, devices, price of a kWh, grams of CO2 per kWh
    ("shanghai", "Shanghai AI Centre", "CN-SH", "kubernetes", 900, "0.68", "581"),
    ("beijing", "Beijing Research Cloud", "CN-BJ", "openstack", 520, "0.74", "604"),
    ("shenzhen", "Shenzhen KVM Hall", "CN-GD", "kvm", 360, "0.71", "448"),
    ("guiyang", "Guiyang Bare Metal", "CN-GZ", "baremetal", 220, "0.39", "495"),
)
TENANTS = (
    ("bank", "Riverbank Bank", ("risk", "Risk models"), ("assistant", "Assistant")),
    ("university", "Lakeside University", ("vision", "Vision lab"), ("language", "Language lab")),
    ("studio", "Northlight Studio", ("render", "Rendering")),
)
# An hour of one whole device in CNY. Models that are not listed are priced by their memory.
PRICES = {"H200": 22, "H100": 18, "A100-80G": 9, "A100-40G": 7, "B200": 34, "L40S": 6, "A10": 3, "T4": 2, "910B": 8}
CPU_PRICE = Decimal("0.12")
KINDS = ("training", "inference", "notebook", "batch")


class Command(BaseCommand):
    help = "Make the demo federation, if it is not there: four simulated sites with 2,000 accelerators, and work."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--seed", type=int, default=2026)
        parser.add_argument("--workloads", type=int, default=420)

    def handle(self, *args: Any, **options: Any) -> None:
        if Site.objects.filter(is_demo=True).exists():
            return
        began = time.monotonic()
        random = Random(options["seed"])
        with transaction.atomic():  # all or nothing: a start that was cut short begins again
            clusters = [_site(row, options["seed"] + n) for n, row in enumerate(SITES)]
            pool = pools.create(by=SYSTEM, slug="everything", name="Everything", clusters=clusters)
            pools.create(
                by=SYSTEM, slug="big", name="Big training", clusters=clusters[:2], model_names=["H100", "H200", "B200"]
            )
            projects = [project for row in TENANTS for project in _tenant(row)]
            _prices()
            _quotas(projects)
            _people()
            for number in range(options["workloads"]):
                _workload(random, number, random.choice(projects), pool)
            _never_placed(projects[0], pool)
        self.stdout.write(f"Demo federation made in {time.monotonic() - began:.1f} s.")


def _site(row: tuple[str, str, str, str, int, str, str], seed: int) -> Cluster:
    slug, name, region, kind, devices, power, carbon = row
    site = sites.add(
        by=SYSTEM, slug=slug, name=name, region=region, power_price_per_kwh=Decimal(power),
        carbon_grams_per_kwh=Decimal(carbon), is_demo=True,
    )  # fmt: skip
    cluster = sites.add_cluster(
        by=SYSTEM, site=site, slug=slug, name=f"{name} {kind}", kind=kind, driver="fake",
        settings_={"seed": seed, "accelerators": devices},
    )  # fmt: skip
    inventory.store(cluster, inventory.believable(driver_for(cluster).inventory())[0])
    return cluster


def _tenant(row: Any) -> list[Project]:
    slug, name, *projects = row
    tenant = tenants.create(by=SYSTEM, slug=slug, name=name, is_demo=True)
    return [tenants.add_project(by=SYSTEM, tenant=tenant, slug=s, name=n) for s, n in projects]


def _prices() -> None:
    for model in AcceleratorModel.objects.select_related("flavor"):
        amount = PRICES.get(model.name) or max((model.memory_mib or 16384) // 16384, 1)
        prices.set_price(by=SYSTEM, flavor=model.flavor, unit_price=Decimal(amount), currency=settings.BILLING_CURRENCY)
    prices.set_price(by=SYSTEM, flavor=quotas.cpu_flavor(), unit_price=CPU_PRICE, currency=settings.BILLING_CURRENCY)


def _quotas(projects: list[Project]) -> None:
    """Each project may hold a fifth of each model, and a little more while it lies idle."""
    for model in AcceleratorModel.objects.select_related("flavor"):
        devices = model.accelerators.count()
        for project in projects:
            quotas.grant(
                by=SYSTEM, tenant=project.tenant, project=project, flavor=model.flavor,
                nominal_milli=max(devices // len(projects), 1) * 1000, borrowing_limit_milli=devices * 50,
            )  # fmt: skip
    for project in projects:
        quotas.grant(
            by=SYSTEM, tenant=project.tenant, project=project, flavor=quotas.cpu_flavor(), nominal_milli=2_000_000
        )


def _people() -> None:
    """One owner per tenant, who signs in by a link (manage.py one_time_login --user NAME)."""
    for tenant in Tenant.objects.filter(is_demo=True):
        owner = members.create_user(by=SYSTEM, username=f"{tenant.slug}-owner", name=f"Owner of {tenant.name}")
        members.add(by=SYSTEM, user=owner, role=Role.TENANT_OWNER, tenant=tenant)


def _workload(random: Random, number: int, project: Project, pool: Pool) -> None:
    kind = random.choice(KINDS)
    devices = random.choice((1, 1, 1, 2, 4, 8)) if kind in ("training", "batch") else 1
    milli = random.choice((125, 250, 500, 1000)) if kind in ("inference", "notebook") else 1000
    names = random.choice(((), (), ("A100-80G",), ("H100", "H200"), ("910B",))) if milli == 1000 else ()
    known = set(AcceleratorModel.objects.filter(name__in=names).values_list("name", flat=True))
    members = random.choice((1, 1, 1, 2, 4)) if devices == 8 else 1
    workloads.submit(
        by=SYSTEM, project=project, pool=pool, name=f"{kind}-{project.slug}-{number:03d}", kind=kind,
        accelerators=devices, accelerator_milli=milli, model_names=[n for n in names if n in known],
        replicas=members, topology="rack" if members == 2 else "site",
        cpu_milli=random.choice((2000, 4000, 8000)) * devices, memory_mib=random.choice((8192, 16384)) * devices,
        priority=random.choice((0, 0, 0, 10)), command=["python", f"{kind}.py"],
        run_seconds=random.choice((None, 600.0, 1800.0, 7200.0, 43200.0)) if kind != "inference" else None,
    )  # fmt: skip


def _never_placed(project: Project, pool: Pool) -> None:
    """One of each way to wait, so that each reason can be seen."""
    common: dict[str, Any] = {"by": SYSTEM, "project": project, "pool": pool, "kind": "training"}
    common["command"] = ["python", "train.py"]
    workloads.submit(**common, name="too-many-cards", accelerators=64)
    workloads.submit(**common, name="beyond-quota", accelerators=8, replicas=200)
    workloads.submit(**common, name="not-on-one-rack", accelerators=8, replicas=12, topology="rack")
    workloads.submit(**common, name="no-such-region", accelerators=1, regions=["US"])
    workloads.submit(**common, name="too-much-memory", accelerators=1, memory_mib=64 * 1024 * 1024)
    no_quota = Quota.objects.filter(project=project, flavor=ResourceFlavor.objects.filter(model="T4").first()).first()
    if no_quota is not None:
        quotas.change(by=SYSTEM, quota=no_quota, nominal_milli=0, borrowing_limit_milli=0)
        workloads.submit(**common, name="no-quota", accelerators=1, model_names=["T4"])
