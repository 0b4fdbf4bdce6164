"""The agent's two calls: enrol once, then report and be told.

Reports are complete: what an agent does not mention, it does not hold. They are taken in order, under the
agent's row lock, and an older one is refused. The agent of a whole cluster may say that it does not know its work
just now (null): then nothing is concluded.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone
from psycopg.types.json import Jsonb

from federation import calls
from federation.actions import agent_nodes, agent_releases, partitions
from federation.models import Agent, AgentOrder, Allocation, Cluster, JoinToken, LogPart
from federation.states import AllocationState as A
from federation.states import ClusterState
from portal import audit, hints
from portal.audit import SYSTEM
from portal.errors import AgentIdentityInUse, BadCredential, ReportOutOfOrder
from portal.models.tokens import digest, new_secret

POLL_SECONDS = 1.0
MOST_POLL_SECONDS = 4.0
WORK_PER_SECOND = 2000  # so much work makes reports a second rarer
SITE_FRESH_SECONDS = 20.0  # an older look of an agent at its cluster proves nothing
IDENTITY_LEASE_SECONDS = 10.0
TWIN_SECONDS = 5.0  # after the last refusal of another process with the same identity
MOST_LOG_BYTES = 16 * 1024 * 1024  # of one allocation; the agent cuts there as well
_LIVE = (A.RESERVED, A.STARTING, A.ACTIVE, A.STOPPING, A.LOST)


@transaction.atomic
def enrol(*, secret: str, machine_id: str, hostname: str, agent_version: str) -> tuple[Agent, str]:
    """Use up a join token; the agent and its own secret. Used, expired and unknown tokens look the same."""
    token = JoinToken.objects.select_for_update().filter(digest=digest(secret)).select_related("cluster").first()
    if token is None or token.used_at or token.expires_at < timezone.now():
        raise BadCredential("This join token is not valid, has expired or was used already.")
    if token.cluster.state == ClusterState.RETIRED:
        raise BadCredential("This cluster has been retired.")
    JoinToken.objects.filter(pk=token.pk).update(used_at=Now())
    own = new_secret("agent")
    Agent.objects.filter(cluster=token.cluster).delete()
    agent = Agent.objects.create(
        cluster=token.cluster,
        digest=digest(own),
        machine_id=machine_id,
        hostname=hostname,
        agent_version=agent_version,
    )
    audit.record(by=SYSTEM, what="agent.enrol", target=token.cluster, detail={"hostname": hostname})
    return agent, own


def authenticate(secret: str) -> Agent:
    """The agent that this secret belongs to."""
    agent = (
        Agent.objects.select_related("cluster")
        .filter(digest=digest(secret), revoked_at=None)
        .exclude(cluster__state=ClusterState.RETIRED)
        .first()
    )
    if agent is None:
        raise BadCredential("This agent is not known here (any more).")
    return agent


@transaction.atomic
def sync(*, agent: Agent, report: dict[str, Any]) -> dict[str, Any]:
    """Take one report, and answer with the full list of what this site is to run and to end."""
    agents = Agent.objects.select_for_update(of=("self",)).select_related("cluster__agent_updates")
    agent = agents.get(pk=agent.pk)
    boot, seq = UUID(str(report["boot_id"])), int(report["seq"])
    is_first = _check_order(agent, boot, seq)
    _note_report(agent, report, boot, seq)
    cluster = agent.cluster
    work = {str(item["ref"]): item for item in report.get("work") or []}
    if report.get("work") is not None and _is_fresh(report.get("site")):
        _take_work(cluster, work)
    nodes = agent_nodes.take(agent, report["nodes"]) if report.get("nodes") else None
    offsets = _take_logs(cluster, report.get("logs", []))
    partitions.take(cluster, report.get("partitions") or [])
    if is_first or cluster.state in (ClusterState.PENDING, ClusterState.STALE, ClusterState.DISCONNECTED):
        Cluster.objects.filter(pk=cluster.pk).update(next_check_at=Now())
        hints.soon("federation.tasks.reconcile_cluster", cluster.pk)
    return {
        "epoch": cluster.epoch,
        "orders": _orders(cluster, work, is_cluster=report.get("site") is not None),
        "log_offsets": offsets,
        "calls": calls.waiting(cluster),
        "nodes": nodes,
        "partitions": partitions.wishes(cluster) if report.get("site") is None else {},
        "release": agent_releases.offer(agent) if report.get("agent") else None,
        "want_inventory": agent.inventory is None and report.get("inventory") is None,
        "poll_seconds": min(POLL_SECONDS + len(work) / WORK_PER_SECOND, MOST_POLL_SECONDS),
    }


def _check_order(agent: Agent, boot: UUID, seq: int) -> bool:
    """Refuse an older report, and a second agent while the first one lives. True for a new process."""
    if agent.boot_id == boot:
        if seq <= agent.seq:
            raise ReportOutOfOrder()
        return False
    if agent.boot_id is not None and agent.reported_at is not None:
        age = (timezone.now() - agent.reported_at).total_seconds()
        if age < IDENTITY_LEASE_SECONDS:
            raise AgentIdentityInUse(f"Another process with this identity reported {age:.0f} s ago.")
    return True


def _note_report(agent: Agent, report: dict[str, Any], boot: UUID, seq: int) -> None:
    values: dict[str, Any] = {
        "boot_id": boot,
        "seq": seq,
        "reported_at": Now(),
        "site": report.get("site"),
    }
    if report.get("figures") is not None:
        values["figures"] = report["figures"]
    sent = report.get("sent_at")
    if isinstance(sent, datetime):
        values["clock_skew_seconds"] = (sent - timezone.now()).total_seconds()
    if said := report.get("agent"):
        agent.agent_version = values["agent_version"] = said["version"]
        values["release"] = said.get("release")
    if agent.clash_at is not None and (timezone.now() - agent.clash_at).total_seconds() < TWIN_SECONDS:
        values["twin_at"] = Now()  # the other one was refused, and this one goes on: it is no restart
    if report.get("inventory") is not None:
        values["inventory"] = report["inventory"]
        Cluster.objects.filter(pk=agent.cluster_id).update(inventory_at=None)
    Agent.objects.filter(pk=agent.pk).update(**values)


def note_clash(agent: Agent) -> None:
    """Another process was refused. A restart looks like this, too, but then this one reports no more."""
    Agent.objects.filter(pk=agent.pk).update(clash_at=Now())


def _is_fresh(site: dict[str, Any] | None) -> bool:
    """The agent of one machine always knows; that of a cluster, when it has looked a moment ago."""
    if site is None:
        return True
    silent = site.get("silent_seconds")
    return silent is not None and silent <= SITE_FRESH_SECONDS


def _take_work(cluster: Cluster, work: dict[str, Any]) -> None:
    """Write down what the agent says of each order; wake those whose state is news."""
    woken: list[UUID] = []
    news: dict[UUID, dict[str, Any]] = {}
    for order in AgentOrder.objects.filter(cluster=cluster).filter(
        Q(desired=AgentOrder.Desired.RUN) | ~Q(observed__state="absent") | Q(observed=None)
    ):
        said = work.get(str(order.ref))
        was = (order.observed or {}).get("state")
        if said is None:
            # Wanted, and never yet seen: it has not been taken on. Otherwise its absence is the proof.
            if order.desired == AgentOrder.Desired.RUN and was is None:
                continue
            said = {"state": "absent"}
        if said != order.observed:
            news[order.ref] = said
        if said["state"] != was:
            woken.append(order.ref)
    _write_observed(news)
    running = {ref: item for ref, item in work.items() if item.get("state") == "running"}
    _prove_life(cluster, running)
    Allocation.objects.wake(woken)
    for ref in woken:
        hints.soon("federation.tasks.reconcile_allocation", ref)


def _write_observed(news: dict[UUID, dict[str, Any]]) -> None:
    """One statement, however much work there is."""
    if not news:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE federation_agentorder AS o SET observed = said.word, observed_at = now()
               FROM unnest(%s::uuid[], %s::jsonb[]) AS said (ref, word) WHERE o.ref = said.ref""",
            [[*news], [Jsonb(word) for word in news.values()]],
        )


_FIGURES = (
    "cpu_milli", "memory_mib", "disk_read_kibps", "disk_write_kibps", "net_in_kibps", "net_out_kibps",
)  # fmt: skip


def _prove_life(cluster: Cluster, running: dict[str, dict[str, Any]]) -> None:
    if not running:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE federation_allocation AS a
               SET proof_at = now(), used_cpu_milli = said.cpu, used_memory_mib = said.memory,
                 used_disk_read_kibps = said.disk_read, used_disk_write_kibps = said.disk_write,
                 used_net_in_kibps = said.net_in, used_net_out_kibps = said.net_out
               FROM unnest(%s::uuid[], %s::int4[], %s::int4[], %s::int4[], %s::int4[], %s::int4[], %s::int4[])
                 AS said (ref, cpu, memory, disk_read, disk_write, net_in, net_out)
               WHERE a.id = said.ref AND a.cluster_id = %s""",
            [
                [*running],
                *([item.get(name) for item in running.values()] for name in _FIGURES),
                cluster.pk,
            ],
        )


def _take_logs(cluster: Cluster, parts: list[dict[str, Any]]) -> dict[str, int]:
    """Append the pieces that follow on what is there; the offsets wanted next, for all live work."""
    for part in parts:
        size = int(part.get("size") or len(str(part["text"]).encode()))
        order = AgentOrder.objects.filter(ref=part["ref"], cluster=cluster).first()
        if (
            order is None
            or order.log_offset != int(part["offset"])
            or order.log_offset + size > MOST_LOG_BYTES
            or not size
        ):
            continue
        LogPart.objects.create(
            allocation_id=part["ref"],
            start=order.log_offset,
            size=int(part.get("size") or size),
            text=part["text"],
        )
        AgentOrder.objects.filter(pk=order.pk).update(log_offset=F("log_offset") + size)
    live = AgentOrder.objects.filter(cluster=cluster).exclude(observed__state="absent")
    return {str(ref): offset for ref, offset in live.values_list("ref", "log_offset")}


def _orders(cluster: Cluster, work: dict[str, Any], *, is_cluster: bool) -> list[dict[str, Any]]:
    """What is wanted, and an end for everything the agent holds that is not.

    The agent of a cluster is spared the spec of what it reports at work as ordered: thousands, once a second.
    """
    rows = AgentOrder.objects.filter(cluster=cluster).filter(Q(desired=AgentOrder.Desired.RUN) | Q(ref__in=list(work)))
    wanted = set(Allocation.objects.filter(cluster=cluster, state__in=_LIVE).values_list("pk", flat=True))
    orders, known = [], set()
    for row in rows:
        known.add(str(row.ref))
        is_run = row.desired == AgentOrder.Desired.RUN and row.ref in wanted
        if row.desired == AgentOrder.Desired.RUN and (row.observed or {}).get("state") == "absent":
            continue  # it ended and is gone: not to be started again
        orders.append(
            {
                "ref": str(row.ref),
                "generation": row.generation,
                "epoch": row.epoch,
                "desired": "run" if is_run else "absent",
                "spec": row.spec if is_run and not (is_cluster and _is_at_work(row, work)) else None,
            }
        )
    for ref, item in work.items():
        if ref not in known:
            orders.append(
                {
                    "ref": ref,
                    "generation": int(item.get("generation") or 0),
                    "epoch": cluster.epoch,
                    "desired": "absent",
                    "spec": None,
                }
            )
    return orders


def _is_at_work(order: AgentOrder, work: dict[str, Any]) -> bool:
    said = work.get(str(order.ref)) or {}
    is_as_ordered = (said.get("epoch"), said.get("generation")) == (order.epoch, order.generation)
    return is_as_ordered and said.get("state") in ("running", "succeeded", "failed")
