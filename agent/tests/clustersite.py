"""A site in a file, and the agents of it as real processes that leave nothing behind."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agentsite import PACKAGE
from aquifer_agent import files
from aquifer_agent.identity import Identity
from fakehub import AGENT_TOKEN, FakeHub, order
from filesite import opened

NODE = {
    "name": "n1",
    "cpu_milli": 64000,
    "memory_mib": 262144,
    "devices": [{"index": 0, "uuid": "GPU-0", "vendor": "nvidia", "model": "A100-80G", "memory_mib": 81920}],
}


class ClusterSite:
    def __init__(self, hub: FakeHub, folder: Path) -> None:
        self.hub, self.folder = hub, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.file, self.heartbeat = folder / "site.json", folder / "heartbeat"
        (folder / "settings.json").write_text(json.dumps({"file": str(self.file)}))
        files.write_json(folder / "identity.json", asdict(Identity(hub.url, AGENT_TOKEN, "c-1", "lab", "cluster")))
        self.agents: list[subprocess.Popen[bytes]] = []
        self.set(nodes=[NODE])

    def start(self, **variables: str) -> "subprocess.Popen[bytes]":
        with open(self.folder / "agent.log", "ab") as log:
            agent = subprocess.Popen(
                [
                    *(sys.executable, "-m", "aquifer_agent", "run-cluster", "--state-dir", str(self.folder)),
                    *("--driver", "filesite:FileDriver", "--settings", str(self.folder / "settings.json")),
                    *("--heartbeat", str(self.heartbeat)),
                ],
                env={"PATH": os.environ["PATH"], "PYTHONPATH": self._path(), **variables}, stdout=log, stderr=log,
            )  # fmt: skip
        self.agents.append(agent)
        return agent

    def kill(self) -> None:
        self.agents[-1].kill()
        self.agents[-1].wait()

    @contextmanager
    def site(self) -> Iterator[dict[str, Any]]:
        with opened(self.file) as site:
            yield site

    def set(self, **values: Any) -> None:
        with self.site() as site:
            site.update(values)

    def fault(self, **faults: Any) -> None:
        """By call of the driver; `all` for the rest. None takes it back."""
        with self.site() as site:
            site["faults"] = {n: f for n, f in {**site["faults"], **faults}.items() if f is not None}

    def made(self) -> dict[str, int]:
        with self.site() as site:
            return dict(site["made"])

    def there(self) -> list[str]:
        with self.site() as site:
            return [ref for ref, work in site["work"].items() if not work["gone"]]

    def want(self, ref: str, *command: str, generation: int = 1, **spec: Any) -> None:
        full = {
            "ref": ref, "name": "job", "tenant": "acme", "project": "vision", "kind": "batch", "node": "n1",
            "cpu_milli": 1000, "memory_mib": 512, "command": list(command), "devices": [], "epoch": self.hub.epoch,
            "generation": generation, **spec,
        }  # fmt: skip
        self.hub.orders[ref] = order(ref, generation, self.hub.epoch, full)
        self.hub.offsets.setdefault(ref, 0)

    def log(self) -> str:
        return (self.folder / "agent.log").read_text()

    def close(self) -> None:
        for agent in self.agents:
            if agent.poll() is None:
                agent.kill()
            agent.wait()

    def _path(self) -> str:
        return os.pathsep.join([str(PACKAGE), str(PACKAGE.parent), str(PACKAGE / "tests")])
