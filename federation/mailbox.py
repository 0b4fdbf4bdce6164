"""The hub's side of the agent's mailbox: rows that an agent's report reads and writes, seen by its driver."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from federation import calls
from federation.drivers.agent import Letter, LogPiece, Report
from federation.drivers.base import Rejected
from federation.models import Agent, AgentNode, AgentOrder, Cluster, LogPart


class RowMailbox:
    """Implements federation.drivers.agent.Mailbox over AgentOrder, Agent, AgentNode and LogPart, and AskingMailbox
    (federation.drivers.agent_calls) over AgentCall."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def last_report(self) -> Report | None:
        agent = Agent.objects.filter(cluster=self.cluster, revoked_at=None).first()
        if agent is None or agent.reported_at is None:
            return None
        return Report(
            age_seconds=(timezone.now() - agent.reported_at).total_seconds(),
            version=agent.agent_version,
            inventory=agent.inventory,
            figures=agent.figures or [],
            clock_skew_seconds=agent.clock_skew_seconds or 0.0,
            site=agent.site,
            has_nodes=bool(agent.nodes_whole),
            release=agent.release or {},
            twin_seconds=(timezone.now() - agent.twin_at).total_seconds() if agent.twin_at else None,
        )

    def post(self, ref: str, *, desired: str, generation: int, epoch: int, spec: dict[str, Any] | None) -> None:
        """Put a wish in the box. A wish for absence stays and refuses every later wish to run."""
        with transaction.atomic():
            order, is_new = AgentOrder.objects.select_for_update().get_or_create(
                ref=ref,
                defaults={
                    "cluster": self.cluster,
                    "generation": generation,
                    "epoch": epoch,
                    "desired": desired,
                    "spec": spec,
                },
            )
            if is_new:
                return
            if desired == AgentOrder.Desired.RUN:
                if order.desired == AgentOrder.Desired.ABSENT or (epoch, generation) < (
                    order.epoch,
                    order.generation,
                ):
                    raise Rejected("OldGeneration", "This was taken back already.")
                if (order.epoch, order.generation) == (epoch, generation) and not _lets_go(order.spec, spec):
                    return
            elif order.desired == desired and epoch <= order.epoch:
                return
            AgentOrder.objects.filter(ref=ref).update(
                desired=desired,
                desired_at=Now(),
                generation=max(generation, order.generation),
                epoch=max(epoch, order.epoch),
                spec=spec if spec is not None else order.spec,
            )

    def read(self, refs: Sequence[str]) -> dict[str, Letter]:
        rows = AgentOrder.objects.filter(cluster=self.cluster, ref__in=list(refs))
        return {
            str(row.ref): Letter(str(row.ref), row.desired, row.generation, row.epoch, row.observed) for row in rows
        }

    def nodes(self) -> Iterator[Mapping[str, Any]]:
        rows = AgentNode.objects.filter(cluster=self.cluster).order_by("name")
        return (seen for seen in rows.values_list("seen", flat=True).iterator(500) if seen is not None)

    def ask(self, verb: str, ref: str, **detail: Any) -> dict[str, Any]:
        # What is about a node and not about work is about this cluster.
        return calls.asked(cluster=self.cluster, ref=ref or str(self.cluster.pk), detail={"verb": verb, **detail})

    def logs(self, ref: str, offset: int, limit: int) -> list[LogPiece]:
        rows = LogPart.objects.filter(allocation_id=ref, start__gte=offset).order_by("start")
        pieces, size = [], 0
        for row in rows[:64]:
            pieces.append(LogPiece(row.start, row.size, row.text))
            size += row.size
            if size >= limit:
                break
        return pieces


def _lets_go(was: Mapping[str, Any] | None, spec: Mapping[str, Any] | None) -> bool:
    """A member of a gang that was held may run now. The other way does not exist."""
    return bool((was or {}).get("hold")) and not (spec or {}).get("hold")
