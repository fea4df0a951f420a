"""Every answer carries a request id; every error under /api/ is a problem document, also those no view made."""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

_GIVEN = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestIdMiddleware:
    """Takes over a well-formed ``X-Request-ID`` or makes one; puts it on the request and on the answer."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]) -> None:
        self._get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        given = request.headers.get("X-Request-ID", "")
        request.request_id = given if _GIVEN.fullmatch(given) else uuid.uuid4().hex  # type: ignore[attr-defined]
        if iscoroutinefunction(self):
            return self._answer_later(request)  # type: ignore[attr-defined] # mypy takes self for a function here
        return self._marked(request, self._get_response(request))  # type: ignore[arg-type]

    async def _answer_later(self, request: HttpRequest) -> HttpResponse:
        return self._marked(request, await self._get_response(request))  # type: ignore[misc]

    @staticmethod
    def _marked(request: HttpRequest, response: HttpResponse) -> HttpResponse:
        response["X-Request-ID"] = request.request_id  # type: ignore[attr-defined]
        if response.status_code == 301 and request.path.startswith("/api/"):
            response.status_code = 308  # a forgotten slash must not turn a POST into a GET
        return response
