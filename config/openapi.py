"""The OpenAPI description: every operation documents the problem documents that it can answer with."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent

_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail", "request_id", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "remedy": {"type": "string"},
        "request_id": {"type": "string"},
        "facts": {"type": "object", "additionalProperties": {}},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {"pointer": {"type": "string"}, "code": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}


# What any call may be answered with, and what only those with a body may.
_ALWAYS = ("400", "401", "403", "404", "405", "406", "409", "422", "500", "503")
_WITH_BODY = ("413", "415")


class ProblemSchema(AutoSchema):
    """Adds the problem responses to each operation."""

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        operation = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        problem = ResolvedComponent(name="Problem", type=ResolvedComponent.SCHEMA, schema=_PROBLEM, object="Problem")
        self.registry.register_on_missing(problem)
        for code in _ALWAYS if self.method == "GET" else sorted(_ALWAYS + _WITH_BODY):
            operation["responses"].setdefault(
                code,
                {
                    "description": "Problem document (RFC 9457)",
                    "content": {"application/problem+json": {"schema": problem.ref}},
                },
            )
        return operation


class BearerTokenScheme(OpenApiAuthenticationExtension):
    """Tells the OpenAPI description about bearer tokens."""

    target_class = "config.access.authentication.BearerToken"
    name = "bearerToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class HostShape(OpenApiSerializerExtension):
    """A host in full is for staff; what everybody is shown of it is all that can be counted on."""

    target_class = "resources.api.HostSerializer"

    def map_serializer(self, auto_schema: AutoSchema, direction: Any) -> Any:
        from resources.api import HostSignSerializer  # the settings name this module before any room is loaded

        schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        return {**schema, "required": sorted(HostSignSerializer.Meta.fields)}
