"""What a workload says and what its site noted about it."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from federation.drivers.abilities import EventReader, LogReader
from federation.drivers.base import Unavailable
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
        driver = driver_for(latest.cluster)
        if not isinstance(driver, LogReader):
            return Response({**empty, "is_complete": True, "message": "This kind of site shows no logs."})
        try:
            chunk = driver.logs(str(latest.pk), offset)
        except Unavailable as error:
            return Response({**empty, "is_complete": False, "message": str(error)})
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
        driver = driver_for(latest.cluster)
        if not isinstance(driver, EventReader):
            return Response({"events": [], "message": "This kind of site keeps no events."})
        try:
            noted = list(driver.events(str(latest.pk)))[-MOST_EVENTS:]
        except Unavailable as error:
            return Response({"events": [], "message": str(error)})
        return Response(SiteEventsSerializer({"events": noted, "message": ""}).data)


def _number(request: Request, name: str) -> int:
    text = request.query_params.get(name, "0")
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise Invalid.field(name, f"{name} is a whole number from 0.", "not-a-number")
    return int(text)
