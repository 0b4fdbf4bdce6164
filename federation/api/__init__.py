"""Routes of the federation."""

from typing import Any

from django.urls import path

from federation.api.accelerators import AcceleratorViewSet
from federation.api.agents import AgentEnrolView, AgentManifestView, AgentReleaseView, AgentSyncView
from federation.api.allocations import AllocationViewSet
from federation.api.calls import AgentCallSocket
from federation.api.catalogue import ImageViewSet, TemplateViewSet
from federation.api.channels import PortSocket, ShellSocket
from federation.api.inventory import AcceleratorModelViewSet, NodeViewSet, PoolViewSet
from federation.api.policies import PlacementPoliciesView, QueueOrdersView
from federation.api.sites import ClusterViewSet, JoinTokenViewSet, SiteViewSet
from federation.api.sockets import LogSocket
from federation.api.workloads import WorkloadViewSet

paths = [
    path("agent/enrol", AgentEnrolView.as_view()),
    path("agent/sync", AgentSyncView.as_view()),
    path("agent-releases/<str:id>", AgentReleaseView.as_view()),
    path("agent/manifest", AgentManifestView.as_view()),
    path("placement-policies", PlacementPoliciesView.as_view()),
    path("queue-orders", QueueOrdersView.as_view()),
]
live_paths = [
    path("ws/agent/calls/<str:pk>", AgentCallSocket.as_asgi()),
    path("ws/workloads/<str:pk>/logs", LogSocket.as_asgi()),
    path("ws/workloads/<str:pk>/shell", ShellSocket.as_asgi()),
    path("ws/workloads/<str:pk>/ports/<int:port>", PortSocket.as_asgi()),
]


def routes(router: Any) -> None:
    router.register("sites", SiteViewSet, "sites")
    router.register("clusters", ClusterViewSet, "clusters")
    router.register("join-tokens", JoinTokenViewSet, "join_tokens")
    router.register("nodes", NodeViewSet, "nodes")
    router.register("accelerators", AcceleratorViewSet, "accelerators")
    router.register("accelerator-models", AcceleratorModelViewSet, "accelerator_models")
    router.register("pools", PoolViewSet, "pools")
    router.register("images", ImageViewSet, "images")
    router.register("templates", TemplateViewSet, "templates")
    router.register("workloads", WorkloadViewSet, "workloads")
    router.register("allocations", AllocationViewSet, "allocations")
