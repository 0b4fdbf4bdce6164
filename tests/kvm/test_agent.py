"""The agent of a host with KVM, as a process beside it: it calls out to a hub, and speaks to the socket."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

_AGENT = Path(__file__).resolve().parents[2] / "agent"
sys.path += [path for path in (str(_AGENT), str(_AGENT / "tests")) if path not in sys.path]

from aquifer_agent import files  # noqa: E402 - after the path is set
from aquifer_agent.identity import Identity  # noqa: E402
from fakehub import AGENT_TOKEN, FakeHub  # noqa: E402

pytestmark = pytest.mark.processes


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    hub = FakeHub()
    yield hub
    hub.stop()


@pytest.fixture
def agent(hub: FakeHub, libvirtd: Any, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    files.write_json(tmp_path / "identity.json", asdict(Identity(hub.url, AGENT_TOKEN, "c-1", "lab", "cluster")))
    settings = {"node": "host-1", "default_image": "guest.raw", "pool": "agent"}
    settings["pool_path"] = "/var/lib/libvirt/images/agent"
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    words = ["run-site", "--driver", "kvm", "--server", libvirtd.server("unix"), "--state-dir", str(tmp_path)]
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "aquifer_agent", *words, "--settings", str(tmp_path / "settings.json")],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}, stdout=log, stderr=log,
        )  # fmt: skip
    yield process
    process.terminate()
    assert process.wait(15) == 0, (tmp_path / "log").read_text()


def test_a_machine_from_its_order_to_its_end(hub: FakeHub, agent: Any, libvirtd: Any) -> None:
    ref = str(uuid4())
    wanted: dict[str, Any] = {"name": "vm", "tenant": "acme", "project": "vision", "kind": "vm", "node": "host-1"}
    hub.want(ref, memory_mib=64, grace_seconds=5, **wanted)
    assert hub.wait_state(ref, "running", seconds=40)["generation"] == 1
    hub.wait(lambda: "host-1" in hub.nodes)
    assert {"logs", "events", "hold"} <= set(hub.reports[-1]["site"]["abilities"])
    connection = libvirtd.open()
    assert connection.lookupByName(f"aquifer-{ref}").isActive()
    hub.want_absent(ref)
    hub.wait_gone(ref)
    assert f"aquifer-{ref}" not in [domain.name() for domain in connection.listAllDomains()]
    connection.close()
