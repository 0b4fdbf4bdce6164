"""What the overview says needs somebody."""

from datetime import timedelta

import pytest
from django.utils import timezone

from federation.actions import sites
from federation.connections import Connection
from federation.models import ClusterCredential, Site
from portal.audit import SYSTEM
from portal.permissions import Role
from tests import certificates, factories
from tests.api.conftest import Client

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("days", "told"),
    [(-1, [("error", "credential-expired")]), (13, [("warning", "credential-expires")]), (15, []), (None, [])],
)
def test_a_credential_that_ends_soon_is_told_before_its_cluster_is_silent(
    days: int | None, told: list[tuple[str, str]]
) -> None:
    site = Site.objects.create(slug="s", name="S")
    cluster = sites.add_cluster(
        by=SYSTEM, site=site, slug="k", name="Kube", kind="kubernetes", driver="kubernetes",
        connection=Connection(certificates.SERVER, token=certificates.token()),
    )  # fmt: skip
    ends = None if days is None else timezone.now() + timedelta(days=days)
    ClusterCredential.objects.update(expires_at=ends)

    def needs(role: Role) -> list[tuple[str, str]]:
        client = Client()
        client.force_login(factories.user(role))
        found = client.get("/api/v1/overview").json()["needs_you"]
        assert all(one["target_id"] == str(cluster.pk) and one["params"]["name"] == "Kube" for one in found)
        return [(one["severity"], one["title_code"]) for one in found if one["title_code"].startswith("credential")]

    assert needs(Role.PLATFORM_OPERATOR) == told
    assert needs(Role.PLATFORM_VIEWER) == []
