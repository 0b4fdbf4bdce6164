"""Conversations about images and templates: whose they are, what work gets from them, where they run."""

from typing import Any

import pytest

from federation.models import Allocation, Cluster, Workload
from federation.reconcile.specs import spec_of
from portal.permissions import Role
from tests import factories
from tests.api.conftest import Client, SignIn
from tests.billing.rows import Estate

pytestmark = pytest.mark.django_db
IMAGES, TEMPLATES, WORKLOADS = "/api/v1/images", "/api/v1/templates", "/api/v1/workloads"
SHA = "ab" * 32
KEY = "ssh-ed25519 " + "A" * 68 + " me@desk"
DISK = {
    "slug": "debian", "name": "Debian 12", "form": "vm", "reference": "debian-12.qcow2", "format": "qcow2",
    "url": "https://images.example.org/debian-12.qcow2", "sha256": SHA, "min_disk_mib": 8192,
}  # fmt: skip
JOB = {"slug": "job", "name": "Job", "form": "container", "reference": "r.example/job:1"}


@pytest.fixture
def estate() -> Estate:
    return Estate(devices=1)


def test_a_machine_gets_disk_checksum_and_keys_from_the_catalogue(sign_in: SignIn, estate: Estate) -> None:
    owner = sign_in(Role.TENANT_OWNER, estate.tenant)
    image = owner.post(IMAGES, {**DISK, "tenant": str(estate.tenant.pk)})
    assert image.status_code == 201, image.json()
    asked: dict[str, Any] = {
        "project": str(estate.project.pk), "pool": str(estate.pool.pk), "name": "desk", "kind": "vm",
        "catalogue_image": image.json()["id"], "boot": {"ssh_keys": [KEY], "user_data": "#cloud-config\n"},
    }  # fmt: skip
    small = owner.post(WORKLOADS, {**asked, "boot": {"disk_mib": 100}})
    assert (small.status_code, small.json()["errors"][0]["pointer"]) == (422, "/boot/disk_mib")
    made = owner.post(WORKLOADS, asked)
    assert made.status_code == 201, made.json()
    assert made.json()["boot"] == {
        "image_url": DISK["url"], "image_sha256": SHA, "image_format": "qcow2", "disk_mib": 8192, "ssh_keys": [KEY],
        "user_data": "#cloud-config\n", "boot_from": "disk",
    }  # fmt: skip
    # What runs keeps what it got, whatever becomes of the catalogue.
    edited = owner.patch(
        f"{IMAGES}/{image.json()['id']}", {"sha256": "cd" * 32, "is_archived": True}, headers={"If-Match": '"1"'}
    )
    assert edited.status_code == 200, edited.json()
    workload = Workload.objects.get(pk=made.json()["id"])
    spec = spec_of(Allocation(workload=workload, node=estate.node, cluster=estate.cluster, epoch=1, generation=1))
    assert spec.boot is not None
    assert (spec.image, spec.boot.image_sha256, spec.boot.ssh_keys) == (DISK["reference"], SHA, (KEY,))
    gone = owner.post(WORKLOADS, asked)
    assert (gone.status_code, gone.json()["errors"][0]["code"]) == (422, "no-image")


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"kind": "batch"}, "/kind", "image-kind"),
        ({"kind": "vm", "image": "other"}, "/image", "either-or"),
        ({"kind": "batch", "boot": {}, "catalogue_image": None}, "/catalogue_image", "null"),
        ({"kind": "vm", "boot": {"ssh_keys": ["-----BEGIN OPENSSH PRIVATE KEY-----"]}}, "/boot/ssh_keys", "bad-key"),
        ({"kind": "vm", "boot": {"image_url": "http://x/y"}}, "/boot/image_url", "bad-url"),
        ({"kind": "vm", "boot": {"image_url": "https://x.example/y"}}, "/boot/image_sha256", "required"),
    ],
)
def test_what_does_not_go_with_an_image_is_refused(
    body: dict[str, Any], pointer: str, code: str, sign_in: SignIn, estate: Estate
) -> None:
    owner = sign_in(Role.TENANT_OWNER, estate.tenant)
    image = owner.post(IMAGES, {**DISK, "tenant": str(estate.tenant.pk)}).json()["id"]
    asked = {
        "project": str(estate.project.pk), "pool": str(estate.pool.pk), "name": "desk", "catalogue_image": image,
    }  # fmt: skip
    refused = owner.post(WORKLOADS, {**asked, **body})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer), refused.json()
    assert refused.json()["errors"][0]["code"] == code
    assert not Workload.objects.filter(name="desk").exists()


def test_boot_is_for_machines(sign_in: SignIn, estate: Estate) -> None:
    owner = sign_in(Role.TENANT_OWNER, estate.tenant)
    asked = {"project": str(estate.project.pk), "pool": str(estate.pool.pk), "name": "desk", "boot": {"disk_mib": 1}}
    assert owner.post(WORKLOADS, asked).json()["errors"][0]["code"] == "boot-kind"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"sha256": ""}, "required"), ({"format": "iso"}, "bad-format"), ({"sha256": "xyz"}, "bad-checksum"),
        ({"form": "container"}, "not-taken"), ({"url": "file:///etc/passwd"}, "bad-url"), ({"slug": "Ü"}, "bad-slug"),
    ],
)  # fmt: skip
def test_an_image_that_makes_no_sense_is_refused(
    change: dict[str, Any], code: str, sign_in: SignIn, estate: Estate
) -> None:
    owner = sign_in(Role.TENANT_OWNER, estate.tenant)
    refused = owner.post(IMAGES, {**DISK, "tenant": str(estate.tenant.pk), **change})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, code), refused.json()


def test_what_is_for_everybody_is_kept_by_operators(sign_in: SignIn, operator: Client, estate: Estate) -> None:
    shared = operator.post(IMAGES, JOB)
    assert (shared.status_code, shared.json().get("tenant")) == (201, None), shared.json()
    assert operator.post(IMAGES, JOB).json()["errors"][0]["code"] == "taken"
    member = sign_in(Role.TENANT_MEMBER, estate.tenant)
    other = sign_in(Role.TENANT_MEMBER, factories.tenant(slug="strangers"))
    ours = member.post(IMAGES, {**JOB, "tenant": str(estate.tenant.pk)})
    assert ours.status_code == 201, "each tenant has its own names"
    assert {one["id"] for one in member.get(IMAGES).json()["results"]} == {shared.json()["id"], ours.json()["id"]}
    assert [one["id"] for one in other.get(IMAGES).json()["results"]] == [shared.json()["id"]]
    assert other.get(f"{IMAGES}/{ours.json()['id']}").status_code == 404
    assert member.post(IMAGES, {**JOB, "slug": "more"}).status_code == 403
    address = f"{IMAGES}/{shared.json()['id']}"
    assert member.patch(address, {"name": "Mine"}, headers={"If-Match": '"1"'}).status_code == 403
    assert (member.get(address).json()["can_edit"], operator.get(address).json()["can_edit"]) == (False, True)


def test_a_template_lies_under_what_is_said(sign_in: SignIn, estate: Estate) -> None:
    owner = sign_in(Role.TENANT_OWNER, estate.tenant)
    work = {"image": "r.example/notebook:2", "kind": "notebook", "accelerators": 1, "ports": [8888]}
    template = owner.post(
        TEMPLATES, {"tenant": str(estate.tenant.pk), "slug": "notebook", "name": "Notebook", "work": work}
    )
    assert template.status_code == 201, template.json()
    asked = {"project": str(estate.project.pk), "pool": str(estate.pool.pk), "name": "mine"}
    made = owner.post(WORKLOADS, {**asked, "template": template.json()["id"], "ports": [9999]}).json()
    assert {name: made[name] for name in work} == {**work, "ports": [9999]}
    stranger_tenant = factories.tenant(slug="strangers")
    stranger = sign_in(Role.TENANT_OWNER, stranger_tenant)
    project = factories.project(stranger_tenant)
    refused = stranger.post(
        WORKLOADS, {**asked, "project": str(project.pk), "template": template.json()["id"]}
    )  # fmt: skip
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "no-template")


@pytest.mark.parametrize(
    ("work", "pointer"),
    [
        ({"colour": "red"}, "/work/colour"),
        ({"project": "x"}, "/work/project"),
        ({"accelerators": -1}, "/work/accelerators"),
    ],
)
def test_a_template_has_fields_of_work(work: dict[str, Any], pointer: str, sign_in: SignIn, estate: Estate) -> None:
    owner = sign_in(Role.TENANT_OWNER, estate.tenant)
    body = {"tenant": str(estate.tenant.pk), "slug": "t", "name": "T", "work": work}
    refused = owner.post(TEMPLATES, body)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)


def test_where_an_image_can_run(sign_in: SignIn, operator: Client, estate: Estate) -> None:
    kvm = factories.cluster(factories.node_seen("kvm-0"), factories.node_seen("kvm-1"), kind="kvm")
    Cluster.objects.filter(pk=kvm.pk).update(driver="kvm")
    Cluster.objects.filter(pk=estate.cluster.pk).update(driver="kubernetes")
    estate.pool.clusters.set([estate.cluster, kvm])
    for body, nodes in ((DISK, 2), (JOB, 1)):
        image = operator.post(IMAGES, body).json()["id"]
        places = operator.get(f"{IMAGES}/{image}/places").json()
        mine = next(place for place in places if place["pool"] == str(estate.pool.pk))
        assert (mine["nodes"], mine["of_nodes"]) == (nodes, 3)
