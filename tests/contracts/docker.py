"""A real Docker engine. Containers really run; only the host's clock is the harness's, so that time can be moved.

What is asked of the engine passes through `ClockedApi`: stamps of containers and volumes are put on the moved clock,
the command of the work is replaced by one that does as work of the contract is expected to, and it ends when its time
is over.
"""

import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from federation.drivers.base import DriverConfig, Observation, Unavailable, WorkloadSpec
from federation.drivers.docker.driver import DockerDriver
from federation.drivers.docker.sockets import Endpoint
from federation.drivers.docker.transport import STEP_SECONDS, Api, Deadline, moment
from tests.contracts.harness import CARDS, MEMORY, NODE, Harness, uuid_of
from tests.docker.engine import IMAGE, NAME, Engine

PORT = 8888
# It says a line a second when it is told to, does not end when it is asked to but when its host lets it, and listens.
_PROGRAM = """
trap 'n=$((n+1)); echo "second $n 秒"' USR1
trap 'exit 0' USR2
trap 'asked=1' TERM
nc -ll -p 8888 -e cat </dev/null >/dev/null 2>&1 &
n=0; echo "second 0 秒"
while :; do sleep 3600 & wait $!; done
"""


class ClockedApi(Api):
    """The connection of one driver, on which the harness orders faults. Its clock is the harness's."""

    def __init__(self, harness: "DockerHarness", endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._harness = harness

    def begin(self) -> Deadline:
        if self._harness.is_broken or self._harness.slow_seconds > STEP_SECONDS:
            raise Unavailable("The site did not answer.")
        return super().begin()

    def call(self, deadline: Deadline, method: str, path: str, **more: Any) -> Any:
        if path.endswith("/containers/create"):
            more["body"] = self._harness.adapted(more["body"])
        found = super().call(deadline, method, path, **more)
        return self._harness.clocked(path, found)


class LossyDriver(DockerDriver):
    def __init__(self, config: DriverConfig, harness: "DockerHarness") -> None:
        super().__init__(config)
        self._harness = harness

    def ensure(self, spec: WorkloadSpec) -> Observation:
        if spec.run_seconds is not None:
            self._harness.lengths[spec.ref] = spec.run_seconds
        return super().ensure(spec)

    def _asked(self, look: Any, **more: Any) -> Any:
        answer = super()._asked(look, **more)
        if self._harness.is_lossy:
            raise Unavailable("The answer was lost.")
        return answer


class DockerHarness(Harness):
    measures = False

    def __init__(self, engine: Engine, way: str) -> None:
        super().__init__()
        self.engine, self.way, self.cluster = engine, way, f"cluster-{uuid4()}"
        self.is_broken = self.is_lossy = False
        self.slow_seconds = 0.0
        self.lengths: dict[str, float] = {}
        self._began: dict[str, float] = {}  # by container, on our clock
        self._ended: dict[str, float] = {}
        self._made: dict[str, float] = {}  # by volume
        self._asked_to_end: dict[str, float] = {}
        if way == "unix":
            self.settings: dict[str, Any] = {"server": engine.unix}
            endpoint = Endpoint(engine.unix)
        else:
            self.settings = {"server": engine.url, "address": "127.0.0.1"}
            endpoint = Endpoint(engine.url, "127.0.0.1", **engine.secrets)
        assert NAME in engine.url
        self._api = ClockedApi(self, endpoint)

    def driver(self, epoch: int = 1) -> DockerDriver:
        cards = [
            {
                "index": i, "uuid": uuid_of(i), "vendor": "nvidia", "model": "A100-80G", "memory_mib": MEMORY,
                "mode": "shared",
            }
            for i in range(CARDS)
        ]  # fmt: skip
        settings = {
            **self.settings, "name": NODE, "cpu_milli": 64_000, "memory_mib": 524_288, "rack": "r1",
            "labels": {"zone": "a"}, "devices": cards, "devices_by": "env", "default_image": IMAGE,
        }  # fmt: skip
        return LossyDriver(DriverConfig(self.cluster, "docker", epoch, settings, port=self._api), self)

    # -- what passes through -----------------------------------------------------------------------------

    def adapted(self, body: Any) -> Any:
        """The same container, with a command that can be steered, on a machine of fewer cores than are asked for."""
        host = {**body["HostConfig"], "NanoCpus": min(body["HostConfig"]["NanoCpus"], 1_000_000_000)}
        return {**body, "Entrypoint": ["sh"], "Cmd": ["-c", _PROGRAM], "HostConfig": host}

    def clocked(self, path: str, found: Any) -> Any:
        """What the engine says, with its stamps on our clock."""
        if path == "/info":
            found["SystemTime"] = _stamp(self.now)
        if path == "/volumes/create":
            found["CreatedAt"] = _stamp(self._made.setdefault(found["Name"], self.now))
        if path == "/volumes":
            for item in found.get("Volumes") or ():
                item["CreatedAt"] = _stamp(self._made.setdefault(item["Name"], self.now))
        if path.startswith("/containers/") and path.endswith("/json") and isinstance(found, dict):
            state = found["State"]
            name = found["Id"]
            found["HostConfig"]["NanoCpus"] = 4_000_000_000
            if moment(state["StartedAt"]) is not None:
                state["StartedAt"] = _stamp(self._began.setdefault(name, self.now))
            if moment(state["FinishedAt"]) is not None:
                state["FinishedAt"] = _stamp(self._ended.setdefault(name, self.now))
        return found

    # -- time and faults -----------------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Work says its lines and ends when its time is over, or a second after it was asked to go."""
        self.tick()
        before, self.now = self.now, self.now + seconds
        for item in self.engine.containers():
            ref, name = item["Labels"]["aquifer.io/ref"], item["Id"]
            if item["State"] != "running":
                continue
            began = self._began.setdefault(name, before)
            over = began + self.lengths.get(ref, float("inf"))
            if self._is_asked_to_end(ref):
                over = min(over, self._asked_to_end.setdefault(ref, before) + 1)
            if self.now >= over:
                self._signal(name, "SIGUSR2")
                self._until_ended(name)
                self._ended[name] = over
            else:
                self._signal(name, "SIGUSR1")

    def tick(self) -> None:
        """Notes on our clock what has begun or ended since."""
        for item in self.engine.containers():
            if item["State"] == "running":
                self._began.setdefault(item["Id"], self.now)

    def _is_asked_to_end(self, ref: str) -> bool:
        found = self.engine.call("GET", "/volumes")["Volumes"] or ()
        return any(v["Labels"].get("aquifer.io/mark") == "told" and v["Labels"]["aquifer.io/ref"] == ref for v in found)

    def _signal(self, name: str, number: str) -> None:
        self.engine.call("POST", f"/containers/{name}/kill?signal={number}")

    def _until_ended(self, name: str) -> None:
        for _ in range(500):
            if not self.engine.call("GET", f"/containers/{name}/json")["State"]["Running"]:
                return
            time.sleep(0.01)
        raise AssertionError("It does not end.")

    def break_site(self) -> None:
        self.is_broken = True

    def slow_site(self, seconds: float) -> None:
        self.slow_seconds = seconds

    def lose_answers(self) -> None:
        self.is_lossy = True

    def heal_site(self) -> None:
        self.is_broken = self.is_lossy = False
        self.slow_seconds = 0.0

    def objects(self) -> list[str]:
        return sorted(item["Labels"]["aquifer.io/ref"] for item in self.engine.containers())

    def close(self) -> None:
        self.engine.clear()


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
