"""The few calls by which an agent inside a cluster keeps its own identity: Secrets of its namespace, by name.

The service account's token and the cluster's authority are read anew for each call: both are exchanged under us.
"""

import base64
import http.client
import json
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT_SECONDS = 8.0
_MOST_BYTES = 4 * 1024 * 1024


class KubeError(OSError):
    """The API server refused, or did not answer: `status` is 0 then. Holds no credential."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Secret:
    """`data` is decoded; `version` changes whenever somebody writes it."""

    data: dict[str, str]
    version: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """The cluster that this process runs in."""

    server: str
    account: Path
    namespace: str

    @classmethod
    def around_us(cls, account: Path = ACCOUNT, server: str = "", namespace: str = "") -> "Cluster":
        """From what every pod is given. Raises KubeError outside of a cluster."""
        host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        try:
            namespace = namespace or (account / "namespace").read_text().strip()
        except OSError as error:
            raise KubeError(f"This is not inside a Kubernetes cluster: {account} cannot be read.") from error
        if not (server or host):
            raise KubeError("This is not inside a Kubernetes cluster: KUBERNETES_SERVICE_HOST is not set.")
        return cls(server or f"https://{f'[{host}]' if ':' in host else host}:{port}", account, namespace)

    @property
    def token_file(self) -> Path:
        return self.account / "token"

    def ca_pem(self) -> str:
        return (self.account / "ca.crt").read_text()

    def uid(self) -> str:
        """What tells one cluster from every other: the id of its oldest namespace."""
        return str(self._call("GET", "/api/v1/namespaces/kube-system")["metadata"]["uid"])

    def secret(self, name: str) -> Secret | None:
        """None where there is none. Raises KubeError."""
        try:
            found = self._call("GET", self._path(name))
        except KubeError as error:
            if error.status == 404:
                return None
            raise
        data = {key: base64.b64decode(value).decode() for key, value in (found.get("data") or {}).items()}
        return Secret(data, str(found["metadata"]["resourceVersion"]))

    def write(self, name: str, data: dict[str, str], version: str) -> None:
        """Put `data` into a Secret that is there, unless somebody wrote it after `version`. Raises KubeError."""
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        self._call("PATCH", self._path(name), {"metadata": {"resourceVersion": version}, "data": encoded})

    def delete(self, name: str) -> None:
        """Gone, or it was not there. Raises KubeError."""
        try:
            self._call("DELETE", self._path(name))
        except KubeError as error:
            if error.status != 404:
                raise

    def _path(self, name: str) -> str:
        return f"/api/v1/namespaces/{quote(self.namespace, safe='')}/secrets/{quote(name, safe='')}"

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        parts = urlsplit(self.server)
        try:
            token = self.token_file.read_text().strip()
            context = ssl.create_default_context(cadata=self.ca_pem())
        except (OSError, ssl.SSLError) as error:
            raise KubeError(f"The service account in {self.account} cannot be read: {error}.") from error
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port or 443, timeout=TIMEOUT_SECONDS, context=context
        )
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/merge-patch+json"
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            data = response.read(_MOST_BYTES)
            answer = json.loads(data)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise KubeError(f"The API server did not answer {method} {path}: {error}.") from error
        finally:
            connection.close()
        if response.status >= 300 or not isinstance(answer, dict):
            said = answer.get("message", "") if isinstance(answer, dict) else ""
            raise KubeError(f"The API server answered {response.status}. {said}".strip(), response.status)
        return answer
