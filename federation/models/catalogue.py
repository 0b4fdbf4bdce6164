"""What tenants start work from: images, and templates of whole requests."""

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q

from federation.forms import CONTAINER, SERVER, VM
from portal.models.base import Row, ScopedQuerySet
from portal.models.tenants import Tenant, slug_rule
from portal.permissions import Scope


class SharedQuerySet(ScopedQuerySet[Any]):
    """Rows of a tenant, and those of none: they are for everybody."""

    def in_scope(self, scope: Scope) -> "SharedQuerySet":
        if scope.is_everything or scope.is_empty:
            return super().in_scope(scope)
        return self.filter(
            Q(tenant=None) | Q(tenant__in=scope.tenants) | Q(tenant__projects__in=scope.projects)
        ).distinct()

    def for_tenant(self, tenant: Tenant) -> "SharedQuerySet":
        return self.filter(Q(tenant=None) | Q(tenant=tenant), is_archived=False)


class Entry(Row):
    """Something of the catalogue: of one tenant, or of everybody. What is archived is not offered any more."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    slug = models.CharField(max_length=63, validators=[slug_rule])
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True, default="", max_length=4000)
    is_archived = models.BooleanField(default=False)

    scope_paths: ClassVar = {"tenant": "tenant_id"}
    objects: ClassVar[Any] = SharedQuerySet.as_manager()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.name


class ImageForm(models.TextChoices):
    """What it starts as; see federation/forms.py."""

    CONTAINER = CONTAINER
    VM = VM
    SERVER = SERVER


class ImageFormat(models.TextChoices):
    QCOW2 = "qcow2"
    RAW = "raw"
    ISO = "iso"


class Image(Entry):
    """A container image by its reference, or a disk by its address and checksum, or by the name that sites know."""

    form = models.CharField(max_length=16, choices=ImageForm.choices)
    reference = models.CharField(
        max_length=500, help_text="Of a container, as registry.example.org/job:1; of a disk, the name that sites keep."
    )
    url = models.CharField(max_length=2000, blank=True, default="", help_text="Of a disk: where sites fetch it.")
    sha256 = models.CharField(max_length=64, blank=True, default="", help_text="Of the file or of the manifest.")
    format = models.CharField(max_length=8, choices=ImageFormat.choices, blank=True, default="")
    size_bytes = models.BigIntegerField(null=True, blank=True)
    min_disk_mib = models.PositiveIntegerField(default=0, help_text="The smallest disk it starts on.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "slug"], name="image_slug_once", nulls_distinct=False),
            models.CheckConstraint(
                name="image_fetched_is_checked", condition=Q(url="") | (~Q(sha256="") & ~Q(form="container"))
            ),
        ]


class Template(Entry):
    """A request for work with blanks: fields of a new workload, without its project, pool and name."""

    work = models.JSONField(default=dict, help_text="Fields of a new workload.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "slug"], name="template_slug_once", nulls_distinct=False),
        ]
