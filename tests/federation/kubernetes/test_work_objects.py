"""What we ask a cluster for: each case names what has to be in the objects of one piece of work."""

from dataclasses import replace
from typing import Any

import pytest

from federation.drivers.base import DeviceGrant, DeviceSeen, Rejected, Volume, VolumeKind, WorkloadSpec
from federation.drivers.kubernetes.names import label_of, namespace_of, object_name
from federation.drivers.kubernetes.objects import (
    check,
    claim_of,
    namespace_objects,
    owner_of,
    services_of,
)
from federation.drivers.kubernetes.requests import PodRequest, request_for
from federation.drivers.kubernetes.ways import Ways
from tests.contracts.harness import spec

REF = "0f0e8d3c-1111-7222-8333-444455556666"
WORK = spec(REF, image="registry.example/train:1", workload="0f0e8d3c-0000-7000-8000-000000000000")
NOTHING = PodRequest()


def pod(wanted: WorkloadSpec, request: PodRequest = NOTHING, ways: Ways = Ways()) -> dict[str, Any]:  # noqa: B008
    found: dict[str, Any] = owner_of(wanted, request, ways)["spec"]["template"]["spec"]
    return found


def main(wanted: WorkloadSpec, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = pod(wanted, **more)["containers"][0]
    return found


def test_a_job_runs_once_on_its_node_and_holds_what_was_granted() -> None:
    job = owner_of(WORK, PodRequest({"nvidia.com/gpu": "2"}), Ways())
    assert (job["kind"], job["metadata"]["name"]) == ("Job", f"aq-{REF}")
    assert job["spec"]["backoffLimit"] == 0 and job["spec"]["completionMode"] == "Indexed"
    assert job["spec"]["suspend"] is False
    inside = job["spec"]["template"]["spec"]
    terms = inside["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert terms == [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}]}]
    resources = inside["containers"][0]["resources"]
    assert resources["limits"] == {"cpu": "4000m", "memory": "8192Mi", "nvidia.com/gpu": "2"} == resources["requests"]
    assert inside["automountServiceAccountToken"] is False and inside["enableServiceLinks"] is False


def test_a_member_of_a_gang_is_held_and_knows_the_first() -> None:
    member = replace(WORK, replicas=4, replica=2, hold=True)
    job = owner_of(member, NOTHING, Ways())
    assert job["spec"]["suspend"] is True
    inside = job["spec"]["template"]["spec"]
    (service,) = services_of(member)
    assert inside["hostname"] == "member-2" and inside["subdomain"] == service["metadata"]["name"]
    env = {each["name"]: each["value"] for each in inside["containers"][0]["env"]}
    assert env["AQUIFER_FIRST_MEMBER"] == f"member-0.{inside['subdomain']}"
    assert (env["AQUIFER_REPLICA"], env["AQUIFER_REPLICAS"]) == ("2", "4")
    assert service["spec"]["clusterIP"] == "None"


@pytest.mark.parametrize("kind", ["inference", "notebook"])
def test_what_runs_until_it_is_removed_is_a_deployment_of_one_with_a_service(kind: str) -> None:
    served = replace(WORK, kind=kind, ports=(8888, 9000))
    made = owner_of(served, NOTHING, Ways())
    assert (made["kind"], made["spec"]["replicas"], made["spec"]["strategy"]) == ("Deployment", 1, {"type": "Recreate"})
    assert made["spec"]["template"]["spec"]["restartPolicy"] == "Always"
    (service,) = services_of(served)
    assert [port["port"] for port in service["spec"]["ports"]] == [8888, 9000]
    assert service["spec"]["selector"] == made["spec"]["selector"]["matchLabels"]


def test_volumes_secrets_and_grace() -> None:
    volumes = (
        Volume("/data", VolumeKind.CLAIM, "data", is_read_only=True),
        Volume("/scratch", VolumeKind.SCRATCH, size_mib=1024),
        Volume("/dev/shm", VolumeKind.MEMORY, size_mib=512),
    )
    wanted = replace(
        WORK, volumes=volumes, secret_env=("token",), pull_secrets=("registry",), grace_seconds=120, max_seconds=60
    )
    inside = pod(wanted)
    assert [v.get("persistentVolumeClaim") or v["emptyDir"] for v in inside["volumes"]] == [
        {"claimName": "data", "readOnly": True}, {"sizeLimit": "1024Mi"}, {"sizeLimit": "512Mi", "medium": "Memory"},
    ]  # fmt: skip
    assert inside["imagePullSecrets"] == [{"name": "registry"}]
    assert inside["terminationGracePeriodSeconds"] == 120
    assert inside["containers"][0]["envFrom"] == [{"secretRef": {"name": "token"}}]
    assert owner_of(wanted, NOTHING, Ways())["spec"]["activeDeadlineSeconds"] == 60


def test_what_users_write_is_not_expanded() -> None:
    env = {e["name"]: e["value"] for e in main(replace(WORK, env={"A": "$(B) $HOME", "AQUIFER_REF": "forged"}))["env"]}
    assert env["A"] == "$$(B) $HOME"
    assert env["AQUIFER_REF"] == REF, "ours goes before"


def test_a_queue_of_kueue_holds_until_it_lets_in() -> None:
    job = owner_of(WORK, NOTHING, Ways(queue="main"))
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "main"


def test_a_namespace_is_closed_to_others() -> None:
    made = {body["kind"]: body for _, body in namespace_objects(WORK, "aq-x", Ways(bind_role="r", bind_account="n/a"))}
    assert made["Namespace"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "baseline"
    assert made["NetworkPolicy"]["spec"]["ingress"] == [{"from": [{"podSelector": {}}]}]
    assert made["ResourceQuota"]["spec"]["hard"]["services.nodeports"] == "0"
    assert made["RoleBinding"]["subjects"] == [{"kind": "ServiceAccount", "namespace": "n", "name": "a"}]


# -- devices ---------------------------------------------------------------------------------------------


def seen(**facts: Any) -> DeviceSeen:
    return DeviceSeen(**{"index": 0, "uuid": "U", "vendor": "nvidia", "model": "A100", "memory_mib": 81920, **facts})


def asked(device: DeviceSeen, milli: int = 1000, memory: int = 81920) -> PodRequest:
    return request_for([DeviceGrant(0, "U", milli, memory)], {"U": device})


def test_a_device_of_a_slice_is_claimed_by_its_uuid() -> None:
    request = asked(seen(resource="gpu.nvidia.com"))
    claim = claim_of(WORK, request)
    assert claim is not None
    (wanted,) = claim["spec"]["devices"]["requests"]
    assert wanted["exactly"]["deviceClassName"] == "gpu.nvidia.com"
    (selector,) = wanted["exactly"]["selectors"]
    assert selector["cel"]["expression"].endswith('device.attributes["gpu.nvidia.com"].uuid == "U"')
    inside = pod(WORK, request)
    assert inside["resourceClaims"][0]["resourceClaimName"] == claim["metadata"]["name"]
    assert inside["containers"][0]["resources"]["claims"] == [{"name": "devices"}]


def test_a_uuid_cannot_leave_its_quotes() -> None:
    device = seen(resource="gpu.nvidia.com", uuid='" || true || "')
    (wanted,) = request_for([DeviceGrant(0, device.uuid, 1000, 1)], {device.uuid: device}).claim_requests
    assert wanted["exactly"]["selectors"][0]["cel"]["expression"].endswith(r'uuid == "\" || true || \""')


def test_a_part_by_mig_is_its_own_resource() -> None:
    part = seen(resource="nvidia.com/mig-1g.10gb", mode="partitioned", parent_uuid="C", is_identified=False)
    assert asked(part).limits == {"nvidia.com/mig-1g.10gb": "1"}


def test_shares_of_a_card_are_named_in_the_annotation() -> None:
    device = seen(resource="nvidia.com/gpu", mode="sliced", step_milli=10)
    request = asked(device, 250, 20480)
    assert request.limits == {"nvidia.com/gpu": "1", "nvidia.com/gpumem": "20480", "nvidia.com/gpucores": "25"}
    assert request.annotations == {"nvidia.com/use-gpuuuid": "U"}


REFUSED = {
    "a whole card cannot be shared": (seen(resource="nvidia.com/gpu", is_identified=False), 500, "CannotShare"),
    "nor one that is claimed": (seen(resource="gpu.nvidia.com"), 500, "CannotShare"),
    "no way to hand it out": (seen(resource=""), 1000, "NotHandedOut"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_had(case: str) -> None:
    device, milli, reason = REFUSED[case]
    with pytest.raises(Rejected) as refused:
        asked(device, milli)
    assert refused.value.reason == reason


def test_a_device_that_is_gone_is_refused() -> None:
    with pytest.raises(Rejected, match="NoSuchDevice"):
        request_for([DeviceGrant(0, "gone", 1000, 1)], {})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kind": "vm"}, "KindNotSupported"),
        ({"cpu_milli": 0}, "BadSpec"),
        ({"max_seconds": 0}, "BadSpec"),
        ({"run_seconds": float("nan")}, "BadSpec"),
        ({"ref": "a\0b"}, "BadRef"),
        ({"ref": ""}, "BadRef"),
        ({"epoch": -1}, "BadSpec"),
    ],
)
def test_nonsense_is_refused_before_anything_is_asked(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(Rejected) as refused:
        check(replace(WORK, **change))
    assert refused.value.reason == reason


def test_work_without_an_image_is_refused_unless_the_cluster_has_one() -> None:
    with pytest.raises(Rejected, match="ImageMissing"):
        pod(replace(WORK, image=""))
    assert main(replace(WORK, image=""), ways=Ways(default_image="d"))["image"] == "d"


# -- names -----------------------------------------------------------------------------------------------


def test_two_projects_never_share_a_namespace() -> None:
    pairs = [("a", "b-c"), ("a-b", "c"), ("a--b", "c"), ("a", "b--c"), ("x" * 63, "y" * 63), ("x" * 63, "z" * 63)]
    names = {namespace_of(*pair) for pair in pairs}
    assert len(names) == len(pairs)
    assert all(len(name) <= 63 and name == name.lower() for name in names)


@pytest.mark.parametrize("text", ["", "a b", "x" * 200, "参考", "../../etc", "a/b", "UPPER", "-a", "a-"])
def test_any_text_makes_one_name_and_one_label(text: str) -> None:
    name, label = object_name(text), label_of(text)
    assert len(name) <= 63 and len(label) <= 63
    assert all(c in "abcdefghijklmnopqrstuvwxyz0123456789-" for c in name)
    assert (name, label) == (object_name(text), label_of(text))
    assert object_name(text + "!") != name
