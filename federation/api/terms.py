"""What work may say about where it goes: the same fields for work that is sent and work that is only imagined."""

from typing import Any

from rest_framework import serializers

from federation.accelerators.catalogue import SLICING_MODES
from federation.models.workloads import Preference, Spread, Topology
from federation.placement.terms import MOST_LABELS

TERMS = [
    "min_replicas", "topology", "spread", "regions", "slicing_modes", "node_labels", "network_class", "prefer",
    "deadline_at",
]  # fmt: skip


class TermsSerializer(serializers.Serializer[Any]):
    min_replicas = serializers.IntegerField(
        required=False, allow_null=True, min_value=0, max_value=10_000,
        help_text="As many members as fit now, but no fewer than this; none or 0: all of them.",
    )  # fmt: skip
    topology = serializers.ChoiceField(
        choices=Topology.choices, required=False, help_text="Where members are together; on one site if not said."
    )
    spread = serializers.ChoiceField(
        choices=Spread.choices, required=False, allow_blank=True, help_text="No two members on the same one of these."
    )
    regions = serializers.ListField(
        child=serializers.CharField(max_length=100), required=False, max_length=200,
        help_text="Sites in one of these; CN takes CN-SH too. Empty: anywhere.",
    )  # fmt: skip
    slicing_modes = serializers.ListField(
        child=serializers.ChoiceField(choices=SLICING_MODES), required=False, max_length=len(SLICING_MODES),
        help_text="How accelerators are handed out. Empty: in any way.",
    )  # fmt: skip
    node_labels = serializers.DictField(
        child=serializers.CharField(max_length=256), required=False, help_text="That a node must have, all of them."
    )
    network_class = serializers.CharField(
        required=False, allow_blank=True, max_length=63, help_text="The node's label aquifer.io/network-class."
    )
    prefer = serializers.ChoiceField(
        choices=Preference.choices, required=False, allow_blank=True,
        help_text="What comes before what the pool prefers: cheap power, or clean.",
    )  # fmt: skip
    deadline_at = serializers.DateTimeField(required=False, allow_null=True, help_text="When it should be done.")

    def validate_node_labels(self, value: dict[str, str]) -> dict[str, str]:
        if len(value) > MOST_LABELS:
            raise serializers.ValidationError(f"At most {MOST_LABELS} labels.", code="too-many")
        if any(not 0 < len(name) <= 317 for name in value):
            raise serializers.ValidationError("Names of labels have 1 to 317 characters.", code="bad-name")
        return value
