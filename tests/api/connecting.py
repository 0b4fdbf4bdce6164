"""What the conversations about connections send."""

import json
from typing import Any

from tests.certificates import kubeconfig as config

CLUSTERS = "/api/v1/clusters"
CHECK = f"{CLUSTERS}/check-connection"


def kubeconfig(**kwargs: Any) -> dict[str, str]:
    return {"kubeconfig": json.dumps(config(**kwargs))}
