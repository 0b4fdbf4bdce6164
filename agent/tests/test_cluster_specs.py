"""What a cluster's agent makes of the spec in an order."""

from typing import Any

import pytest
from aquifer_agent.cluster.specs import spec_of
from aquifer_agent.orders import Order

from federation.drivers.base import Boot, BootFrom, Rejected, VolumeKind


def test_a_spec_arrives_whole_and_unknown_fields_are_left_out() -> None:
    sent = {
        "name": "j", "tenant": "t", "project": "p", "kind": "training", "node": "n", "cpu_milli": 1, "memory_mib": 2,
        "devices": [{"index": 0, "uuid": "u", "milli": 500, "memory_mib": 9}], "command": ["a", "b"], "hold": True,
        "env": {"A": "b"}, "ports": [80], "volumes": [{"path": "/x", "kind": "claim", "source": "s"}],
        "secret_env": ["k"], "pull_secrets": ["r"], "grace_seconds": 3, "max_seconds": None, "run_seconds": 1.5,
        "workload": "w", "attempt": 2, "colour": "red", "replica": 1, "replicas": 2,
        "boot": {"disk_mib": 9, "ssh_keys": ["ssh-ed25519 A"], "boot_from": "pxe", "colour": "red"},
    }  # fmt: skip
    spec = spec_of(Order("a", 4, 5, True, sent))
    assert (spec.ref, spec.generation, spec.epoch, spec.hold, spec.ports) == ("a", 4, 5, True, (80,))
    assert (spec.devices[0].uuid, spec.devices[0].milli) == ("u", 500)
    assert (spec.volumes[0].kind, spec.volumes[0].source) == (VolumeKind.CLAIM, "s")
    assert (spec.command, spec.secret_env, spec.pull_secrets) == (("a", "b"), ("k",), ("r",))
    assert spec.boot == Boot(disk_mib=9, ssh_keys=("ssh-ed25519 A",), boot_from=BootFrom.PXE)


@pytest.mark.parametrize(
    "odd",
    [
        {"cpu_milli": "1"}, {"cpu_milli": True}, {"name": 5}, {"command": "x"}, {"command": [1]}, {"env": {"A": 1}},
        {"env": []}, {"devices": {"a": 1}}, {"devices": [{"uuid": "u"}]}, {"ports": [0]}, {"ports": "x"},
        {"volumes": [{"kind": "claim"}]}, {"volumes": [{"path": "/x", "kind": "moon"}]}, {"node": None},
        {"boot": "disk"}, {"boot": {"disk_mib": "1"}}, {"boot": {"ssh_keys": "k"}}, {"boot": {"boot_from": "moon"}},
    ],
)  # fmt: skip
def test_a_spec_that_makes_no_sense_is_refused(odd: dict[str, Any]) -> None:
    good = {"name": "j", "tenant": "t", "project": "p", "kind": "batch", "node": "n", "cpu_milli": 1, "memory_mib": 2}
    spec_of(Order("a", 1, 1, True, good))
    with pytest.raises(Rejected, match="InvalidSpec"):
        spec_of(Order("a", 1, 1, True, good | odd))
