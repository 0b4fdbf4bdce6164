"""How one host is used: settings of its cluster, each with what it is without."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from federation.drivers.base import Unavailable


@dataclass(frozen=True, slots=True)
class Ways:
    node: str = ""  # what the hub calls the host; empty: its own name
    pool: str = "aquifer"  # storage pool of our disks and of what the site remembers
    pool_path: str = "/var/lib/libvirt/images/aquifer"  # where it is made when it is not there
    image_pool: str = "default"  # where an image is looked for by its name alone
    default_image: str = ""
    image_networks: tuple[str, ...] = ()  # where images may be fetched from; empty: from where a site may be
    image_loopback: bool = False  # also from the machine that fetches
    most_image_mib: int = 65536
    network: str = "default"  # of libvirt's; where it does not run, machines only get out (QEMU's user network)
    bridge: str = ""  # instead: a bridge of the host
    firmware: str = "bios"  # or efi
    machine: str = ""  # of QEMU's; empty: q35, or virt
    cpu: str = "host-passthrough"  # or host-model, or default: what machines see of the host's CPU
    mdev_types: tuple[str, ...] = ()  # ids of the mediated devices that may be made
    reserved_cpu_milli: int = 0  # kept for the host itself
    reserved_memory_mib: int = 0

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Ways":
        """Raises Unavailable, in words for who wrote them."""
        found: dict[str, Any] = {}
        for one in fields(cls):
            if (value := settings.get(one.name)) is None:
                continue
            if isinstance(one.default, tuple):
                if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
                    raise Unavailable(f"The setting {one.name} is a list of texts.")
                value = tuple(value)
            elif isinstance(value, bool) != isinstance(one.default, bool) or not isinstance(value, type(one.default)):
                raise Unavailable(f"The setting {one.name} is not of its kind.")
            found[one.name] = value
        return cls(**found)
