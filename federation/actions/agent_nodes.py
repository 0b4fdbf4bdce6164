"""The nodes of a cluster as its agent tells them: part by part, put in force when the picture is whole."""

from typing import Any

from django.db.models import F
from django.db.models.functions import Now

from federation.drivers.agent_nodes import NotUnderstood, node_from_json, node_to_json, not_believed, stamp_of
from federation.models import Agent, AgentNode, Cluster


def take(agent: Agent, sent: dict[str, Any]) -> dict[str, Any]:
    """Write down a part, and say what is held now. Under the agent's row lock, which `sync` holds.

    `seen` of the rows changes only when all of what the agent has now is here: half a picture is never looked at.
    """
    changed = _parsed(sent.get("changed", []))
    gone = set(sent.get("gone", [])) - changed.keys()
    if changed:
        rows = [AgentNode(cluster=agent.cluster, name=n, digest=d, next=value) for n, (d, value) in changed.items()]
        AgentNode.objects.bulk_create(
            rows, 500, update_conflicts=True, unique_fields=["cluster", "name"], update_fields=["digest", "next"]
        )
    if gone:
        AgentNode.objects.filter(cluster=agent.cluster, name__in=gone).update(digest="", next=None)
    stamp = agent.nodes_stamp
    if changed or gone or not stamp:
        stamp = stamp_of(_digests(agent))
        Agent.objects.filter(pk=agent.pk).update(nodes_stamp=stamp)
    if stamp == sent["stamp"] != agent.nodes_whole:
        _put_in_force(agent, stamp)
    return {"stamp": stamp, "digests": _digests(agent) if sent.get("want_digests") else None}


def _put_in_force(agent: Agent, stamp: str) -> None:
    rows = AgentNode.objects.filter(cluster=agent.cluster)
    rows.filter(digest="").delete()
    rows.exclude(next=None).update(seen=F("next"), next=None)
    Agent.objects.filter(pk=agent.pk).update(nodes_whole=stamp)
    Cluster.objects.filter(pk=agent.cluster_id).update(inventory_at=None, next_check_at=Now())


def _digests(agent: Agent) -> dict[str, str]:
    rows = AgentNode.objects.filter(cluster=agent.cluster).exclude(digest="")
    return dict(rows.values_list("name", "digest"))


def _parsed(changed: list[dict[str, Any]]) -> dict[str, tuple[str, dict[str, Any]]]:
    """By name: digest and node, in our own words, so that nothing else gets into the database."""
    found = {}
    for item in changed:
        try:
            node = node_from_json(item["node"])
        except NotUnderstood as error:
            doubtful = not_believed(item["node"], str(error))
            if doubtful is None:
                continue  # it has not even a name; the stamps will never agree, and the agent is told so by that
            node = doubtful
        found[node.name] = (item["digest"], node_to_json(node))
    return found
