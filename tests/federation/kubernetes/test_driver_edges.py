"""What a cluster, or whoever set it up, may do wrong leaves the driver as one of its two errors."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from federation.drivers.base import DriverConfig, Rejected, Unavailable
from federation.drivers.kubernetes.driver import KubernetesDriver
from federation.drivers.kubernetes.transport import Api, ApiError, Deadline, Endpoint
from tests.certificates import client
from tests.contracts.harness import spec


class Answers(Api):
    """An API server that answers each path as it is told, without a network."""

    def __init__(self, answers: dict[str, Any], name: str) -> None:
        super().__init__(Endpoint(f"https://{name}.example:6443"))
        self.answers = answers

    def raw(self, deadline: Deadline, method: str, path: str, **more: Any) -> bytes:
        found = self.answers[path]
        if isinstance(found, Exception):
            raise found
        return json.dumps(found).encode()


REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@pytest.mark.parametrize("status", [403, 404, 409])
def test_a_server_that_does_not_review_rights_is_no_crash(status: int) -> None:
    error = ApiError(status, "Whatever", "no reviews for you")
    api = Answers({"/version": {"gitVersion": "v1.36.3"}, REVIEWS: error}, f"reviews-{status}")
    with pytest.raises(Unavailable, match="no reviews for you"):
        KubernetesDriver(DriverConfig("c", "kubernetes", 1, port=api)).check()


RECORD = "/api/v1/namespaces/aquifer-system/configmaps/aq-work-1"


@pytest.mark.parametrize("status", [400, 403, 405, 413, 422])
def test_only_what_is_asked_to_be_made_can_be_refused(status: int) -> None:
    """To look and to remove are asked for again, ever less often: they are never refused for good."""
    error = ApiError(status, "Forbidden", "configmaps is forbidden")
    epoch = RECORD.replace("aq-work-1", "aquifer-epoch")
    driver = KubernetesDriver(DriverConfig("c", "kubernetes", 1, port=Answers({RECORD: error, epoch: error}, "no")))
    for call in (driver.observe, driver.remove, driver.logs, driver.events):
        with pytest.raises(Unavailable, match="configmaps is forbidden"):
            call("work-1")
    with pytest.raises(Rejected):
        driver.ensure(spec(image="i"))


@pytest.mark.parametrize(
    "settings",
    [
        {"tolerations": 5},
        {"tolerations": ["x"]},
        {"namespace_quota": []},
        {"namespace_quota": {"pods": 5}},
        {"default_image": 7},
        {"system_namespace": None},
        {"system_namespace": "../kube-system"},
        {"pod_security": "none"},
        {"bind_role": "r", "bind_account": "no-namespace"},
        {"device_classes": {"a": 1}},
    ],
    ids=str,
)
def test_a_cluster_that_is_set_up_wrongly_says_so_with_every_call(settings: dict[str, Any]) -> None:
    driver = KubernetesDriver(DriverConfig("c", "kubernetes", 1, settings, port=Answers({}, "settings")))
    calls: list[Callable[[], Any]] = [
        driver.check,
        lambda: driver.observe("r"),
        lambda: driver.remove("r"),
        driver.refs,
    ]
    for call in calls:
        with pytest.raises(Unavailable, match=next(iter(settings)).split("_")[0]):
            call()
    with pytest.raises(Rejected, match="BadSettings"):
        driver.ensure(spec(image="i"))


def test_a_connection_by_certificate_opens_its_files_once() -> None:
    certificate, key = client()
    api = Api(Endpoint("https://certificate.example:6443", client_cert_pem=certificate, client_key_pem=key))
    api.socket_options()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        api.socket_options()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1
