"""What work comes as, and which kinds of site run it. Pure: the engine, actions and the API read the same words."""

from collections.abc import Mapping

PROCESS, CONTAINER, VM, SERVER = "process", "container", "vm", "server"
FORMS = (PROCESS, CONTAINER, VM, SERVER)
RUNTIMES_LABEL = "aquifer.io/runtimes"  # of a machine with an agent: what it has beside processes

_ALL: frozenset[str] = frozenset()  # simulated sites run anything
_BY_DRIVER: Mapping[str, frozenset[str]] = {
    "fake": _ALL,
    "kubernetes": frozenset({CONTAINER}),
    "docker": frozenset({CONTAINER}),
    "kvm": frozenset({VM}),
    "redfish": frozenset({SERVER}),
}
_OF_MACHINE, _WITH_RUNTIME = frozenset({PROCESS}), frozenset({PROCESS, CONTAINER})


def form_of(kind: str, image: str) -> str:
    """What a workload of this kind and image comes as."""
    if kind in (VM, SERVER):
        return kind
    return CONTAINER if image else PROCESS


def forms_at(driver: str, kind: str, labels: Mapping[str, str], default_image: str = "") -> frozenset[str]:
    """What a node runs, by its cluster's driver and kind; empty: anything.

    An agent runs what the driver of its cluster's kind runs; on a machine of its own processes, and containers
    where the machine has a runtime for them. A program runs in a container where its cluster has an image for such
    work; an agent has that setting to itself, so of its cluster it is believed.
    """
    if driver != "agent" or kind != "baremetal":
        found = _BY_DRIVER.get(kind if driver == "agent" else driver, _ALL)
        has_default = bool(default_image) or driver == "agent"
        return found | {PROCESS} if CONTAINER in found and has_default else found
    has_runtime = {"docker", "podman"} & set(labels.get(RUNTIMES_LABEL, "").replace("_", ",").split(","))
    return _WITH_RUNTIME if has_runtime else _OF_MACHINE
