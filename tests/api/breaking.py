"""Routes with views that break, beside the real ones."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config import urls

handler400, handler403, handler404, handler500 = urls.handler400, urls.handler403, urls.handler404, urls.handler500
SECRET = "the password is swordfish"


class Breaks(APIView):
    def get(self, request: Request, how: str) -> Response:
        errors = {"bug": RuntimeError, "database": OperationalError, "suspicious": SuspiciousOperation}
        raise errors[how](SECRET)


def plain(_request: HttpRequest, how: str) -> HttpResponse:
    errors: dict[str, Any] = {"bug": RuntimeError, "suspicious": SuspiciousOperation, "forbidden": PermissionDenied}
    raise errors[how](SECRET)


urlpatterns = [
    *urls.urlpatterns,
    path("api/v1/breaks/<str:how>/", Breaks.as_view()),
    path("api/v1/plain/<str:how>/", plain),
]
