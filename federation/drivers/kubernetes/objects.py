"""The objects of one piece of work, as we ask for them. Pure: a spec in, JSON out."""

import json
import math

from federation.drivers.base import Rejected, VolumeKind, WorkloadSpec
from federation.drivers.kubernetes.names import (
    ANNOTATION_DEVICES,
    ANNOTATION_NAME,
    ANNOTATION_RUN_SECONDS,
    CONTAINER,
    LABEL_KIND,
    LABEL_MANAGED,
    LABEL_PROJECT,
    LABEL_QUEUE,
    LABEL_REF,
    LABEL_TENANT,
    LABEL_WORKLOAD,
    MANAGED_BY,
    label_of,
    object_name,
)
from federation.drivers.kubernetes.requests import PodRequest
from federation.drivers.kubernetes.transport import Json
from federation.drivers.kubernetes.ways import Ways

SERVICES = frozenset({"inference", "notebook"})  # run until they are removed; the others end by themselves
KINDS = SERVICES | {"batch", "training"}
_MOST_REF = 253


def check(spec: WorkloadSpec) -> None:
    """Refuse what no cluster could run, before anything is asked of it."""
    if not spec.ref or len(spec.ref) > _MOST_REF or not spec.ref.isprintable():
        raise Rejected("BadRef", "The name of the work is empty, too long or not printable.")
    if spec.kind not in KINDS:
        raise Rejected("KindNotSupported", f"A Kubernetes cluster does not run work of kind {spec.kind}.")
    if not (0 <= spec.epoch < 2**62 and 0 <= spec.generation < 2**62):
        raise Rejected("BadSpec", "Epoch and generation are numbers from 0.")
    if spec.cpu_milli <= 0 or spec.memory_mib <= 0:
        raise Rejected("BadSpec", "CPU and memory must be above zero.")
    if spec.max_seconds is not None and not 0 < spec.max_seconds < 2**31:
        raise Rejected("BadSpec", "The time limit must be above zero.")
    if spec.run_seconds is not None and not (math.isfinite(spec.run_seconds) and spec.run_seconds >= 0):
        raise Rejected("BadSpec", "The run time must be a number from 0.")
    if any(not 0 < d.milli <= 1000 or d.memory_mib < 0 for d in spec.devices):
        raise Rejected("BadSpec", "A share is 1 to 1000 thousandths of a device.")


def labels_of(spec: WorkloadSpec) -> dict[str, str]:
    labels = {
        LABEL_MANAGED: MANAGED_BY,
        LABEL_REF: label_of(spec.ref),
        LABEL_TENANT: label_of(spec.tenant),
        LABEL_PROJECT: label_of(spec.project),
        LABEL_KIND: label_of(spec.kind),
    }
    if spec.workload:
        labels[LABEL_WORKLOAD] = label_of(spec.workload)
    return labels


def owner_of(spec: WorkloadSpec, request: PodRequest, ways: Ways, *, tolerated: tuple[Json, ...] = ()) -> Json:
    """The Job, or for what runs until it is removed the Deployment."""
    labels = labels_of(spec)
    meta = {
        "name": object_name(spec.ref),
        "labels": labels,
        "annotations": {ANNOTATION_NAME: spec.name, "aquifer.io/full-ref": spec.ref},
    }
    template = {
        "metadata": {"labels": labels, "annotations": _annotations(spec, request)},
        "spec": _pod(spec, request, ways, tolerated),
    }
    if spec.kind in SERVICES:
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta,
            "spec": {
                "replicas": 1,
                "strategy": {"type": "Recreate"},  # never two at once on the same devices
                "selector": {"matchLabels": {LABEL_REF: labels[LABEL_REF]}},
                "template": template,
            },
        }
    job: Json = {
        "backoffLimit": 0,
        "completions": 1,
        "parallelism": 1,
        "completionMode": "Indexed",
        "podReplacementPolicy": "Failed",
        "suspend": spec.hold or bool(ways.queue),  # Kueue lets go what it has let in
        "template": template,
    }
    if spec.max_seconds is not None:
        job["activeDeadlineSeconds"] = spec.max_seconds
    if ways.queue:
        labels[LABEL_QUEUE] = ways.queue
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": job}


def _annotations(spec: WorkloadSpec, request: PodRequest) -> dict[str, str]:
    devices = [[d.uuid, d.milli, d.memory_mib] for d in spec.devices]
    found = {ANNOTATION_DEVICES: json.dumps(devices), ANNOTATION_NAME: spec.name, **request.annotations}
    if spec.run_seconds is not None:
        found[ANNOTATION_RUN_SECONDS] = f"{spec.run_seconds:g}"
    return found


def _pod(spec: WorkloadSpec, request: PodRequest, ways: Ways, tolerated: tuple[Json, ...]) -> Json:
    pod: Json = {
        "restartPolicy": "Always" if spec.kind in SERVICES else "Never",
        # Without any grace the API server forgets a pod at once, while its containers still have their devices.
        "terminationGracePeriodSeconds": max(spec.grace_seconds, 1),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "affinity": {"nodeAffinity": _on(spec.node)},
        "tolerations": [*ways.tolerations, *tolerated],
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(spec, request, ways)],
    }
    if spec.replicas > 1 and spec.workload:
        pod["hostname"], pod["subdomain"] = f"member-{spec.replica}", gang_name(spec)
    if spec.pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in spec.pull_secrets]
    if ways.runtime_class:
        pod["runtimeClassName"] = ways.runtime_class
    if ways.scheduler:
        pod["schedulerName"] = ways.scheduler
    if request.claim_requests:
        pod["resourceClaims"] = [{"name": "devices", "resourceClaimName": object_name(spec.ref)}]
    if spec.volumes:
        pod["volumes"] = [_volume(f"volume-{i}", spec, i) for i in range(len(spec.volumes))]
    return pod


def _on(node: str) -> Json:
    """This node and no other; by the scheduler, so that it counts what the pod takes."""
    field_ = {"key": "metadata.name", "operator": "In", "values": [node]}
    return {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchFields": [field_]}]}}


def _container(spec: WorkloadSpec, request: PodRequest, ways: Ways) -> Json:
    image = spec.image or ways.default_image
    if not image:
        raise Rejected("ImageMissing", "A Kubernetes cluster needs an image to run.")
    amounts = {"cpu": f"{spec.cpu_milli}m", "memory": f"{spec.memory_mib}Mi", **request.limits}
    container: Json = {
        "name": CONTAINER,
        "image": image,
        "env": [{"name": name, "value": value} for name, value in _env(spec, request).items()],
        "resources": {"requests": dict(amounts), "limits": dict(amounts)},
        "securityContext": {"allowPrivilegeEscalation": False},
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if spec.command:
        container["command"] = list(spec.command)
    if ways.pull_policy:
        container["imagePullPolicy"] = ways.pull_policy
    if spec.secret_env:
        container["envFrom"] = [{"secretRef": {"name": name}} for name in spec.secret_env]
    if request.claim_requests:
        container["resources"]["claims"] = [{"name": "devices"}]
    if spec.ports:
        container["ports"] = [{"name": f"p{port}", "containerPort": port} for port in spec.ports]
        if spec.kind in SERVICES:
            container["readinessProbe"] = {"tcpSocket": {"port": spec.ports[0]}, "periodSeconds": 5}
    if spec.volumes:
        container["volumeMounts"] = [
            {"name": f"volume-{i}", "mountPath": volume.path, "readOnly": volume.is_read_only}
            for i, volume in enumerate(spec.volumes)
        ]
    return container


def _env(spec: WorkloadSpec, request: PodRequest) -> dict[str, str]:
    """The user's own, then what every site gives. `$(` would be expanded by Kubernetes: our users mean it as it is."""
    own = {name: value.replace("$(", "$$(") for name, value in spec.env.items()}
    ours = {
        "AQUIFER_REF": spec.ref,
        "AQUIFER_REPLICA": str(spec.replica),
        "AQUIFER_REPLICAS": str(spec.replicas),
        **request.env,
    }
    if spec.replicas > 1 and spec.workload:
        ours["AQUIFER_FIRST_MEMBER"] = f"member-0.{gang_name(spec)}"
    return {**own, **ours}


def _volume(name: str, spec: WorkloadSpec, number: int) -> Json:
    volume = spec.volumes[number]
    if volume.kind == VolumeKind.CLAIM:
        if not volume.source:
            raise Rejected("BadSpec", f"The volume at {volume.path} does not say which claim it is.")
        claim = {"claimName": volume.source, "readOnly": volume.is_read_only}
        return {"name": name, "persistentVolumeClaim": claim}
    empty: Json = {}
    if volume.size_mib:
        empty["sizeLimit"] = f"{volume.size_mib}Mi"
    if volume.kind == VolumeKind.MEMORY:
        empty["medium"] = "Memory"
    return {"name": name, "emptyDir": empty}


def claim_of(spec: WorkloadSpec, request: PodRequest) -> Json | None:
    """The ResourceClaim that names the devices, where the cluster hands them out so."""
    if not request.claim_requests:
        return None
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {"name": object_name(spec.ref), "labels": labels_of(spec)},
        "spec": {"devices": {"requests": request.claim_requests}},
    }


def services_of(spec: WorkloadSpec) -> list[Json]:
    """The Service of what has ports; and for a gang one without an address, by which members find each other."""
    found = []
    if spec.ports and spec.kind in SERVICES:
        labels = labels_of(spec)
        ports = [{"name": f"p{port}", "port": port, "targetPort": port} for port in spec.ports]
        found.append(_service(object_name(spec.ref), labels, {LABEL_REF: labels[LABEL_REF]}, {"ports": ports}))
    if spec.replicas > 1 and spec.workload:
        labels = labels_of(spec)
        del labels[LABEL_REF]
        only = {LABEL_WORKLOAD: labels[LABEL_WORKLOAD]}
        found.append(_service(gang_name(spec), labels, only, {"clusterIP": "None", "publishNotReadyAddresses": True}))
    return found


def _service(name: str, labels: dict[str, str], selector: dict[str, str], more: Json) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": labels},
        "spec": {"selector": selector, **more},
    }


def gang_name(spec: WorkloadSpec) -> str:
    """DNS names of services begin with a letter and have at most 63 signs."""
    return f"{object_name(spec.workload)}-{spec.attempt}"[:63].rstrip("-")


def namespace_objects(spec: WorkloadSpec, name: str, ways: Ways) -> list[tuple[str, Json]]:
    """A project's namespace and what guards it, each with the path it is made at."""
    labels = {
        LABEL_MANAGED: MANAGED_BY,
        LABEL_TENANT: label_of(spec.tenant),
        LABEL_PROJECT: label_of(spec.project),
    }
    space = {
        **labels,
        "pod-security.kubernetes.io/enforce": ways.pod_security,
        "pod-security.kubernetes.io/warn": ways.pod_security,
    }
    inside = f"/namespaces/{name}"
    meta = {"name": MANAGED_BY, "labels": labels}
    same: Json = {"podSelector": {}}
    policy = {
        "podSelector": {},
        "policyTypes": ["Ingress"],
        # Only from the same project: members of a gang reach each other, other tenants nobody.
        "ingress": [{"from": [same]}],
    }
    found: list[tuple[str, Json]] = [
        ("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": space}})
    ]
    if ways.bind_role:
        space_of, _, account = ways.bind_account.partition("/")
        found.append(
            (
                f"/apis/rbac.authorization.k8s.io/v1{inside}/rolebindings",
                {
                    "apiVersion": "rbac.authorization.k8s.io/v1",
                    "kind": "RoleBinding",
                    "metadata": meta,
                    "roleRef": {
                        "apiGroup": "rbac.authorization.k8s.io",
                        "kind": "ClusterRole",
                        "name": ways.bind_role,
                    },
                    "subjects": [{"kind": "ServiceAccount", "namespace": space_of, "name": account}],
                },
            )
        )
    found += [
        (
            f"/api/v1{inside}/resourcequotas",
            {
                "apiVersion": "v1",
                "kind": "ResourceQuota",
                "metadata": meta,
                "spec": {"hard": dict(ways.namespace_quota)},
            },
        ),
        (
            f"/apis/networking.k8s.io/v1{inside}/networkpolicies",
            {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta, "spec": policy},
        ),
    ]
    return found
