"""How a virtual machine or a leased server starts, with an error at the field that is wrong."""

import re
from typing import Any

from rest_framework import serializers

from federation.drivers.base import BootFrom

MOST_KEYS, MOST_USER_DATA = 50, 65_536
_KEY = re.compile(
    r"(ssh-(ed25519|rsa)|ecdsa-sha2-nistp(256|384|521)|sk-[a-z0-9@.-]+) [A-Za-z0-9+/]{40,2000}={0,3}( [^\n\r]{0,200})?"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")


class UrlField(serializers.CharField):
    """An address that sites fetch from; the hub never does."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": 2000, "allow_blank": True, **kwargs})

    def to_internal_value(self, data: Any) -> str:
        url: str = super().to_internal_value(data)
        if url and not re.fullmatch(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?/[!-~]*", url):
            raise serializers.ValidationError("An address as https://images.example.org/debian.qcow2.", code="bad-url")
        return url


class Sha256Field(serializers.CharField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": 64, "allow_blank": True, **kwargs})

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data).lower()
        if text and not _SHA256.fullmatch(text):
            raise serializers.ValidationError("SHA-256 in hexadecimal: 64 digits.", code="bad-checksum")
        return str(text)


class BootSerializer(serializers.Serializer[Any]):
    """Of a virtual machine or a server. `image` of the workload names the image; with `image_url` it is fetched."""

    image_url = UrlField(default="", help_text="Where the site fetches the image; empty: the site has it.")
    image_sha256 = Sha256Field(default="", help_text="Of the file; what does not match is refused.")
    image_format = serializers.ChoiceField(choices=["qcow2", "raw", "iso"], allow_blank=True, default="")
    disk_mib = serializers.IntegerField(
        min_value=0, max_value=1 << 30, default=0, help_text="Of the first disk; 0: as large as the image."
    )
    ssh_keys = serializers.ListField(
        child=serializers.CharField(max_length=2300), max_length=MOST_KEYS, default=list,
        help_text="Public keys of those who may enter, as in authorized_keys.",
    )  # fmt: skip
    user_data = serializers.CharField(
        max_length=MOST_USER_DATA, allow_blank=True, default="", trim_whitespace=False, help_text="For cloud-init."
    )
    boot_from = serializers.ChoiceField(
        choices=[(way.value, way.value) for way in BootFrom], default=BootFrom.DISK, help_text="Of a server."
    )

    def validate_ssh_keys(self, value: list[str]) -> list[str]:
        for key in value:
            if not _KEY.fullmatch(key.strip()):
                raise serializers.ValidationError(
                    "A public key is a line like `ssh-ed25519 AAAA… name`. Never send the private one.", code="bad-key"
                )
        return [key.strip() for key in value]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("image_url") and not attrs.get("image_sha256"):
            raise serializers.ValidationError(
                {"image_sha256": "What is fetched is checked: give the SHA-256 of the file."}, code="required"
            )
        return attrs
