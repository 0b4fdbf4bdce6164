"""What the agent's account must be able to do in a cluster, and what it must not: verb, resource, where."""

OWN, FOREIGN, BESIDE = "aq-acme-vision-0123456789", "somebody-else", "aquifer-system"

_MAY = f"""
list nodes
watch nodes
list pods
watch pods
list jobs.batch
list deployments.apps
list resourceslices.resource.k8s.io
list deviceclasses.resource.k8s.io
create namespaces
get namespaces kube-system
create jobs.batch {OWN}
patch jobs.batch {OWN}
delete jobs.batch {OWN}
create deployments.apps {OWN}
delete deployments.apps {OWN}
create services {OWN}
create resourcequotas {OWN}
create networkpolicies.networking.k8s.io {OWN}
create resourceclaims.resource.k8s.io {OWN}
delete pods {OWN}
get pods/log {OWN}
get pods/exec {OWN}
create pods/exec {OWN}
create pods/portforward {OWN}
list events {OWN}
create configmaps {BESIDE}
update configmaps {BESIDE}
get secrets:aquifer-agent-identity {BESIDE}
patch secrets:aquifer-agent-identity {BESIDE}
get secrets:aquifer-agent-join {BESIDE}
delete secrets:aquifer-agent-join {BESIDE}
bind clusterroles.rbac.authorization.k8s.io:aquifer-agent-project
"""

_MAY_NOT = f"""
list secrets
get secrets {OWN}
create secrets {OWN}
list secrets {BESIDE}
create secrets {BESIDE}
get secrets:other {BESIDE}
delete secrets:aquifer-agent-identity {BESIDE}
patch secrets:aquifer-agent-identity {FOREIGN}
get secrets kube-system
patch nodes
update nodes/status
create nodes/proxy
get nodes/proxy
delete nodes
create clusterroles.rbac.authorization.k8s.io
update clusterroles.rbac.authorization.k8s.io
escalate clusterroles.rbac.authorization.k8s.io
bind clusterroles.rbac.authorization.k8s.io:cluster-admin
create clusterrolebindings.rbac.authorization.k8s.io
delete rolebindings.rbac.authorization.k8s.io {OWN}
impersonate users
impersonate serviceaccounts
create serviceaccounts/token {OWN}
create serviceaccounts/token {BESIDE}
create pods/exec {FOREIGN}
get pods/exec kube-system
create pods/exec {BESIDE}
create pods/attach {OWN}
create pods/ephemeralcontainers {OWN}
create pods/portforward {FOREIGN}
get pods/log {FOREIGN}
delete pods {FOREIGN}
delete pods kube-system
create pods {OWN}
create pods {FOREIGN}
create jobs.batch {FOREIGN}
patch jobs.batch {FOREIGN}
delete deployments.apps {FOREIGN}
patch deployments.apps {BESIDE}
create daemonsets.apps {OWN}
delete namespaces
patch namespaces
get configmaps {FOREIGN}
update resourcequotas {OWN}
delete networkpolicies.networking.k8s.io {OWN}
create persistentvolumes
create validatingadmissionpolicies.admissionregistration.k8s.io
delete validatingadmissionpolicies.admissionregistration.k8s.io
create mutatingwebhookconfigurations.admissionregistration.k8s.io
approve certificatesigningrequests.certificates.k8s.io
"""


def _table(text: str) -> list[tuple[str, str, str]]:
    lines = [line.split() for line in text.strip().splitlines()]
    return [(verb, resource, where[0] if where else "") for verb, resource, *where in lines]


MAY, MAY_NOT = _table(_MAY), _table(_MAY_NOT)
