"""The audit trail, to read."""

from rest_framework import serializers

from portal.http.viewsets import ReadViewSet
from portal.models import AuditEntry


class AuditEntrySerializer(serializers.ModelSerializer[AuditEntry]):
    class Meta:
        model = AuditEntry
        fields = [
            "id", "at", "tenant_id", "actor_id", "actor_name", "what", "target_type", "target_id", "target_name",
            "detail",
        ]  # fmt: skip


class AuditEntryViewSet(ReadViewSet):
    queryset = AuditEntry.objects.all()
    serializer_class = AuditEntrySerializer
    filterset_fields = ["what", "actor_id", "target_type", "target_id", "tenant_id"]
    permissions = {"list": "audit.view", "retrieve": "audit.view"}
