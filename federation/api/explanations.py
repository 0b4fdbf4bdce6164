"""Why work is where it is, or waits: the last decision of placement, in one shape."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from federation.models import Node


class CandidateSerializer(serializers.Serializer[Any]):
    """A node that was scored; the first of a list is the chosen one. `parts` are points by name and add up to `score`:
    what the policy measures nodes by (for packing in three parts), then the site, shedding, money, energy."""

    node = serializers.UUIDField()
    name = serializers.CharField(allow_blank=True)
    site = serializers.CharField(allow_blank=True)
    score = serializers.FloatField()
    parts = serializers.DictField(child=serializers.FloatField(), help_text="Empty: decided before parts were kept.")


class NearestMissSerializer(serializers.Serializer[Any]):
    """The node that came nearest, and what it lacked: `has` of the `wanted`, both in `unit`."""

    node = serializers.CharField(allow_blank=True, help_text="Its id; empty when it is not about one node.")
    name = serializers.CharField(allow_blank=True)
    filter = serializers.CharField()
    wanted = serializers.IntegerField()
    has = serializers.IntegerField()
    unit = serializers.CharField()
    where = serializers.CharField(allow_blank=True, help_text="The place that it is about, when that is not a node.")


class ExplanationSerializer(serializers.Serializer[Any]):
    """Of a placement the policy and the candidates, the chosen node first; of a refusal all the rest."""

    outcome = serializers.ChoiceField(choices=["none", "placed", "refused"], help_text="none: nothing decided yet.")
    policy = serializers.CharField(allow_blank=True)
    candidates = CandidateSerializer(many=True)
    reason = serializers.CharField(allow_blank=True)
    message = serializers.CharField(allow_blank=True)
    is_final = serializers.BooleanField(help_text="It could not even run where all is free.")
    filters = serializers.DictField(child=serializers.IntegerField(), help_text="How many nodes each filter removed.")
    nearest = serializers.CharField(allow_blank=True)
    miss = NearestMissSerializer(allow_null=True, help_text="The same for programs, where a node came near.")


def explained(decision: Mapping[str, Any]) -> dict[str, Any]:
    """What was kept of a decision, with the names of its nodes; all fields are there, whatever was decided."""
    candidates = [dict(one) for one in decision.get("candidates", ())]
    miss = decision.get("miss")
    unnamed = [one["node"] for one in candidates if not one.get("name")]
    if miss and miss["node"]:
        unnamed.append(miss["node"])
    names = {
        str(pk): (name, site)
        for pk, name, site in Node.objects.filter(pk__in=unnamed).values_list("pk", "name", "cluster__site__slug")
    }
    for one in candidates:
        name, site = names.get(one["node"], ("", ""))
        one["name"], one["site"] = one.get("name") or name, one.get("site") or site
        one.setdefault("parts", {})
    return {
        "outcome": decision.get("outcome", "none"),
        "policy": decision.get("policy", ""),
        "candidates": candidates,
        "reason": decision.get("reason", ""),
        "message": decision.get("message", ""),
        "is_final": decision.get("is_final", False),
        "filters": decision.get("filters", {}),
        "nearest": decision.get("nearest", ""),
        "miss": {"where": "", **miss, "name": names.get(miss["node"], ("", ""))[0]} if miss else None,
    }
