"""The API's routes, room by room."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver

api_routes: list[URLPattern | URLResolver] = []
