"""How one cluster wants its work: what its settings may say, and what holds where they say nothing."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from federation.drivers.kubernetes.transport import Json

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SECURITY = ("privileged", "baseline", "restricted")


class BadWays(ValueError):
    """A setting that cannot be; the text names it."""


@dataclass(frozen=True)
class Ways:
    default_image: str = ""
    pull_policy: str = ""
    pod_security: str = "baseline"  # of project namespaces: privileged, baseline or restricted
    runtime_class: str = ""
    scheduler: str = ""
    queue: str = ""  # a Kueue LocalQueue of each project's namespace
    system_namespace: str = "aquifer-system"
    bind_role: str = ""  # a ClusterRole bound in each project's namespace to `bind_account`
    bind_account: str = ""  # namespace/name of a service account
    namespace_quota: Mapping[str, str] = field(default_factory=lambda: {"pods": "2000", "services.nodeports": "0"})
    tolerations: tuple[Json, ...] = ()
    device_classes: Mapping[str, str] = field(default_factory=dict)  # of DRA drivers, where not named like them

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Ways":
        """From a cluster's settings; what is not for this driver is left alone. Raises BadWays."""
        known = {name: settings[name] for name in cls.__dataclass_fields__ if name in settings}
        for name, value in known.items():
            is_right, wanted = _SHAPES.get(name, (_is_text, "text"))
            if not is_right(value):
                raise BadWays(f"The cluster is set up wrongly: {name} is to be {wanted}.")
        if known.get("bind_role") and not known.get("bind_account"):
            raise BadWays("The cluster is set up wrongly: bind_role wants a bind_account.")
        if "tolerations" in known:
            known["tolerations"] = tuple(known["tolerations"])
        return cls(**known)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= 500


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(_NAME.fullmatch(value))


def _is_account(value: object) -> bool:
    space, _, name = value.partition("/") if isinstance(value, str) else ("", "", "")
    return value == "" or (_is_name(space) and bool(name) and "/" not in name)


def _is_table(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(k, str) and isinstance(v, str) for k, v in value.items())


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(one, dict) for one in value)


_SHAPES: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "system_namespace": (_is_name, "the name of a namespace"),
    "pod_security": (lambda value: value in _SECURITY, f"one of {', '.join(_SECURITY)}"),
    "bind_account": (_is_account, "namespace/name of a service account"),
    "namespace_quota": (_is_table, "a table of texts"),
    "device_classes": (_is_table, "a table of texts"),
    "tolerations": (_is_list, "a list of tolerations"),
}
