"""What would happen if: the shapes of questions and answers. federation/whatif.py finds out."""

from typing import Any
from uuid import UUID

from rest_framework import serializers

from federation import whatif
from federation.actions import workloads
from federation.api.terms import TermsSerializer
from federation.models import Node, Pool, Site, Workload
from federation.placement.types import NodeFree, Placement, Refusal
from federation.reconcile.snapshot import fleet_of
from portal.errors import Invalid
from portal.http.scope import project_here, tenant_here
from portal.models import ResourceFlavor

MOST_FINDINGS = 500
OUTCOMES = [("placed", "placed"), ("waiting", "waiting")]
MOST_COPIES, MOST_ADDED = 1000, 20_000
_WHERE = ("site", "cluster", "node")


# -- questions --------------------------------------------------------------------------------------


class AskedSerializer(TermsSerializer):
    project = serializers.UUIDField()
    name = serializers.CharField(max_length=100, required=False, default="what-if")
    count = serializers.IntegerField(min_value=1, max_value=MOST_COPIES, required=False, default=1)
    priority = serializers.IntegerField(min_value=-1000, max_value=1000, required=False)
    replicas = serializers.IntegerField(min_value=1, max_value=10_000, required=False)
    accelerators = serializers.IntegerField(min_value=0, max_value=1024, required=False)
    accelerator_milli = serializers.IntegerField(min_value=1, max_value=1000, required=False)
    accelerator_memory_mib = serializers.IntegerField(min_value=0, max_value=1 << 30, required=False)
    model_names = serializers.ListField(child=serializers.CharField(max_length=64), required=False, max_length=200)
    site_slugs = serializers.ListField(child=serializers.CharField(max_length=63), required=False, max_length=200)
    cpu_milli = serializers.IntegerField(min_value=1, max_value=10_000_000, required=False)
    memory_mib = serializers.IntegerField(min_value=1, max_value=1 << 30, required=False)


class QuotaChangeSerializer(serializers.Serializer[Any]):
    tenant = serializers.UUIDField()
    project = serializers.UUIDField(required=False, allow_null=True, help_text="None: the tenant's own wall.")
    flavor = serializers.CharField(max_length=128)
    nominal_milli = serializers.IntegerField(min_value=0, max_value=10**12)


class AddedSerializer(serializers.Serializer[Any]):
    like = serializers.UUIDField(help_text="A node of this pool; so many more like it, empty.")
    count = serializers.IntegerField(min_value=1, max_value=MOST_COPIES)


class ChangeSerializer(serializers.Serializer[Any]):
    workloads = serializers.ListField(child=AskedSerializer(), required=False, max_length=100)
    quotas = serializers.ListField(child=QuotaChangeSerializer(), required=False, max_length=1000)
    closed_sites = serializers.ListField(child=serializers.CharField(max_length=63), required=False, max_length=200)
    added_nodes = serializers.ListField(child=AddedSerializer(), required=False, max_length=100)


# -- answers ----------------------------------------------------------------------------------------


class WhereSerializer(serializers.Serializer[Any]):
    site = serializers.CharField()
    cluster = serializers.CharField()
    node = serializers.CharField()
    members = serializers.IntegerField()


class MissSerializer(serializers.Serializer[Any]):
    """What came nearest, and what it lacks: `has` of the `wanted`, both in `unit`. No node: it is not about one."""

    site = serializers.CharField()
    cluster = serializers.CharField()
    node = serializers.CharField()
    filter = serializers.CharField()
    wanted = serializers.IntegerField()
    has = serializers.IntegerField()
    unit = serializers.CharField(help_text="devices, milli (1/1000 of a device), mib, cpu-milli, members or labels")
    where = serializers.CharField(allow_blank=True, help_text="The place it is about, or what is there instead.")


class PreviewSerializer(serializers.Serializer[Any]):
    """`placed` now, or `waiting` with the reason; `ahead` wait before it."""

    outcome = serializers.ChoiceField(choices=OUTCOMES)
    ahead = serializers.IntegerField()
    where = WhereSerializer(many=True)
    reason = serializers.CharField(allow_blank=True)
    message = serializers.CharField(allow_blank=True)
    nearest = serializers.CharField(allow_blank=True)
    miss = MissSerializer(allow_null=True, help_text="The same for programs, where a node came near.")
    is_final = serializers.BooleanField(help_text="It could not even run where all is free.")


class FindingSerializer(serializers.Serializer[Any]):
    """`kind`: waiting today, displaced from a closed site, or new. `before` is null but for what waits today."""

    workload = serializers.UUIDField(allow_null=True)
    name = serializers.CharField()
    tenant_name = serializers.CharField()
    project_name = serializers.CharField()
    kind = serializers.ChoiceField(choices=["waiting", "displaced", "new"])
    before = serializers.ChoiceField(choices=OUTCOMES, allow_null=True)
    outcome = serializers.ChoiceField(choices=OUTCOMES)
    where = WhereSerializer(many=True)
    reason = serializers.CharField(allow_blank=True)
    message = serializers.CharField(allow_blank=True)
    nearest = serializers.CharField(allow_blank=True)
    miss = MissSerializer(allow_null=True)
    is_final = serializers.BooleanField()


class ResultSerializer(serializers.Serializer[Any]):
    """`findings` has all that is new, displaced, or comes out otherwise than today; `left_out` of them did not fit."""

    waiting_before = serializers.IntegerField()
    waiting_after = serializers.IntegerField(help_text="Of what waits today.")
    placed_anew = serializers.IntegerField()
    no_longer_placed = serializers.IntegerField()
    displaced = serializers.IntegerField()
    displaced_placed = serializers.IntegerField()
    new = serializers.IntegerField()
    new_placed = serializers.IntegerField()
    findings = FindingSerializer(many=True)
    left_out = serializers.IntegerField()


# -- finding out ------------------------------------------------------------------------------------


def preview(pool: Pool, workload: Workload) -> dict[str, Any]:
    result = whatif.look(pool, whatif.Change(asked=[workload]))
    at = next(n for n, finding in enumerate(result.findings) if finding.workload is workload)
    return {**_outcome(result.findings[at], result.nodes), "ahead": at}


def simulate(user: Any, pool: Pool, data: dict[str, Any]) -> dict[str, Any]:
    change = whatif.Change(
        asked=_asked(user, pool, data.get("workloads", [])),
        quotas=_quotas(user, data.get("quotas", [])),
        closed_sites=_sites(data.get("closed_sites", [])),
        added=_added(pool, data.get("added_nodes", [])),
    )
    result = whatif.look(pool, change)
    new = {workload.pk for workload in change.asked}
    told, counts = [], dict.fromkeys(
        ("waiting_before", "waiting_after", "placed_anew", "no_longer_placed", "displaced", "displaced_placed", "new",
         "new_placed"), 0,
    )  # fmt: skip
    for finding in result.findings:
        is_placed, was_placed = isinstance(finding.now, Placement), isinstance(finding.was, Placement)
        kind = "displaced" if finding.is_displaced else "new" if finding.workload.pk in new else "waiting"
        if kind == "waiting":
            counts["waiting_before"] += not was_placed
            counts["waiting_after"] += not is_placed
            counts["placed_anew"] += is_placed and not was_placed
            counts["no_longer_placed"] += was_placed and not is_placed
            if is_placed == was_placed:
                continue
        else:
            counts[kind] += 1
            counts[f"{kind}_placed"] += is_placed
        told.append((finding, kind, was_placed))
    return {
        **counts,
        "findings": [_finding(*each, result.nodes) for each in told[:MOST_FINDINGS]],
        "left_out": max(len(told) - MOST_FINDINGS, 0),
    }


def _finding(finding: whatif.Finding, kind: str, was_placed: bool, nodes: Any) -> dict[str, Any]:
    workload = finding.workload
    return {
        "workload": None if kind == "new" else str(workload.pk),
        "name": workload.name,
        "tenant_name": workload.project.tenant.name,
        "project_name": workload.project.name,
        "kind": kind,
        "before": None if kind != "waiting" else "placed" if was_placed else "waiting",
        **_outcome(finding, nodes),
    }


def _outcome(finding: whatif.Finding, nodes: Any) -> dict[str, Any]:
    now = finding.now
    if not isinstance(now, Placement):
        return {
            "outcome": "waiting", "where": [], "reason": now.reason, "message": now.message, "nearest": now.nearest,
            "miss": _miss(now, nodes), "is_final": now.is_final,
        }  # fmt: skip
    members: dict[str, int] = {}
    for member in now.members:
        members[member.node] = members.get(member.node, 0) + 1
    where = [
        {"site": nodes[pk].site, "cluster": nodes[pk].cluster, "node": nodes[pk].name, "members": count}
        for pk, count in members.items()
    ]
    return {
        "outcome": "placed", "where": where, "reason": "", "message": "", "nearest": "", "miss": None,
        "is_final": False,
    }  # fmt: skip


def _miss(refusal: Refusal, nodes: Any) -> dict[str, Any] | None:
    miss = refusal.miss
    if miss is None:
        return None
    node = nodes.get(miss.node)  # a miss need not be about one node
    where = {"site": node.site, "cluster": node.cluster, "node": node.name} if node else dict.fromkeys(_WHERE, "")
    return {**where, **{name: getattr(miss, name) for name in ("filter", "wanted", "has", "unit", "where")}}


def _asked(user: Any, pool: Pool, items: list[dict[str, Any]]) -> list[Workload]:
    found: list[Workload] = []
    for item in items:
        project, count = project_here(user, item.pop("project")), item.pop("count")
        if len(found) + count > MOST_COPIES:
            raise Invalid.field("workloads", f"At most {MOST_COPIES} workloads in all.", "too-many")
        found += [workloads.draft(by=user, project=project, pool=pool, **item) for _ in range(count)]
    return found


def _quotas(user: Any, items: list[dict[str, Any]]) -> dict[whatif.QuotaKey, int]:
    found: dict[whatif.QuotaKey, int] = {}
    known = set(ResourceFlavor.objects.values_list("name", flat=True))
    for item in items:
        tenant = tenant_here(user, item["tenant"])
        project: UUID | None = None
        if item.get("project") is not None:
            within = project_here(user, item["project"])
            if within.tenant_id != tenant.pk:
                raise Invalid.field("quotas", "This project is not of this tenant.", "other-tenant")
            project = within.pk
        if item["flavor"] not in known:
            raise Invalid.field("quotas", f"There is no flavor {item['flavor']}.", "unknown-flavor")
        found[(tenant.pk, project, item["flavor"])] = item["nominal_milli"]
    return found


def _sites(slugs: list[str]) -> frozenset[str]:
    known = set(Site.objects.filter(slug__in=slugs).values_list("slug", flat=True))
    if unknown := sorted(set(slugs) - known):
        raise Invalid.field("closed_sites", f"There is no site {', '.join(unknown)}.", "unknown-site")
    return frozenset(slugs)


def _added(pool: Pool, items: list[dict[str, Any]]) -> list[NodeFree]:
    if not items:
        return []
    if sum(item["count"] for item in items) > MOST_ADDED:
        raise Invalid.field("added_nodes", f"At most {MOST_ADDED} nodes in all.", "too-many")
    fleet, found = fleet_of(pool), []
    counts: dict[UUID, int] = {}
    for item in items:
        counts[item["like"]] = counts.get(item["like"], 0) + item["count"]
    for like, count in counts.items():
        node = Node.objects.filter(pk=like).first()
        copies = whatif.copies_of(node, count, fleet) if node is not None else []
        if not copies:
            raise Invalid.field("added_nodes", "There is no such node in this pool.", "unknown-node")
        found += copies
    return found
