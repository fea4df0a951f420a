"""The OpenAPI description: every operation documents the problem documents that it can answer with."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema

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
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"pointer": {"type": "string"}, "code": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}


class ProblemSchema(AutoSchema):
    """Adds the problem responses to each operation."""

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        operation = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        for code in ("400", "401", "403", "404", "409", "415", "422"):
            operation["responses"].setdefault(
                code,
                {"description": "Problem document (RFC 9457)", "content": {"application/problem+json": {"schema": _PROBLEM}}},
            )
        return operation


class BearerTokenScheme(OpenApiAuthenticationExtension):
    """Tells the OpenAPI description about bearer tokens."""

    target_class = "config.access.authentication.BearerToken"
    name = "bearerToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}
