"""The words that we write on containers and volumes of a host, and how these are named."""

import hashlib
import re

LABEL_MANAGED = "app.kubernetes.io/managed-by"  # the same word as in a cluster: one filter for all of ours
MANAGED_BY = "aquifer"
LABEL_CLUSTER = "aquifer.io/cluster"  # whose work it is: two hubs may share a host
LABEL_REF = "aquifer.io/ref"
LABEL_MARK = "aquifer.io/mark"  # of a volume of the ledger: what it says
LABEL_FACTS = "aquifer.io/facts"  # of a volume of the ledger: JSON
LABEL_NAME = "aquifer.io/name"
LABEL_TENANT = "aquifer.io/tenant"
LABEL_PROJECT = "aquifer.io/project"
LABEL_KIND = "aquifer.io/kind"
LABEL_WORKLOAD = "aquifer.io/workload"
LABEL_GENERATION = "aquifer.io/generation"  # as the work was made; the ledger knows newer ones
LABEL_EPOCH = "aquifer.io/epoch"

_PLAIN = re.compile(r"[a-z0-9][a-z0-9-]{0,60}")


def name_of(ref: str) -> str:
    """One name for one ref, whatever its letters: refs of the hub are UUIDs and stay readable."""
    if _PLAIN.fullmatch(ref):
        return f"aquifer-{ref}"
    return "aquifer-x" + hashlib.sha256(ref.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def short(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
