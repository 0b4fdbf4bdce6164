"""How a cluster that is asked directly is reached: what comes in is read at once, and never goes out again."""

from typing import Any

from django.utils import timezone
from rest_framework import serializers

from federation import addresses, kubeconfig, registry
from federation.connections import MOST_PEM, MOST_TOKEN, BadConnection, Connection, checked
from federation.models import ClusterCredential

_PARTS = ("server", "ca_pem", "token", "tls_server_name")


class ConnectionSerializer(serializers.Serializer[Any]):
    """Either a whole `kubeconfig` (text, YAML or JSON), or `server` and `token`, and `ca_pem` where the public
    authorities do not vouch for the server. Pointers of errors lead into the kubeconfig as if it were JSON."""

    kubeconfig = serializers.CharField(
        max_length=kubeconfig.MOST_BYTES, required=False, write_only=True, trim_whitespace=False,
        help_text="With a token or a client certificate in it; programs and files that it names are refused.",
    )  # fmt: skip
    server = serializers.CharField(
        max_length=2000, required=False, write_only=True, help_text="As https://10.8.0.7:6443; a path may follow."
    )
    ca_pem = serializers.CharField(
        max_length=MOST_PEM, required=False, write_only=True, help_text="Certificate of its authority (PEM)."
    )
    token = serializers.CharField(
        max_length=MOST_TOKEN, required=False, write_only=True, help_text="Of a service account."
    )
    tls_server_name = serializers.CharField(
        max_length=253, required=False, write_only=True, help_text="The name in its certificate, if another one."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The connection, whole and looked at, under `connection`."""
        text, parts = attrs.pop("kubeconfig", ""), {name: attrs.pop(name, "") for name in _PARTS}
        if text and any(parts.values()):
            raise serializers.ValidationError(
                {"kubeconfig": "Send either a kubeconfig or server and token, and not both."}, code="either-or"
            )
        if not text and not any(parts.values()):
            raise serializers.ValidationError(
                {"kubeconfig": "Send a kubeconfig, or server and token."}, code="required"
            )
        try:
            now = timezone.now()
            found = kubeconfig.read(text, now=now) if text else checked(parts, now=now)
            registry.vetted(found)
        except BadConnection as error:
            place = f"kubeconfig{error.pointer}" if text else error.pointer.strip("/")
            raise serializers.ValidationError({place: error.message}, code=error.code) from None
        except addresses.BadAddress as error:
            place = "kubeconfig" if text else "server"
            raise serializers.ValidationError({place: str(error)}, code=error.code) from None
        return {**attrs, "connection": found}


class NewConnectionSerializer(ConnectionSerializer):
    is_same_cluster = serializers.BooleanField(
        default=False, write_only=True,
        help_text="The server or its authority is new, and it is still the same cluster; asked while work is there.",
    )  # fmt: skip


class TriedConnectionSerializer(ConnectionSerializer):
    settings = serializers.DictField(required=False, help_text="Of the cluster, as its system_namespace.")


class CheckSerializer(serializers.Serializer[Any]):
    """What came of one try. `is_degraded`: it answers, and `message` says what is missing, as a permission."""

    is_reachable = serializers.BooleanField()
    is_degraded = serializers.BooleanField()
    site_version = serializers.CharField(allow_blank=True)
    message = serializers.CharField(allow_blank=True)
    server = serializers.CharField()
    fingerprint = serializers.CharField()
    expires_at = serializers.DateTimeField(allow_null=True)


class ShownConnectionSerializer(serializers.ModelSerializer[ClusterCredential]):
    """How it is reached, without what lets one in. `fingerprint`: the start of SHA-256 of token or certificate."""

    class Meta:
        model = ClusterCredential
        fields = ["server", "tls_server_name", "has_authority", "is_certificate", "fingerprint", "expires_at",
                  "replaced_at"]  # fmt: skip


def tried(connection: Connection, **facts: Any) -> dict[str, Any]:
    """The answer of a try."""
    return {
        "is_reachable": False, "is_degraded": False, "site_version": "", "message": "", "server": connection.server,
        "fingerprint": connection.fingerprint, "expires_at": connection.expires_at, **facts,
    }  # fmt: skip
