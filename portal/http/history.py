"""The history of a thing, as every app shows it."""

from rest_framework import serializers

from portal.models import StateChange


class StateChangeSerializer(serializers.ModelSerializer[StateChange]):
    class Meta:
        model = StateChange
        fields = [
            "id", "at", "effective_at", "object_type", "object_id", "from_state", "to_state", "reason", "message", "by",
        ]  # fmt: skip
