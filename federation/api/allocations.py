"""Allocations: what of which hardware was granted to which work, and what is done with it in place."""

from collections.abc import Callable
from typing import Any

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from federation.actions import allocations, machines
from federation.api.machines import VERBS, RestartSerializer, ScreenSerializer
from federation.models import Allocation, Share
from federation.states import AllocationState as A
from portal.http.filters import FilterSet
from portal.http.viewsets import ReadViewSet, allowed_verbs, must_be


class ShareSerializer(serializers.ModelSerializer[Share]):
    accelerator = serializers.UUIDField(source="accelerator_id")
    index = serializers.IntegerField(source="accelerator.index")
    uuid = serializers.CharField(source="accelerator.uuid")
    model = serializers.CharField(source="accelerator.model.name")

    class Meta:
        model = Share
        fields = ["accelerator", "index", "uuid", "model", "milli", "memory_mib"]


_ALLOCATION_VERBS = {"release": ("allocation.release", frozenset({A.RESERVED, A.STARTING, A.ACTIVE}))}


class AllocationSerializer(serializers.ModelSerializer[Allocation]):
    tenant = serializers.UUIDField(source="tenant_id")
    tenant_name = serializers.CharField(source="tenant.name")
    project = serializers.UUIDField(source="project_id")
    workload = serializers.UUIDField(source="workload_id")
    workload_name = serializers.CharField(source="workload.name")
    cluster = serializers.UUIDField(source="cluster_id")
    cluster_name = serializers.CharField(source="cluster.name")
    node = serializers.UUIDField(source="node_id")
    node_name = serializers.CharField(source="node.name")
    flavor = serializers.CharField(source="flavor.name")
    shares = ShareSerializer(many=True)
    actions = serializers.SerializerMethodField()

    class Meta:
        model = Allocation
        fields = [
            "id", "tenant", "tenant_name", "project", "workload", "workload_name", "cluster", "cluster_name", "node",
            "node_name", "flavor", "attempt", "replica", "state", "reason", "message", "state_since", "epoch",
            "generation", "cpu_milli", "memory_mib", "held_milli", "shares", "started_at", "ended_at", "proof_at",
            "exit_code", "used_cpu_milli", "used_memory_mib", "used_disk_read_kibps",
            "used_disk_write_kibps", "used_net_in_kibps", "used_net_out_kibps", "is_stuck",
            "created_at", "version", "actions",
        ]  # fmt: skip

    def get_actions(self, allocation: Allocation) -> list[str]:
        can_do = machines.verbs(allocation.cluster)
        known = _ALLOCATION_VERBS | {verb: how for verb, how in VERBS.items() if verb in can_do}
        return allowed_verbs(self.context["request"].user, allocation, known)


class AllocationFilter(FilterSet):
    state = django_filters.MultipleChoiceFilter(choices=[(s.value, s.value) for s in A])

    class Meta:
        model = Allocation
        fields = ["state", "tenant", "project", "workload", "cluster", "node"]


class AllocationViewSet(ReadViewSet):
    queryset = (
        Allocation.objects.select_related("tenant", "workload", "cluster__agent", "node", "flavor")
        .defer("cluster__agent__inventory", "cluster__agent__figures")
        .prefetch_related("shares__accelerator__model")
    )
    serializer_class = AllocationSerializer
    filterset_class = AllocationFilter
    permissions = {
        "list": "allocation.view",
        "retrieve": "allocation.view",
        "release": "allocation.release",
        **{verb: permission for verb, (permission, _) in VERBS.items()},
    }

    @extend_schema(request=None, responses={202: AllocationSerializer})
    @action(detail=True, methods=["post"])
    def release(self, request: Request, pk: str) -> Response:
        """Take the hardware back; the workload returns to the queue."""
        allocation = self.get_object()
        self.require(allocation)
        must_be(allocation, _ALLOCATION_VERBS["release"][1], "release")
        return self.answer(allocations.release(by=self.user, allocation=allocation), 202)

    def _in_place(self, verb: Callable[..., Allocation], **facts: Any) -> Response:
        allocation = self.get_object()
        self.require(allocation)
        return self.answer(verb(by=self.user, allocation=allocation, **facts), 202)

    @extend_schema(request=None, responses={202: AllocationSerializer})
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        """Let it stand still in place; it holds what it holds, and is billed for it."""
        return self._in_place(machines.pause)

    @extend_schema(request=None, responses={202: AllocationSerializer})
    @action(detail=True, methods=["post"])
    def unpause(self, request: Request, pk: str) -> Response:
        """Let it go on."""
        return self._in_place(machines.unpause)

    @extend_schema(request=RestartSerializer, responses={202: AllocationSerializer})
    @action(detail=True, methods=["post"])
    def restart(self, request: Request, pk: str) -> Response:
        """Start it anew in place."""
        return self._in_place(machines.restart, **self.valid(RestartSerializer))

    @extend_schema(request=None, responses=ScreenSerializer)
    @action(detail=True, methods=["post"])
    def screen(self, request: Request, pk: str) -> Response:
        """Where the picture of its screen is, as its host sees it; each look is noted."""
        allocation = self.get_object()
        self.require(allocation)
        found = machines.screen(by=self.user, allocation=allocation)
        return Response(ScreenSerializer.shown(found), headers={"Cache-Control": "no-store"})
