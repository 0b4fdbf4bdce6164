"""Which drivers an agent can run beside itself, by name. A new one is a new line."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """`server`: where it is when nobody says; empty: it must be said, or the driver finds it by itself."""

    driver: str  # module:Class
    server: str = ""


KINDS: Mapping[str, Kind] = {
    "kubernetes": Kind("federation.drivers.kubernetes.driver:KubernetesDriver"),
    "kvm": Kind("federation.drivers.kvm.driver:KvmDriver", "qemu+unix:///var/run/libvirt/libvirt-sock"),
    "docker": Kind("federation.drivers.docker.driver:DockerDriver", "unix:///var/run/docker.sock"),
}
