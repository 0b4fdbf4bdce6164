"""What people do with running work in place, as verbs of an allocation."""

from typing import Any

from rest_framework import serializers

from federation.drivers.abilities import Screen
from federation.states import AllocationState as A

_RUNNING = frozenset({A.ACTIVE})
VERBS = {
    "pause": ("workload.control", _RUNNING),
    "unpause": ("workload.control", _RUNNING),
    "restart": ("workload.control", _RUNNING),
    "screen": ("workload.shell", _RUNNING),
}


class RestartSerializer(serializers.Serializer[Any]):
    is_hard = serializers.BooleanField(default=False, help_text="As by pulling the plug; otherwise it is asked kindly.")


class ScreenSerializer(serializers.Serializer[Any]):
    """Where its host serves the picture of its screen; `kind` empty: it has none."""

    kind = serializers.ChoiceField(choices=["", "vnc", "spice"])
    host = serializers.CharField(allow_blank=True)
    port = serializers.IntegerField()
    password = serializers.CharField(allow_blank=True)

    @classmethod
    def shown(cls, screen: Screen | None) -> dict[str, Any]:
        if screen is None:
            return {"kind": "", "host": "", "port": 0, "password": ""}
        return {"kind": screen.kind, "host": screen.host, "port": screen.port, "password": screen.password}
