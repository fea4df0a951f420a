"""Request bodies: JSON of a bounded size and depth."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from rest_framework import exceptions, parsers, status


class BodyTooLarge(exceptions.APIException):
    """The body is larger than this server reads."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"


class JsonBody(parsers.JSONParser):
    """``application/json`` up to DATA_UPLOAD_MAX_MEMORY_SIZE bytes (DRF's own parser reads without a bound)."""

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        content = stream.read(most + 1)
        if len(content) > most:
            raise BodyTooLarge(f"The body is larger than {most} bytes.")
        try:
            return super().parse(io.BytesIO(content), media_type, parser_context)
        except RecursionError:
            raise exceptions.ParseError("JSON parse error - nested too deeply") from None
