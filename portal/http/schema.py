"""The OpenAPI document: our error answers, headers and names, which the generator cannot see by itself."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def in_order(endpoints: list[Any]) -> list[Any]:
    """The methods of each address in one order; the generator takes them from a set, which has another each time."""
    first: dict[str, int] = {}
    for position, (path, *_) in enumerate(endpoints):
        first.setdefault(path, position)
    return sorted(endpoints, key=lambda endpoint: (first[endpoint[0]], _METHODS.index(endpoint[2])))


class FieldErrorSerializer(serializers.Serializer[Any]):
    pointer = serializers.CharField()
    detail = serializers.CharField()
    code = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """RFC 9457. Branch on `code`; it never changes."""

    type = serializers.URLField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    instance = serializers.CharField()
    code = serializers.CharField()
    errors = FieldErrorSerializer(many=True)  # type: ignore[assignment]  # the wire name is given by RFC 9457


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = "portal.http.auth.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class SessionScheme(OpenApiAuthenticationExtension):
    target_class = "portal.http.auth.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "aquifer"}


class Schema(AutoSchema):
    def get_override_parameters(self) -> list[Any]:
        found = list(super().get_override_parameters())
        if self.method == "POST" and getattr(self.view, "action", "") == "create":
            found.append(
                OpenApiParameter(
                    "Idempotency-Key",
                    str,
                    OpenApiParameter.HEADER,
                    description="Repeat safely with the same key.",
                )
            )
        if self.method == "PATCH":
            found.append(
                OpenApiParameter(
                    "If-Match", str, OpenApiParameter.HEADER, required=True, description="The version read."
                )
            )
        return found

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        operation = super().get_operation(*args, **kwargs)
        if operation is not None:
            problem = self.resolve_serializer(ProblemSerializer, "response")
            operation["responses"]["default"] = {
                "description": "Refused or failed",
                "content": {"application/problem+json": {"schema": problem.ref if problem else {}}},
            }
        return operation

    def get_tags(self) -> list[str]:
        tokens = self._tokenize_path()
        return tokens[:1]

    def get_operation_id(self) -> str:
        """workloads_list, workloads_cancel: the path and the action, which make readable client names."""
        action = getattr(self.view, "action", None) or self.method.lower()
        basename = getattr(self.view, "basename", None) or "_".join(self._tokenize_path())
        return f"{basename}_{action}".replace("-", "_")
