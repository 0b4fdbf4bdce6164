"""Conversations about connections that are only tried, and about addresses that may not be connected to."""

from typing import Any

import pytest
from django.utils import timezone

from federation import addresses, registry
from federation.drivers.base import Rejected, SiteInfo, Unavailable
from federation.models import Cluster
from federation.reconcile import clusters
from tests.api.conftest import Client
from tests.api.connecting import CHECK, CLUSTERS, kubeconfig
from tests.api.world import digest_of_database
from tests.certificates import SERVER, token
from tests.stub_driver import StubDriver

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_stub")]


def test_a_try_uses_what_is_sent_now_and_keeps_nothing(operator: Client, cluster_body: Any) -> None:
    operator.post(CLUSTERS, {**cluster_body, "connection": kubeconfig(user={"token": token("kept")})})
    before = digest_of_database()
    answer = operator.post(CHECK, {"server": SERVER, "token": token("typed")})
    assert (answer.status_code, answer.json()["is_reachable"], answer.json()["site_version"]) == (200, True, "v1.34.2")
    assert [dict(config.secrets) for config in StubDriver.made] == [{"token": token("typed")}]
    harm = {"system_namespace": "ours", "token_file": "/etc/hostname", "server": "https://10.9.9.9"}
    operator.post(CHECK, {"server": SERVER, "token": token("typed"), "settings": harm})
    assert StubDriver.made[-1].settings == {**dict(StubDriver.made[0].settings), "system_namespace": "ours"}
    StubDriver.answer = SiteInfo("v1.34.2", "The credential may not list nodes.", is_degraded=True)
    found = operator.post(CHECK, kubeconfig()).json()
    assert (found["is_reachable"], found["is_degraded"]) == (True, True)
    assert found["message"] == "The credential may not list nodes."
    assert (found["server"], found["expires_at"]) == (SERVER, None)
    for error in (Unavailable("The site did not answer."), Rejected("Never", "Not this one.")):
        StubDriver.answer = error
        found = operator.post(CHECK, kubeconfig()).json()
        assert (found["is_reachable"], found["site_version"], found["message"]) == (False, "", str(error))
    assert digest_of_database() == before


def test_a_name_that_turns_on_us_is_not_followed(
    operator: Client, cluster_body: Any, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """DNS rebinding: a good address for the first look, our own for the second."""
    answers = [["10.8.0.7"], ["127.0.0.1"], ["10.8.0.7"], ["169.254.169.254"], []]
    monkeypatch.setattr(addresses, "system_resolver", lambda name, port: answers.pop(0))
    monkeypatch.setattr(registry, "_answers", {})
    monkeypatch.setattr(registry, "_REMEMBER_SECONDS", -1.0)
    settings.SITE_LOOPBACK = False
    parts = {"server": "https://site.example:6443", "token": token()}
    tried = operator.post(CHECK, parts).json()
    assert (tried["is_reachable"], "this machine itself" in tried["message"]) == (False, True)
    made = operator.post(CLUSTERS, {**cluster_body, "connection": parts}).json()
    for words in ("where a cloud tells", "has no address now"):
        clusters.run(made["id"])
        shown = operator.get(f"{CLUSTERS}/{made['id']}").json()
        assert (shown["state"], shown["reason"]) == ("pending", "Unavailable")
        assert words in shown["message"]
        Cluster.objects.update(next_check_at=timezone.now())
    assert StubDriver.made == [], "nothing was connected to"
    assert answers == []


def test_the_operators_networks_hold_at_once_and_later(operator: Client, cluster_body: Any, settings: Any) -> None:
    settings.SITE_NETWORKS = [addresses.ip_network("10.8.0.0/16")]
    outside = operator.post(CHECK, {"server": "https://10.9.0.1", "token": token()})
    assert outside.json()["errors"][0]["code"] == "outside-address"
    made = operator.post(CLUSTERS, {**cluster_body, "connection": kubeconfig()}).json()
    settings.SITE_NETWORKS = [addresses.ip_network("10.9.0.0/16")]
    with pytest.raises(Unavailable, match="AQUIFER_SITE_NETWORKS"):
        registry.driver_for(Cluster.objects.get(pk=made["id"])).check()
