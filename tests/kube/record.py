"""Writes down what a real API server answers, so that tests without one can read it: `python -m tests.kube.record`.

Nodes of every vendor, and the objects of work in each way it can end, made by the driver and run by KWOK.
"""

import json
import time
from pathlib import Path
from typing import Any

from federation.drivers.base import DeviceGrant, DriverConfig, WorkloadSpec
from federation.drivers.kubernetes.driver import KubernetesDriver
from federation.drivers.kubernetes.fleet import SLICES
from tests.kube import fleet
from tests.kube.api import Api
from tests.kube.kwok import Kwok
from tests.kube.plane import ControlPlane

FOLDER = Path(__file__).resolve().parent.parent / "federation" / "kubernetes" / "recorded"
SYSTEM = "aquifer-system"
# name -> what the work is told to do, and the state and reason it has to come to
WORK: dict[str, tuple[dict[str, str], dict[str, Any], str, str]] = {
    "runs": ({}, {}, "running", ""),
    "ends well": ({"RUN_SECONDS": "1"}, {}, "succeeded", ""),
    "fails": ({"RUN_SECONDS": "1", "EXIT_CODE": "7"}, {}, "failed", "NonZeroExit"),
    "out of memory": (
        {"RUN_SECONDS": "1", "EXIT_CODE": "137", "EXIT_REASON": "OOMKilled"}, {}, "failed", "OutOfMemory",
    ),
    "no image": ({"WAITING_REASON": "ImagePullBackOff"}, {}, "starting", "ImagePullFailed"),
    "wrong configuration": ({"WAITING_REASON": "CreateContainerConfigError"}, {}, "starting", "BadConfiguration"),
    "no room": ({}, {"cpu_milli": 900_000}, "starting", "Unschedulable"),
    "held for its gang": ({}, {"hold": True, "replicas": 2, "workload": "gang"}, "starting", "HeldForGang"),
    "over its time": ({}, {"max_seconds": 1}, "failed", "TimeLimit"),
    "serves": ({}, {"kind": "inference", "ports": (8000,)}, "running", ""),
}  # fmt: skip


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with ControlPlane() as plane, plane.api() as api:
        Kwok(plane).start()
        fleet.add_all(api)
        time.sleep(3)  # a controller takes the taints of new nodes away
        _write("nodes", {"nodes": _bare(api, "/api/v1/nodes"), "slices": _bare(api, SLICES)})
        _write("work", _work(plane, api))


def _work(plane: ControlPlane, api: Api) -> dict[str, Any]:
    api.post("/api/v1/namespaces", {"metadata": {"name": SYSTEM}})
    fleet.add(api, "nvidia", "works", kwok=True)
    secrets = {"ca_pem": plane.ca_pem, "token": plane.admin_token}
    driver = KubernetesDriver(DriverConfig("c", "kubernetes", 1, {"server": plane.url}, secrets))
    (node,) = [n for n in driver.inventory() if n.name == "works"]
    found: dict[str, Any] = {}
    for number, (name, (env, more, state, reason)) in enumerate(WORK.items()):
        device = node.devices[number % len(node.devices)]
        devices = (DeviceGrant(device.index, device.uuid, 1000, device.memory_mib),) if number < 8 else ()
        spec = WorkloadSpec(
            **{
                "ref": f"work-{number}", "epoch": 1, "generation": 1, "name": name, "tenant": "acme", "project": "lab",
                "kind": "batch", "node": "works", "cpu_milli": 1000, "memory_mib": 1024, "devices": devices,
                "image": "localhost/busybox:1", "command": ("work",), "env": env, **more,
            }
        )  # fmt: skip
        driver.ensure(spec)
        end = time.monotonic() + 30
        while (seen := driver.observe(spec.ref)).state != state or seen.reason != reason:
            if time.monotonic() > end:
                raise SystemExit(f"{name}: {seen}, not {state} {reason}")
            time.sleep(0.3)
        record = driver.records.read(driver.api.begin(), spec.ref)
        assert record is not None
        pods = _bare(api, f"/api/v1/namespaces/{record.namespace}/pods", labelSelector=f"aquifer.io/ref={spec.ref}")
        kind = "apps/v1" if spec.kind == "inference" else "batch/v1"
        owners = "deployments" if spec.kind == "inference" else "jobs"
        path = f"/apis/{kind}/namespaces/{record.namespace}/{owners}"
        (owner,) = _bare(api, path, labelSelector=f"aquifer.io/ref={spec.ref}")
        (kept,) = [
            item
            for item in _bare(api, f"/api/v1/namespaces/{SYSTEM}/configmaps")
            if item["metadata"]["name"] == f"aq-{spec.ref}"
        ]
        found[name] = {
            "record": kept,
            "owner": owner,
            "pods": pods,
            "state": state,
            "reason": reason,
            "at": time.time(),
        }
    return found


def _bare(api: Api, path: str, **query: Any) -> list[dict[str, Any]]:
    items = list(api.items(path, **query))
    for item in items:
        item["metadata"].pop("managedFields", None)
    return items


def _write(name: str, found: Any) -> None:
    (FOLDER / f"{name}.json").write_text(json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
