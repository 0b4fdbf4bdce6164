"""The words that we write on objects at a site, and how objects are named."""

import hashlib
import re

LABEL_REF = "aquifer.io/ref"
LABEL_MANAGED = "app.kubernetes.io/managed-by"
MANAGED_BY = "aquifer"
OURS = f"{LABEL_MANAGED}={MANAGED_BY}"  # a selector of everything of ours
LABEL_STATE = "aquifer.io/state"  # of a record: held, stopping, gone
LABEL_NODE = "aquifer.io/node"
LABEL_TENANT = "aquifer.io/tenant"
LABEL_PROJECT = "aquifer.io/project"
LABEL_WORKLOAD = "aquifer.io/workload"
LABEL_KIND = "aquifer.io/kind"
LABEL_QUEUE = "kueue.x-k8s.io/queue-name"
ANNOTATION_DEVICES = "aquifer.io/devices"  # JSON: [[uuid, milli, memory MiB], …] as the hub granted them
ANNOTATION_NAME = "aquifer.io/name"  # what people call it
ANNOTATION_RUN_SECONDS = "aquifer.io/run-seconds"  # simulated nodes run it this long; real ones ignore it
ANNOTATION_DIGEST = "aquifer.io/digest"  # of what we wrote: an edit by hand is seen by it
FIELD_MANAGER = "aquifer"
CONTAINER = "main"

_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_DNS = re.compile(r"[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?")


def object_name(ref: str) -> str:
    """One name for one ref, whatever its letters: refs of the hub are UUIDs and stay readable."""
    return f"aq-{ref}" if _DNS.fullmatch(ref) else f"aq-{_short(ref)}"


def label_of(text: str) -> str:
    """A label's value for any text; what does not fit is told apart by its hash."""
    return text if _LABEL.fullmatch(text) else _short(text)


def namespace_of(tenant: str, project: str) -> str:
    """One namespace for each project. The hash tells `a` + `b-c` from `a-b` + `c`."""
    digest = hashlib.sha256(f"{tenant}/{project}".encode("utf-8", "surrogatepass")).hexdigest()[:10]
    readable = re.sub(r"[^a-z0-9-]+", "-", f"{tenant}-{project}".lower()).strip("-")[:48].rstrip("-")
    return f"aq-{readable}-{digest}" if readable else f"aq-{digest}"


def _short(text: str) -> str:
    return "x" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:40]
