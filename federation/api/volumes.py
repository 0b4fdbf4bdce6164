"""Storage and secrets that work asks for: their shape, with an error at the field that is wrong."""

import posixpath
import re
from typing import Any

from rest_framework import serializers

from federation.drivers.base import VolumeKind

MOST_VOLUMES, MOST_SECRETS = 32, 20
_MADE = (VolumeKind.SCRATCH, VolumeKind.MEMORY)
# A name that Kubernetes and every other site of ours takes (RFC 1123, subdomain).
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


class VolumeSerializer(serializers.Serializer[Any]):
    """`claim`: storage that is at the site already, by its name in `source`. `scratch` (on disk) and `memory` are made
    empty, of at most `size_mib` (0: as the site does), and are gone with the work."""

    path = serializers.CharField(max_length=500, help_text="Where the work sees it.")
    kind = serializers.ChoiceField(choices=[(kind.value, kind.value) for kind in VolumeKind], default="scratch")
    source: Any = serializers.CharField(max_length=253, allow_blank=True, default="")
    size_mib = serializers.IntegerField(min_value=0, max_value=1 << 30, default=0)
    is_read_only = serializers.BooleanField(default=False)

    def validate_path(self, value: str) -> str:
        is_clean = value.startswith("/") and posixpath.normpath(value) == value and not value.startswith("//")
        if not is_clean or value == "/" or "\0" in value or ":" in value:
            raise serializers.ValidationError(
                "An absolute path as /data/in: without //, /./, /../, : and a slash at its end.", code="bad-path"
            )
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["kind"] == VolumeKind.CLAIM and not is_name(attrs["source"]):
            raise serializers.ValidationError({"source": "A claim needs the name of the storage."}, code="no-source")
        if attrs["kind"] in _MADE and attrs["source"]:
            raise serializers.ValidationError({"source": "Only a claim has a source."}, code="no-claim")
        if attrs["kind"] == VolumeKind.CLAIM and attrs["size_mib"]:
            raise serializers.ValidationError({"size_mib": "A claim has the size it has."}, code="claim-size")
        if attrs["kind"] in _MADE and attrs["is_read_only"]:
            raise serializers.ValidationError({"is_read_only": "What is made empty is for writing."}, code="read-only")
        return attrs


class SecretNamesField(serializers.ListField):
    """Names of secrets that are kept at the site; the hub never sees what is in them."""

    child = serializers.CharField(max_length=253)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": MOST_SECRETS, **kwargs})

    def to_internal_value(self, data: Any) -> list[str]:
        names: list[str] = super().to_internal_value(data)
        for name in names:
            if not is_name(name):
                raise serializers.ValidationError(f"{name[:50]!r} is no name of a secret.", code="bad-name")
        if len(set(names)) < len(names):
            raise serializers.ValidationError("Each name once.", code="twice")
        return names


def is_name(text: str) -> bool:
    return len(text) <= 253 and _NAME.fullmatch(text) is not None


def checked_volumes(volumes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What concerns all of them together."""
    if len(volumes) > MOST_VOLUMES:
        raise serializers.ValidationError(f"At most {MOST_VOLUMES} volumes.", code="too-many")
    if len({volume["path"] for volume in volumes}) < len(volumes):
        raise serializers.ValidationError("Each path once.", code="twice")
    return [dict(volume) for volume in volumes]
