"""KWOK: plays the kubelet of fake nodes, so that pods on them start, end, fail and go as on real ones.

It looks after nodes with the annotation of `MANAGED` only (`fleet.add(..., kwok=True)`). How a pod behaves is said by
an annotation of the pod, or by a variable of its first container (what a driver passes on):

| annotation | variable | |
|---|---|---|
| aquifer.test/run-seconds | RUN_SECONDS | ends after so long ("2.5"); without it runs until it is deleted |
| aquifer.test/exit-code | EXIT_CODE | ends with this, and has failed if it is not 0 |
| aquifer.test/exit-reason | EXIT_REASON | OOMKilled, Error, ... |
| aquifer.test/waiting-reason | WAITING_REASON | never starts: ImagePullBackOff, CreateContainerConfigError, ... |
"""

from pathlib import Path
from typing import Any

import yaml

from tests.kube.plane import ControlPlane

MANAGED = {"kwok.x-k8s.io/node": "fake"}

_PREFIX = "aquifer.test/"
RUN_SECONDS = f"{_PREFIX}run-seconds"
EXIT_CODE = f"{_PREFIX}exit-code"
EXIT_REASON = f"{_PREFIX}exit-reason"
WAITING_REASON = f"{_PREFIX}waiting-reason"

_ITS_OWN = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat/node-heartbeat.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-delete.yaml",
)


class Kwok:
    """Started on a control plane, it ends with it; or `stop` it: its nodes then go silent, like nodes without power."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane

    def start(self) -> None:
        config = self._plane.folder / "kwok.yaml"
        config.write_text(
            yaml.safe_dump_all(stages(self._plane.programs.kwok / "stage", self._plane.node_grace_seconds / 5))
        )
        ((key, value),) = MANAGED.items()
        self._plane.keeper.start(
            "kwok",
            [
                str(self._plane.programs.kwok / "kwok"),
                f"--kubeconfig={self._plane.folder}/admin.json",
                f"--config={config}",
                f"--manage-nodes-with-annotation-selector={key}={value}",
            ],
            env={"HOME": str(self._plane.folder)},
        )

    def stop(self) -> None:
        self._plane.keeper.stop("kwok")


def stages(folder: Path, heartbeat_seconds: float) -> list[dict[str, Any]]:
    """KWOK's own stages from its module, and ours for how a pod ends."""
    found = [yaml.safe_load((folder / name).read_text()) for name in _ITS_OWN]
    by_name = {stage["metadata"]["name"]: stage["spec"] for stage in found}
    by_name["node-heartbeat"]["delay"] = {"durationMilliseconds": int(heartbeat_seconds * 1000)}
    by_name["pod-ready"]["selector"]["matchExpressions"].append(_is(_said(WAITING_REASON), "DoesNotExist"))
    return [
        *found,
        _stage("pod-end", "Running", RUN_SECONDS, _END),
        _stage("pod-wait", "Pending", WAITING_REASON, _WAIT),
    ]


def _stage(name: str, phase: str, wanted: str, template: str) -> dict[str, Any]:
    stage: dict[str, Any] = {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
            "selector": {
                "matchExpressions": [
                    _is(".metadata.deletionTimestamp", "DoesNotExist"),
                    _is(".status.phase", "In", phase),
                    _is(_said(wanted), "Exists"),
                ]
            },
            "next": {"statusTemplate": _SAID + template},
        },
    }
    if wanted == RUN_SECONDS:
        stage["spec"]["delay"] = {
            "durationMilliseconds": 0,
            "durationFrom": {"expressionFrom": f'{_said(wanted)} + "s"'},
        }
    else:  # once is enough
        stage["spec"]["selector"]["matchExpressions"].append(
            _is(".status.containerStatuses[0].state.waiting.reason", "DoesNotExist")
        )
    return stage


def _is(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def _variable(annotation: str) -> str:
    return annotation.removeprefix(_PREFIX).replace("-", "_").upper()


def _said(annotation: str) -> str:
    """jq: the annotation, or else the variable; nothing without both."""
    variable = f'(.spec.containers[0].env[]? | select(.name == "{_variable(annotation)}") | .value)'
    return f'([.metadata.annotations["{annotation}"], {variable}] | map(select(. != null)) | .[0])'


# The same in the language of templates: $exit_code, $exit_reason, $waiting_reason.
_SAID = (
    "{{ $now := Now }}{{ $root := . }}{{ $notes := or .metadata.annotations dict }}\n"
    + "".join(
        f'{{{{ ${_variable(name).lower()} := "{default}" }}}}'
        "{{ range (index .spec.containers 0).env }}"
        f'{{{{ if eq .name "{_variable(name)}" }}}}{{{{ ${_variable(name).lower()} = .value }}}}{{{{ end }}}}'
        "{{ end }}"
        f'{{{{ with index $notes "{name}" }}}}{{{{ ${_variable(name).lower()} = . }}}}{{{{ end }}}}\n'
        for name, default in ((EXIT_CODE, "0"), (EXIT_REASON, ""), (WAITING_REASON, ""))
    )
    + '{{ if not $exit_reason }}{{ $exit_reason = "Completed" }}'
    '{{ if ne $exit_code "0" }}{{ $exit_reason = "Error" }}{{ end }}{{ end }}\n'
)

_END = """
conditions:
{{ range .status.conditions }}
{{ if and (ne .type "Ready") (ne .type "ContainersReady") }}
- type: {{ .type | Quote }}
  status: {{ .status | Quote }}
  lastTransitionTime: {{ .lastTransitionTime | Quote }}
{{ end }}
{{ end }}
- type: Ready
  status: "False"
  reason: {{ if eq $exit_code "0" }}PodCompleted{{ else }}PodFailed{{ end }}
  lastTransitionTime: {{ $now | Quote }}
- type: ContainersReady
  status: "False"
  reason: {{ if eq $exit_code "0" }}PodCompleted{{ else }}PodFailed{{ end }}
  lastTransitionTime: {{ $now | Quote }}
containerStatuses:
{{ range $index, $item := .spec.containers }}
{{ $before := index $root.status.containerStatuses $index }}
- name: {{ $item.name | Quote }}
  image: {{ $item.image | Quote }}
  ready: false
  started: false
  restartCount: 0
  state:
    terminated:
      exitCode: {{ $exit_code }}
      reason: {{ $exit_reason | Quote }}
      startedAt: {{ $before.state.running.startedAt | Quote }}
      finishedAt: {{ $now | Quote }}
{{ end }}
phase: {{ if eq $exit_code "0" }}Succeeded{{ else }}Failed{{ end }}
"""

_WAIT = """
conditions:
- type: Initialized
  status: "True"
  lastTransitionTime: {{ $now | Quote }}
- type: Ready
  status: "False"
  reason: ContainersNotReady
  lastTransitionTime: {{ $now | Quote }}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  ready: false
  started: false
  restartCount: 0
  state:
    waiting:
      reason: {{ $waiting_reason | Quote }}
      message: {{ printf "test: %s" $waiting_reason | Quote }}
{{ end }}
phase: Pending
startTime: {{ $now | Quote }}
"""
