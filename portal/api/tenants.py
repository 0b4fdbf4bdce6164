"""Tenants, departments, projects."""

from typing import Any

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from portal.actions import tenants
from portal.errors import NotFound
from portal.http.filters import FilterSet
from portal.http.scope import tenant_here
from portal.http.viewsets import ReadViewSet, allowed_verbs
from portal.models import Department, Project, Tenant
from portal.models.tenants import slug_rule

_VERBS = {
    "suspend": ("tenant.suspend", frozenset({"active"})),
    "reinstate": ("tenant.suspend", frozenset({"suspended"})),
}


class TenantSerializer(serializers.ModelSerializer[Tenant]):
    actions = serializers.SerializerMethodField()

    class Meta:
        model = Tenant
        fields = [
            "id", "slug", "name", "state", "reason", "message", "state_since", "is_demo", "created_at", "version",
            "actions",
        ]  # fmt: skip

    def get_actions(self, tenant: Tenant) -> list[str]:
        return allowed_verbs(self.context["request"].user, tenant, _VERBS)


class NewTenantSerializer(serializers.ModelSerializer[Tenant]):
    class Meta:
        model = Tenant
        fields = ["slug", "name"]


class RenameSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=200)


class TenantViewSet(ReadViewSet):
    queryset = Tenant.objects.all()
    serializer_class = TenantSerializer
    filterset_fields = ["state", "slug"]
    permissions = {
        "list": "tenant.view",
        "retrieve": "tenant.view",
        "create": "tenant.create",
        "partial_update": "tenant.edit",
        "suspend": "tenant.suspend",
        "reinstate": "tenant.suspend",
    }

    @extend_schema(request=NewTenantSerializer, responses={201: TenantSerializer})
    def create(self, request: Request) -> Response:
        self.require()
        data = self.valid(NewTenantSerializer)
        return self.created(lambda: tenants.create(by=self.user, **data))

    @extend_schema(request=RenameSerializer, responses=TenantSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        tenant = self.get_object()
        self.require(tenant)
        self.checked_version(tenant)
        return self.answer(tenants.rename(by=self.user, target=tenant, **self.valid(RenameSerializer)))

    @extend_schema(request=None, responses={202: TenantSerializer})
    @action(detail=True, methods=["post"])
    def suspend(self, request: Request, pk: str) -> Response:
        return self.verb(lambda tenant: tenants.suspend(by=self.user, tenant=tenant))

    @extend_schema(request=None, responses={202: TenantSerializer})
    @action(detail=True, methods=["post"])
    def reinstate(self, request: Request, pk: str) -> Response:
        return self.verb(lambda tenant: tenants.reinstate(by=self.user, tenant=tenant))


class DepartmentSerializer(serializers.ModelSerializer[Department]):
    tenant = serializers.UUIDField(source="tenant_id")

    class Meta:
        model = Department
        fields = ["id", "tenant", "slug", "name", "created_at", "version"]


class NewDepartmentSerializer(serializers.Serializer[Any]):
    tenant = serializers.UUIDField()
    slug = serializers.CharField(max_length=63, validators=[slug_rule])
    name = serializers.CharField(max_length=200)


class DepartmentViewSet(ReadViewSet):
    queryset = Department.objects.all()
    serializer_class = DepartmentSerializer
    filterset_fields = ["tenant"]
    permissions = {
        "list": "department.view",
        "retrieve": "department.view",
        "create": "department.edit",
        "partial_update": "department.edit",
    }

    @extend_schema(request=NewDepartmentSerializer, responses={201: DepartmentSerializer})
    def create(self, request: Request) -> Response:
        data = self.valid(NewDepartmentSerializer)
        tenant = tenant_here(self.user, data.pop("tenant"))
        self.require(tenant)
        return self.created(lambda: tenants.add_department(by=self.user, tenant=tenant, **data))

    @extend_schema(request=RenameSerializer, responses=DepartmentSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        department = self.get_object()
        self.require(department)
        self.checked_version(department)
        return self.answer(tenants.rename(by=self.user, target=department, **self.valid(RenameSerializer)))


class ProjectSerializer(serializers.ModelSerializer[Project]):
    tenant = serializers.UUIDField(source="tenant_id")
    tenant_name = serializers.CharField(source="tenant.name")
    department = serializers.UUIDField(source="department_id", allow_null=True)

    class Meta:
        model = Project
        fields = ["id", "tenant", "tenant_name", "department", "slug", "name", "created_at", "version"]


class NewProjectSerializer(serializers.Serializer[Any]):
    tenant = serializers.UUIDField()
    department = serializers.UUIDField(required=False, allow_null=True)
    slug = serializers.CharField(max_length=63, validators=[slug_rule])
    name = serializers.CharField(max_length=200)


class ProjectFilter(FilterSet):
    tenant = django_filters.UUIDFilter(field_name="tenant_id")
    slug = django_filters.CharFilter()

    class Meta:
        model = Project
        fields = ["tenant", "slug"]


class ProjectViewSet(ReadViewSet):
    queryset = Project.objects.select_related("tenant")
    serializer_class = ProjectSerializer
    filterset_class = ProjectFilter
    permissions = {
        "list": "project.view",
        "retrieve": "project.view",
        "create": "project.edit",
        "partial_update": "project.edit",
    }

    @extend_schema(request=NewProjectSerializer, responses={201: ProjectSerializer})
    def create(self, request: Request) -> Response:
        data = self.valid(NewProjectSerializer)
        tenant = tenant_here(self.user, data.pop("tenant"))
        self.require(tenant)
        department = None
        if department_id := data.pop("department", None):
            department = Department.objects.filter(pk=department_id, tenant=tenant).first()
            if department is None:
                raise NotFound("There is no such department.")
        return self.created(lambda: tenants.add_project(by=self.user, tenant=tenant, department=department, **data))

    @extend_schema(request=RenameSerializer, responses=ProjectSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        project = self.get_object()
        self.require(project)
        self.checked_version(project)
        return self.answer(tenants.rename(by=self.user, target=project, **self.valid(RenameSerializer)))
