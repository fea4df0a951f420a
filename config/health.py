"""Health of this process and of what it stands on."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse


def live(_request: HttpRequest) -> HttpResponse:
    """The web process answers. Says nothing about the rest: see /api/v1/health/."""
    return HttpResponse("ok\n", content_type="text/plain")
