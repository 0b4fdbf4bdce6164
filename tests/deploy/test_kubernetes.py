"""What is applied to a cluster that joins: the chart, the plain manifests, and what they let the agent do there."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.rights import FOREIGN, MAY, MAY_NOT, OWN
from tests.kube.plane import ControlPlane
from tests.kube.test_rig import wait_for

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm" / "aquifer-agent"
AGENT, DIRECT = (ROOT / "deploy" / "kubernetes" / name for name in ("agent.yaml", "direct.yaml"))
HUB = ["--set", "hub.url=https://hub.example.org"]
Helm = Callable[..., str]
Object = dict[str, Any]


def objects(text: str) -> dict[tuple[str, str], Object]:
    """By kind and name."""
    return {(o["kind"], o["metadata"]["name"]): o for o in yaml.safe_load_all(text) if o}


def render(helm: Helm, *more: str, name: str = "aquifer-agent") -> dict[tuple[str, str], Object]:
    base = ["template", name, str(CHART), "--namespace", "aquifer-system", "--kube-version", "1.36.3"]
    return objects(helm(*base, *HUB, *more))


def rules(found: dict[tuple[str, str], Object], kind: str, name: str) -> set[tuple[str, str]]:
    """(resource, verb) of a role."""
    return {
        (resource, verb)
        for rule in found[(kind, name)]["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


# -- the chart ---------------------------------------------------------------------------------------


def test_the_chart_is_well_formed_and_needs_the_hubs_address(helm: Helm) -> None:
    helm("lint", "--strict", str(CHART), *HUB)
    for wrong, word in (
        ((), "hub"),
        (("--set", "hub.url=http://hub.example.org"), "pattern"),
        ((*HUB, "--set", "features.shels=false"), "shels"),
        ((*HUB, "--set", "site.pod_security=privileged"), "pod_security"),
        ((*HUB, "--set", "image.digest=latest"), "digest"),
    ):
        with pytest.raises(subprocess.CalledProcessError) as refused:
            helm("template", "x", str(CHART), "--kube-version", "1.36.3", *wrong)
        assert word in refused.value.stderr


def test_the_plain_manifest_is_what_the_chart_makes(helm: Helm) -> None:
    assert objects(AGENT.read_text()) == render(helm, "--set", "createNamespace=true")


def test_features_that_are_off_are_no_rights(helm: Helm) -> None:
    off = [f"--set=features.{feature}=false" for feature in ("shells", "dra", "policy")]
    everything, least = render(helm), render(helm, *off)
    project = ("ClusterRole", "aquifer-agent-project")
    assert {r for r, _ in rules(everything, *project) - rules(least, *project)} == {
        "pods/exec",
        "pods/portforward",
        "resourceclaims",
    }
    gone = everything.keys() - least.keys()
    assert {kind for kind, _ in gone} == {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}


def test_settings_tokens_and_names_go_where_they_belong(helm: Helm) -> None:
    digest = f"sha256:{'0' * 64}"
    values = ["joinToken=join_abc", "site.queue=main", "hub.caConfigMap=corp", f"image.digest={digest}"]
    made = render(helm, *(f"--set={value}" for value in values), name="other")
    assert made[("Secret", "other-join")]["stringData"] == {"token": "join_abc"}
    settings = json.loads(made[("ConfigMap", "other-settings")]["data"]["settings.json"])
    bound = {"bind_role": "other-project", "bind_account": "aquifer-system/other"}
    assert settings == {**bound, "pod_security": "baseline", "queue": "main"}
    pod = made[("Deployment", "other")]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == f"registry.example.org/aquifer-agent@{digest}"
    assert "--ca-file=/etc/aquifer/hub/ca.crt" in pod["containers"][0]["args"]
    assert "join_abc" not in str(pod)


def test_the_pod_may_do_nothing_to_its_node() -> None:
    deployment = objects(AGENT.read_text())[("Deployment", "aquifer-agent")]["spec"]
    pod, container = deployment["template"]["spec"], deployment["template"]["spec"]["containers"][0]
    assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (True, 10001)
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container["resources"]["limits"]
    assert deployment["strategy"] == {"type": "Recreate"}


def test_a_direct_connection_has_the_same_rights_but_for_secrets() -> None:
    agent, direct = objects(AGENT.read_text()), objects(DIRECT.read_text())
    for role in ("cluster", "project"):
        hub = rules(direct, "ClusterRole", f"aquifer-hub-{role}")
        assert hub == rules(agent, "ClusterRole", f"aquifer-agent-{role}")
    assert {r for r, _ in rules(direct, "Role", "aquifer-hub")} == {"configmaps"}
    assert "aquifer-agent" not in DIRECT.read_text()
    policies = {kind for kind, _ in direct if kind.startswith("Validating")}
    assert policies == {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}


# -- on a real API server ----------------------------------------------------------------------------


class Joined:
    """A control plane to which the manifests were applied, and the agent's token."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        plane.kubectl("apply", "-f", str(AGENT))
        plane.kubectl("apply", "-f", str(DIRECT))
        plane.kubectl("create", "namespace", FOREIGN)
        self.token = plane.token("aquifer-system", "aquifer-agent")
        # A server heeds a policy some moments after it was made.
        wait_for(lambda: "for projects only" in self.apply(space("own-namespace"), check=False, is_try=True))
        wait_for(lambda: "not its own" in self.apply(binding("kube-system"), check=False, is_try=True))

    def apply(self, *bodies: Object, check: bool = True, is_try: bool = False) -> str:
        text = yaml.safe_dump_all(bodies)
        how = ["--dry-run=server"] if is_try else []
        return self.plane.kubectl("create", *how, "-f", "-", token=self.token, text=text, check=check)

    def may(self, verb: str, resource: str, namespace: str) -> bool:
        """`resource` as pods, pods/log (a part of it) or secrets:name (one of them)."""
        resource, _, part = resource.partition("/")
        where = ["-n", namespace] if namespace else ["--all-namespaces"]
        if part:
            where.append(f"--subresource={part}")
        return self.plane.can(self.token, verb, resource.replace(":", "/"), *where)


def space(name: str, **labels: str) -> Object:
    level = {"pod-security.kubernetes.io/enforce": "baseline", "app.kubernetes.io/managed-by": "aquifer"}
    words = {k.replace("__", "/").replace("_", "-"): v for k, v in labels.items()}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {**level, **words}}}


def binding(namespace: str, role: str = "aquifer-agent-project", account: str = "aquifer-agent") -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "aquifer", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "namespace": "aquifer-system", "name": account}],
    }  # fmt: skip


@pytest.fixture(scope="module")
def joined(plane: ControlPlane) -> Iterator[Joined]:
    made = Joined(plane)
    made.apply(space(OWN))
    made.apply(binding(OWN))
    yield made
    for file in (AGENT, DIRECT):
        plane.kubectl("delete", "--wait=false", "--ignore-not-found", "-f", str(file))
    plane.kubectl("delete", "namespace", "--wait=false", OWN, FOREIGN)


pytestmark = pytest.mark.timeout(300)


@pytest.mark.processes
def test_the_agent_may_do_what_it_has_to_and_nothing_else(joined: Joined) -> None:
    wrong = [f"may not: {' '.join(ask)}" for ask in MAY if not joined.may(*ask)]
    wrong += [f"MAY: {' '.join(ask)}" for ask in MAY_NOT if joined.may(*ask)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.processes
def test_can_i_says_the_same_for_whoever_asks_in_its_name(joined: Joined) -> None:
    name = "--as=system:serviceaccount:aquifer-system:aquifer-agent"
    ask = ["auth", "can-i", "list", "secrets", "--all-namespaces", name]
    assert joined.plane.kubectl(*ask, check=False).startswith("no")
    assert joined.plane.kubectl("auth", "can-i", "list", "nodes", name).strip() == "yes"


@pytest.mark.processes
@pytest.mark.parametrize("namespace", ["kube-system", "default", FOREIGN, "kube-public"])
def test_it_cannot_give_itself_its_role_where_it_has_no_business(joined: Joined, namespace: str) -> None:
    said = joined.apply(binding(namespace), check=False)
    assert "changes nothing in namespaces that are not its own" in said
    assert not joined.may("create", "pods/exec", namespace)


@pytest.mark.processes
def test_it_cannot_give_rights_to_others_or_other_rights_to_itself(joined: Joined) -> None:
    other = binding(OWN, account="default")
    other["metadata"]["name"] = "other"
    assert "gives rights to nobody but itself" in joined.apply(other, check=False)
    admin = binding(OWN, role="cluster-admin")
    admin["metadata"]["name"] = "admin"
    assert "attempting to grant RBAC permissions not currently held" in joined.apply(admin, check=False)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("own-namespace", {}),
        ("aq-x", {"pod_security.kubernetes.io__enforce": "privileged"}),
        ("aq-x", {"app.kubernetes.io__managed_by": "somebody"}),
    ],
)
def test_it_makes_namespaces_for_projects_only(joined: Joined, name: str, labels: dict[str, str]) -> None:
    said = joined.apply(space(name, **labels), check=False)
    assert "makes namespaces for projects only" in said


@pytest.mark.processes
def test_its_identity_outlives_another_apply(joined: Joined) -> None:
    """An upgrade, by either way, must not make it a stranger to its hub."""
    plane = joined.plane
    patch = json.dumps({"stringData": {"identity.json": "{}"}})
    plane.kubectl("-n", "aquifer-system", "patch", "secret", "aquifer-agent-identity", "--type=merge", "-p", patch)
    plane.kubectl("apply", "-f", str(AGENT))
    kept = plane.kubectl("-n", "aquifer-system", "get", "secret", "aquifer-agent-identity", "-o", "jsonpath={.data}")
    assert "identity.json" in kept


@pytest.mark.processes
def test_a_real_cluster_takes_what_the_chart_makes(joined: Joined, helm: Helm, tmp_path: Path) -> None:
    config = tmp_path / "kubeconfig"
    config.write_text(joined.plane.kubeconfig())
    base = ["--kubeconfig", str(config), "--namespace", "helm-made"]
    helm("install", "two", str(CHART), *base, "--create-namespace", *HUB, "--set=joinToken=join_x")
    secret = ["-n", "helm-made", "get", "secret", "two-identity", "-o", "jsonpath={.data}"]
    patch = json.dumps({"stringData": {"identity.json": "{}"}})
    joined.plane.kubectl("-n", "helm-made", "patch", "secret", "two-identity", "--type=merge", "-p", patch)
    helm("upgrade", "two", str(CHART), *base, *HUB, "--set=features.shells=false")
    assert "identity.json" in joined.plane.kubectl(*secret)
    helm("uninstall", "two", *base)
