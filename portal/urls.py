"""Every address: health, the API with its document, and the console's pages for everything else."""

from typing import Any

from django.urls import include, path, re_path
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiJsonRenderer2
from drf_spectacular.views import SpectacularAPIView
from rest_framework.routers import SimpleRouter

import billing.api
import federation.api
import portal.api
from portal import dashboard, pages
from portal.http.auth import NamedPermission
from portal.http.problems import not_found

handler400 = "portal.http.problems.bad_request"
handler403 = "portal.http.problems.forbidden"
handler404 = "portal.http.problems.not_found"
handler500 = "portal.http.problems.server_error"

router = SimpleRouter(trailing_slash=False)
for app in (portal.api, federation.api, billing.api):
    app.routes(router)


class SchemaView(SpectacularAPIView):
    """The OpenAPI document, for whoever is signed in. In JSON, as refusals are."""

    renderer_classes = [OpenApiJsonRenderer2, OpenApiJsonRenderer]
    permission_classes = [NamedPermission]
    permissions = {"get": "session.view"}


api: list[Any] = [
    *portal.api.paths,
    *federation.api.paths,
    path("overview", dashboard.OverviewView.as_view()),
    path("schema", SchemaView.as_view()),
    *router.urls,
]

urlpatterns = [
    path("healthz", pages.alive),
    path("readyz", pages.ready),
    path("aquifer-forward", pages.forwarder),
    path("api/v1/docs", pages.docs),
    path("api/v1/", include(api)),
    re_path(r"^(?:api|ws)(?:/|$)", csrf_exempt(not_found)),
    re_path(r"^(?P<name>(assets/.+)|[\w.-]+\.(svg|png|ico|txt|webmanifest))$", pages.asset),
    re_path(r"^", pages.console),
]
