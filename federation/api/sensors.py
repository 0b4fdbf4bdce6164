"""What a node's own sensors say, and its power: asked of the site now, kept nowhere."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from federation.actions import nodes
from federation.drivers.abilities import Power, PowerControl, SensorReader
from federation.drivers.base import Rejected, Unavailable
from federation.registry import able_driver

_NO_SENSORS = "This kind of site shows no sensors."
_NO_POWER = "This kind of site cannot switch its nodes."


class ReadingSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(help_text="As the machine calls it.")
    value = serializers.FloatField()
    unit = serializers.CharField(help_text="As UCUM writes it: W, Cel, {rpm}, V, J.")
    is_healthy = serializers.BooleanField()


class SensorsSerializer(serializers.Serializer[Any]):
    power = serializers.ChoiceField(choices=[p.value for p in Power])
    readings = ReadingSerializer(many=True)
    message = serializers.CharField(allow_blank=True, help_text="Why there are none, when the site cannot be asked.")


class PowerWishSerializer(serializers.Serializer[Any]):
    power = serializers.ChoiceField(choices=[Power.ON.value, Power.OFF.value])


class PowerSerializer(serializers.Serializer[Any]):
    power = serializers.ChoiceField(choices=[p.value for p in Power], help_text="Now; it follows some seconds later.")
    is_asked = serializers.BooleanField(help_text="The site has taken the wish.")
    message = serializers.CharField(allow_blank=True, help_text="Why not, when it has not.")


class PowerMixin:
    """Of a node: its sensors, its power."""

    @extend_schema(responses=SensorsSerializer, filters=False)
    @action(detail=True, methods=["get"], pagination_class=None)
    def sensors(self: Any, request: Request, pk: str) -> Response:
        """What the sensors of this node say now: power, temperatures, fans. Not every kind of site has any."""
        node = self.get_object()
        driver = able_driver(node.cluster)
        found: dict[str, Any] = {"power": Power.UNKNOWN.value, "readings": [], "message": ""}
        try:
            if isinstance(driver, PowerControl):
                found["power"] = driver.power(node.name).value
            if isinstance(driver, SensorReader):
                found["readings"] = ReadingSerializer(list(driver.sensors(node.name)), many=True).data
            else:
                found["message"] = _NO_SENSORS
        except (Unavailable, Rejected) as error:
            found["message"] = _words(error)
        return Response(found)

    @extend_schema(request=PowerWishSerializer, responses={202: PowerSerializer})
    @action(detail=True, methods=["post"])
    def power(self: Any, request: Request, pk: str) -> Response:
        """Switch the node on or off. Off asks its system first; asked again after half a minute, the power is cut.
        A node that holds work is drained first (409)."""
        node = self.get_object()
        self.require()
        power = Power(self.valid(PowerWishSerializer)["power"])
        nodes.may_switch(by=self.user, node=node, power=power)
        driver = able_driver(node.cluster)
        found: dict[str, Any] = {"power": Power.UNKNOWN.value, "is_asked": False, "message": ""}
        if not isinstance(driver, PowerControl):
            return Response({**found, "message": _NO_POWER}, status=202)
        try:
            found |= {"power": driver.set_power(node.name, power).value, "is_asked": True}
        except (Unavailable, Rejected) as error:
            found["message"] = _words(error)
        return Response(found, status=202)


def _words(error: Unavailable | Rejected) -> str:
    return error.message if isinstance(error, Rejected) else str(error)
