"""How a cluster that is asked directly is reached: what comes in is read at once, and never goes out again."""

from typing import Any

from django.utils import timezone
from rest_framework import serializers

from federation import addresses, kubeconfig, registry
from federation.certificates import MOST_PEM, BadConnection
from federation.connections import MOST_PASSWORD, MOST_TOKEN, RULES, SECRETS, Connection, checked
from federation.models import ClusterCredential

_PARTS = ("server", "tls_server_name", *SECRETS)


class MachineSerializer(serializers.Serializer[Any]):
    """A server by its management controller (Redfish)."""

    name = serializers.CharField(max_length=253)
    server = serializers.CharField(max_length=2000, help_text="The controller, as https://10.9.0.7.")
    system = serializers.CharField(
        max_length=250, required=False, allow_blank=True, default="",
        help_text="The path of its ComputerSystem, where the controller has several.",
    )  # fmt: skip
    fingerprint = serializers.CharField(
        max_length=95, required=False, allow_blank=True, default="",
        help_text="SHA-256 of the controller's certificate, where no authority vouches for it.",
    )  # fmt: skip


def _secret(most: int, words: str) -> serializers.CharField:
    return serializers.CharField(max_length=most, required=False, write_only=True, help_text=words)


class ConnectionSerializer(serializers.Serializer[Any]):
    """What the cluster's driver takes. Kubernetes: a whole `kubeconfig` (text, YAML or JSON), or `server` and `token`.
    Docker: `server` (https) and a client certificate. KVM: `server` (qemu+tls, qemu+ssh) and a client certificate or an
    SSH key. Redfish: `machines`, `username` and `password`. `ca_pem` where the public authorities do not vouch for the
    server. Pointers of errors lead into the kubeconfig as if it were JSON."""

    kubeconfig = serializers.CharField(
        max_length=kubeconfig.MOST_BYTES, required=False, write_only=True, trim_whitespace=False,
        help_text="With a token or a client certificate in it; programs and files that it names are refused.",
    )  # fmt: skip
    server = _secret(2000, "As https://10.8.0.7:6443 (a path may follow), or qemu+tls://kvm-1/system.")
    machines = MachineSerializer(many=True, required=False, write_only=True, help_text="Of bare metal.")
    ca_pem = _secret(MOST_PEM, "Certificate of its authority (PEM).")
    token = _secret(MOST_TOKEN, "Of a service account.")
    client_cert_pem = _secret(MOST_PEM, "A client's certificate (PEM), its chain behind it.")
    client_key_pem = _secret(MOST_PEM, "The key that belongs to it.")
    username = _secret(MOST_PASSWORD, "Of an account at the site.")
    password = _secret(MOST_PASSWORD, "Of this account.")
    ssh_private_key = _secret(MOST_PEM, "A private key for SSH, without a password.")
    ssh_known_hosts = _secret(MOST_PEM, "The keys of the host, as ssh-keyscan prints them.")
    hook_secret = _secret(MOST_PASSWORD, "With which calls to the cluster's hooks are signed.")
    tls_server_name = _secret(253, "The name in its certificate, if another one.")

    def _driver(self, attrs: dict[str, Any]) -> str:
        """Of the cluster that this is for: said beside it, or known already."""
        around = self.parent.initial_data if isinstance(self.parent, serializers.Serializer) else {}
        said = str(attrs.get("driver") or self.context.get("driver") or around.get("driver"))
        return said if said in RULES else "kubernetes"

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The connection, whole and looked at, under `connection`."""
        driver = self._driver(attrs)
        text, parts = attrs.pop("kubeconfig", ""), {name: attrs.pop(name, "") for name in _PARTS}
        machines = attrs.pop("machines", [])
        if text and (any(parts.values()) or machines or driver != "kubernetes"):
            raise serializers.ValidationError(
                {"kubeconfig": "Send either a kubeconfig or server and token, and not both."}, code="either-or"
            )
        if driver == "kubernetes" and not text and not any(parts.values()):
            raise serializers.ValidationError(
                {"kubeconfig": "Send a kubeconfig, or server and token."}, code="required"
            )
        try:
            now = timezone.now()
            if text:
                found = kubeconfig.read(text, now=now)
            else:
                found = checked(parts, now=now, driver=driver, machines=machines)
            registry.vetted(found, driver)
        except BadConnection as error:
            place = f"kubeconfig{error.pointer}" if text else error.pointer.strip("/")
            raise serializers.ValidationError({place: error.message}, code=error.code) from None
        except addresses.BadAddress as error:
            place = "kubeconfig" if text else "machines" if machines else "server"
            raise serializers.ValidationError({place: str(error)}, code=error.code) from None
        return {**attrs, "connection": found}


class NewConnectionSerializer(ConnectionSerializer):
    is_same_cluster = serializers.BooleanField(
        default=False, write_only=True,
        help_text="The server or its authority is new, and it is still the same cluster; asked while work is there.",
    )  # fmt: skip


class TriedConnectionSerializer(ConnectionSerializer):
    driver = serializers.ChoiceField(choices=sorted(RULES), default="kubernetes", help_text="What is spoken there.")
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
    """How it is reached, without what lets one in. `fingerprint`: the start of a digest of it."""

    machines = MachineSerializer(many=True)

    class Meta:
        model = ClusterCredential
        fields = ["server", "machines", "tls_server_name", "has_authority", "way", "fingerprint", "expires_at",
                  "replaced_at"]  # fmt: skip


def tried(connection: Connection, **facts: Any) -> dict[str, Any]:
    """The answer of a try."""
    return {
        "is_reachable": False, "is_degraded": False, "site_version": "", "message": "", "server": connection.server,
        "fingerprint": connection.fingerprint, "expires_at": connection.expires_at, **facts,
    }  # fmt: skip
