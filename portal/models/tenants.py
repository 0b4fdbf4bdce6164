"""Who owns work and pays for it: tenant > department > project."""

from django.core.validators import RegexValidator
from django.db import models

from portal.models.base import Row, StatefulRow
from portal.states import TENANT_ARROWS, TenantState

slug_rule = RegexValidator(
    r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
    "Use lower-case letters, digits and hyphens, at most 63, beginning and ending with a letter or digit.",
    code="bad-slug",
)


class Tenant(StatefulRow):
    """The wall between organisations: isolation of data and the one who is billed."""

    topic = "tenant"
    arrows = TENANT_ARROWS
    scope_paths = {"tenant": "id"}

    slug = models.CharField(max_length=63, unique=True, validators=[slug_rule])
    name = models.CharField(max_length=200)
    state = models.CharField(
        max_length=16, choices=[(s.value, s.value) for s in TenantState], default=TenantState.ACTIVE
    )
    is_demo = models.BooleanField(default=False)

    @property
    def tenant_id(self) -> object:
        return self.pk

    def __str__(self) -> str:
        return self.name


class Department(Row):
    """An optional level between tenant and project, for reports and shared quota."""

    scope_paths = {"tenant": "tenant_id"}

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="departments")
    slug = models.CharField(max_length=63, validators=[slug_rule])
    name = models.CharField(max_length=200)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "slug"], name="department_slug_in_tenant")]

    def __str__(self) -> str:
        return self.name


class Project(Row):
    """The unit of quota; a namespace, an account or a project at the sites."""

    scope_paths = {"tenant": "tenant_id", "project": "id"}

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="projects")
    department = models.ForeignKey(Department, on_delete=models.PROTECT, null=True, blank=True, related_name="projects")
    slug = models.CharField(max_length=63, validators=[slug_rule])
    name = models.CharField(max_length=200)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "slug"], name="project_slug_in_tenant")]

    def __str__(self) -> str:
        return self.name
