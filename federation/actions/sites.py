"""Sites and clusters: add, close to new work, empty, open again, retire."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from federation.actions import connections
from federation.connections import Connection
from federation.models import Agent, Cluster, ClusterKind, JoinToken, Site
from federation.reconcile import nesting, workloads
from federation.registry import CONNECTED, KINDS, RESERVED_SETTINGS
from federation.states import AllocationState as A
from federation.states import ClusterState as C
from portal import audit, events, hints
from portal.audit import Actor
from portal.errors import ConcurrentUpdate, Conflict, Invalid
from portal.models.tokens import digest, new_secret
from portal.transitions import move

_HUB_IN_MANIFEST, _IMAGE_IN_MANIFEST = "https://hub.example.org", "registry.example.org/aquifer-agent:0.1.0"
JOIN_TOKEN_LIFE = timedelta(hours=24)
AGENT_KINDS = frozenset({ClusterKind.BAREMETAL, ClusterKind.KUBERNETES})
AGENT_AWAY = timedelta(seconds=60)  # heard no later than this ago, an agent is in its place


@transaction.atomic
def add(*, by: Actor, slug: str, name: str, **facts: Any) -> Site:
    """A place; clusters are added to it next."""
    site = Site.objects.create(slug=slug, name=name, **facts)
    audit.record(by=by, what="site.create", target=site)
    events.publish("site", site.pk)
    return site


@transaction.atomic
def edit(*, by: Actor, site: Site, **facts: Any) -> Site:
    if not Site.objects.filter(pk=site.pk, version=site.version).update(version=F("version") + 1, **facts):
        raise ConcurrentUpdate()
    site.refresh_from_db()
    audit.record(by=by, what="site.edit", target=site, detail={k: str(v) for k, v in facts.items()})
    events.publish("site", site.pk)
    return site


@transaction.atomic
def add_cluster(
    *,
    by: Actor,
    site: Site,
    slug: str,
    name: str,
    kind: str,
    driver: str,
    settings_: dict[str, Any] | None = None,
    connection: Connection | None = None,
) -> Cluster:
    """One control endpoint at a site. It is pending until it first answers."""
    _check_driver(kind, driver, settings_ or {}, connection)
    cluster = Cluster.objects.create(
        site=site, slug=slug, name=name, kind=kind, driver=driver, settings=settings_ or {}, reason="NeverAnswered"
    )
    audit.record(by=by, what="cluster.create", target=cluster, detail={"kind": kind, "driver": driver})
    if connection:
        connections.keep(by=by, cluster=cluster, connection=connection)
    events.publish("cluster", cluster.pk)
    hints.soon("federation.tasks.reconcile_cluster", cluster.pk)
    return cluster


def _check_driver(kind: str, driver: str, given: dict[str, Any], connection: Connection | None) -> None:
    """Driver, kind, settings and connection fit together."""
    if driver not in settings.FEDERATION_DRIVERS:
        raise Invalid.field("driver", f"There is no driver {driver}.", "unknown-driver")
    if driver == "agent" and kind not in AGENT_KINDS:
        raise Invalid.field("kind", "An agent serves bare metal or a Kubernetes cluster.", "driver-kind")
    if driver not in CONNECTED:
        if connection:
            raise Invalid.field("connection", f"The driver {driver} takes no connection.", "no-connection")
        return
    if kind != KINDS.get(driver, driver):
        raise Invalid.field(
            "kind", f"The driver {driver} serves clusters of kind {KINDS.get(driver, driver)}.", "driver-kind"
        )
    if not connection:
        raise Invalid.field("connection", "Say where the cluster is and how to be let in.", "required")
    for name in sorted(RESERVED_SETTINGS & given.keys()):
        raise Invalid.field(f"settings/{name}", "This belongs into the connection.", "reserved")


def agent_manifest() -> str:
    """The plain manifest of a cluster's agent, with this hub's address and image in it."""
    text = (settings.BASE_DIR / "deploy" / "kubernetes" / "agent.yaml").read_text(encoding="utf-8")
    _, _, objects = text.partition("\n---\n")
    objects = objects.replace(f"--hub={_HUB_IN_MANIFEST}", f"--hub={settings.PUBLIC_URL}")
    return "---\n" + objects.replace(_IMAGE_IN_MANIFEST, settings.AGENT_IMAGE)


@transaction.atomic
def invite_agent(*, by: Actor, cluster: Cluster) -> tuple[JoinToken, str]:
    """A one-time token with which one agent enrols this cluster; its secret is shown this once.

    An agent that is away can be replaced by this: its own secret is void as soon as the new one has enrolled.
    """
    if cluster.driver != "agent":
        raise Invalid.field("cluster", "This cluster is not served by an agent.", "not-an-agent")
    agent = Agent.objects.filter(cluster=cluster, revoked_at=None).first()
    if agent is not None and timezone.now() - (agent.reported_at or agent.created_at) < AGENT_AWAY:
        raise Conflict("An agent is in its place here. Stop it first, and wait a minute.")
    secret = new_secret("join")
    token = JoinToken.objects.create(
        cluster=cluster, prefix=secret[:13], digest=digest(secret), expires_at=timezone.now() + JOIN_TOKEN_LIFE
    )
    audit.record(by=by, what="join-token.create", target=token, detail={"cluster": cluster.slug})
    return token, secret


@transaction.atomic
def pause(*, by: Actor, cluster: Cluster) -> Cluster:
    """No new work; what runs goes on."""
    return _wish(by, cluster, C.MAINTENANCE, "pause", "PausedByOperator")


@transaction.atomic
def drain(*, by: Actor, cluster: Cluster) -> Cluster:
    """No new work, and what runs is stopped here and queued anew for elsewhere."""
    _wish(by, cluster, C.DRAINING, "drain", "DrainedByOperator")
    evict(
        by,
        cluster.allocations.filter(state__in=(A.RESERVED, A.STARTING, A.ACTIVE)),
        "ClusterDrained",
        cluster.name,
    )
    return cluster


@transaction.atomic
def resume(*, by: Actor, cluster: Cluster) -> Cluster:
    """Open for work again, as soon as it answers."""
    return _wish(by, cluster, C.PENDING, "resume", "ResumedByOperator", next_check_at=Now())


@transaction.atomic
def retire(*, by: Actor, cluster: Cluster) -> Cluster:
    """The end. Only when nothing is held there any more."""
    if cluster.allocations.holding().exists():
        raise Conflict("Work still holds hardware here. Drain the cluster first.")
    connections.forget(cluster)
    retired = _wish(by, cluster, C.RETIRED, "retire", "RetiredByOperator", next_check_at=None)
    nesting.forget(cluster)  # what is seen elsewhere too counts there from now on
    return retired


def _wish(by: Actor, cluster: Cluster, to: C, verb: str, reason: str, **values: Any) -> Cluster:
    move(cluster, to, by=by, reason=reason, **values)
    audit.record(by=by, what=f"cluster.{verb}", target=cluster)
    hints.soon("federation.tasks.reconcile_cluster", cluster.pk)
    return cluster


def evict(by: Actor, allocations: Any, reason: str, where: str) -> None:
    """Stop these allocations; their workloads go back to the queue. Workloads are locked in id order."""
    for workload_id in allocations.order_by("workload_id").values_list("workload_id", flat=True).distinct():
        workload = workloads.lock(workload_id)
        for allocation in allocations.filter(workload=workload).order_by("pk"):
            workloads.stop(allocation, by=by, reason=reason, message=f"{where} is being emptied.")
        workloads.follow(workload)
