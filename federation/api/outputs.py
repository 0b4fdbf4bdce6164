"""What a workload says and what its site noted about it."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from federation import calls, outputs
from federation.drivers.abilities import EventReader, LogChunk, LogReader
from federation.drivers.base import SiteDriver, Unavailable
from federation.models import Allocation
from federation.registry import driver_for
from federation.states import AllocationState as A
from portal.errors import Invalid

MOST_EVENTS = 200


class LogSerializer(serializers.Serializer[Any]):
    text = serializers.CharField(allow_blank=True)
    next_offset = serializers.IntegerField()
    is_complete = serializers.BooleanField()
    message = serializers.CharField(allow_blank=True, help_text="Why there is no more, when the site cannot be asked.")


class SiteEventSerializer(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    reason = serializers.CharField(help_text="The site's own word.")
    message = serializers.CharField(allow_blank=True)
    is_warning = serializers.BooleanField()
    count = serializers.IntegerField(help_text="How often it was noted; `at` is the last time.")


class SiteEventsSerializer(serializers.Serializer[Any]):
    events = SiteEventSerializer(many=True, help_text="Oldest first.")
    message = serializers.CharField(allow_blank=True, help_text="Why there are none, when the site cannot be asked.")


def look(driver: SiteDriver, grant: Allocation, offset: int) -> LogChunk | None:
    """The next piece of what a grant's work has written: from its site, or as it was kept before it went there.

    None: this kind of site shows no logs. Raises Unavailable.
    """
    if not isinstance(driver, LogReader):
        return None
    if not driver.keeps_output and grant.state in (A.STOPPING, A.RELEASED):
        kept = outputs.read(str(grant.pk), offset)
        if kept.text or grant.state == A.RELEASED:
            return kept
    return driver.logs(str(grant.pk), offset)


def noted(grant: Allocation) -> list[Any] | None:
    """What the site noted, oldest first, as the API gives it; None where none are kept. Raises Unavailable."""
    driver, ref = driver_for(grant.cluster), str(grant.pk)
    if isinstance(driver, EventReader):
        return list(SiteEventSerializer(list(driver.events(ref)), many=True).data)
    if calls.can(grant.cluster, "events"):
        given = SiteEventSerializer(data=calls.events(grant.cluster, ref), many=True)
        if not given.is_valid():
            raise Unavailable("What the site's agent says makes no sense.")
        return list(given.data)
    return None


class OutputMixin:
    """Two readings of a workload's site, of one member of the latest attempt each."""

    @extend_schema(
        responses=LogSerializer,
        filters=False,
        parameters=[OpenApiParameter("offset", int), OpenApiParameter("replica", int)],
    )
    @action(detail=True, methods=["get"], pagination_class=None)
    def logs(self: Any, request: Request, pk: str) -> Response:
        """The output of one member of the latest attempt, from `offset`; ask again with `next_offset`."""
        workload = self.get_object()
        offset, replica = _number(request, "offset"), _number(request, "replica")
        latest = workload.latest(replica)
        empty = {"text": "", "next_offset": offset, "is_complete": workload.has_ended, "message": ""}
        if latest is None:
            return Response(empty)
        try:
            chunk = look(driver_for(latest.cluster), latest, offset)
        except Unavailable as error:
            return Response({**empty, "is_complete": False, "message": str(error)})
        if chunk is None:
            return Response({**empty, "is_complete": True, "message": "This kind of site shows no logs."})
        is_complete = chunk.is_complete or (latest.state == A.RELEASED and not chunk.text)
        return Response(
            {"text": chunk.text, "next_offset": chunk.next_offset, "is_complete": is_complete, "message": ""}
        )

    @extend_schema(responses=SiteEventsSerializer, filters=False, parameters=[OpenApiParameter("replica", int)])
    @action(detail=True, methods=["get"], pagination_class=None)
    def events(self: Any, request: Request, pk: str) -> Response:
        """What the site noted about one member of the latest attempt (the last 200). Our own changes: `history`."""
        latest = self.get_object().latest(_number(request, "replica"))
        if latest is None:
            return Response({"events": [], "message": "No site has been given it yet."})
        try:
            found = noted(latest)
        except Unavailable as error:
            return Response({"events": [], "message": str(error)})
        if found is None:
            return Response({"events": [], "message": "This kind of site keeps no events."})
        return Response({"events": found[-MOST_EVENTS:], "message": ""})


def _number(request: Request, name: str) -> int:
    text = request.query_params.get(name, "0")
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise Invalid.field(name, f"{name} is a whole number from 0.", "not-a-number")
    return int(text)
