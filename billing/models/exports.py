"""Exports: what was asked for, how far it is, and where it went; targets and schedules."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from billing.exports.focus.formats import Format
from billing.states import EXPORT_ARROWS, ExportState
from portal.leases import Leased, LeasedQuerySet, lease_pair
from portal.models.base import Row, ScopedQuerySet, StatefulRow


class ExportKind(models.TextChoices):
    FOCUS_1_2 = "focus-1.2"
    FOCUS_1_4 = "focus-1.4"
    LINE_ITEMS = "line-items"
    CARD_HOURS = "card-hours"


XLSX = "xlsx"
FORMATS = [(form.value, form.value) for form in Format] + [(XLSX, XLSX)]


class ExportTarget(Row):
    """A bucket of S3 or of a storage that speaks it. `sealed` holds its keys, and opens for this endpoint and bucket
    alone. A target of a tenant is used by that tenant's exports; one without a tenant by the platform's.
    """

    scope_paths: ClassVar = {"tenant": "tenant_id"}

    tenant_id = models.UUIDField(null=True)
    slug = models.SlugField(max_length=63)
    endpoint = models.CharField(max_length=2000)
    bucket = models.CharField(max_length=63)
    prefix = models.CharField(max_length=200, blank=True, default="")
    region = models.CharField(max_length=63, default="us-east-1")
    path_style = models.BooleanField(default=True, help_text="The bucket in the path rather than in the host's name.")
    sealed = models.TextField()

    objects: ClassVar = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant_id", "slug"], name="export_target_slug_once", nulls_distinct=False),
            models.CheckConstraint(condition=~Q(sealed=""), name="export_target_is_sealed"),
        ]

    @property
    def place(self) -> tuple[str, ...]:
        """What its keys are sealed for."""
        return str(self.pk), "export-target", f"{self.endpoint} {self.bucket}"

    def __str__(self) -> str:
        return self.slug


class Every(models.TextChoices):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class ExportSchedule(Row):
    """An export made again and again: each day or week of the month that runs, or each month of the one before.

    `next_at` is when the next one is due. What was missed is made up for once, not once for each time.
    """

    scope_paths: ClassVar = {"tenant": "tenant_id"}

    tenant_id = models.UUIDField(null=True)
    kind = models.CharField(max_length=16, choices=ExportKind.choices)
    format = models.CharField(max_length=16, choices=FORMATS)
    target = models.ForeignKey(ExportTarget, on_delete=models.PROTECT, null=True, related_name="schedules")
    every = models.CharField(max_length=8, choices=Every.choices)
    hour = models.PositiveSmallIntegerField(default=3, help_text="Of the billing time zone.")
    is_paused = models.BooleanField(default=False)
    next_at = models.DateTimeField()
    made_by = models.CharField(max_length=150)

    objects: ClassVar = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(hour__lte=23), name="export_schedule_hour_of_a_day")]
        indexes = [models.Index(fields=["next_at"], name="export_schedule_due", condition=Q(is_paused=False))]

    def __str__(self) -> str:
        return f"{self.kind} each {self.every}"


class ExportQuerySet(LeasedQuerySet["Export"]):
    def in_work(self) -> "ExportQuerySet":
        return self.filter(state__in=(ExportState.QUEUED, ExportState.RUNNING))


class Export(StatefulRow, Leased):
    """One export of one month: the ledger as it stood at transaction `seq`. No tenant: all of them.

    It is made chunk by chunk. `rows` and `places` say how far it is: a worker that dies loses one chunk's work.
    """

    topic = "export"
    arrows = EXPORT_ARROWS
    scope_paths: ClassVar = {"tenant": "tenant_id"}

    tenant_id = models.UUIDField(null=True)
    tenant = models.CharField(max_length=200, blank=True, default="")
    kind = models.CharField(max_length=16, choices=ExportKind.choices)
    format = models.CharField(max_length=16, choices=FORMATS)
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    seq = models.BigIntegerField(help_text="The last transaction of the ledger that is in it.")
    target = models.ForeignKey(ExportTarget, on_delete=models.PROTECT, null=True, related_name="exports")
    schedule = models.ForeignKey(ExportSchedule, on_delete=models.SET_NULL, null=True, related_name="exports")
    state = models.CharField(
        max_length=16, choices=[(s.value, s.value) for s in ExportState], default=ExportState.QUEUED
    )
    rows = models.BigIntegerField(default=0)
    expected_rows = models.BigIntegerField(default=0, help_text="About how many there will be.")
    bytes = models.BigIntegerField(default=0)
    files = models.JSONField(default=list, help_text="Of each: name, rows, bytes, SHA-256.")
    places = models.JSONField(default=dict, editable=False)
    requested_by = models.CharField(max_length=150)
    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)

    objects: ClassVar = ExportQuerySet.as_manager()

    class Meta:
        constraints = [
            lease_pair("export"),
            models.CheckConstraint(name="export_period_has_length", condition=Q(period_end__gt=F("period_start"))),
        ]
        indexes = [
            models.Index(fields=["tenant_id", "-id"], name="export_tenant_newest"),
            models.Index(fields=["next_check_at"], name="export_due", condition=Q(state__in=["queued", "running"])),
            models.Index(fields=["expires_at"], name="export_expires", condition=Q(expires_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.period_start:%Y-%m}"
