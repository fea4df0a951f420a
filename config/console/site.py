"""The admin site of Moorage: its index is the harbour, its look our own."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe


class ConsoleSite(admin.AdminSite):
    """Django's admin as the operator console."""

    site_title = "Moorage"
    site_header = "Moorage"
    index_title = "Harbour"
    index_template = "moorage/harbour.html"
    site_url = None
    enable_nav_sidebar = False

    def get_urls(self) -> list[URLPattern | URLResolver]:
        # The site is made before the apps are ready; their modules can be imported only now.
        from config.console import fleet_page
        from templates_app import admin as templates_admin

        wrap = self.admin_view
        return [
            path("fleet/", wrap(require_safe(partial(fleet_page.page, site=self))), name="fleet"),
            path("fleet/pause/", wrap(require_POST(fleet_page.pause)), name="fleet_pause"),
            path("fleet/release/", wrap(require_POST(fleet_page.release)), name="fleet_release"),
            path("harbour/", wrap(require_safe(self.harbour_parts)), name="harbour_parts"),
            path("records/", wrap(require_safe(self.records)), name="records"),
            *templates_admin.urls(self),
            *super().get_urls(),
        ]

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Every page's context: ours adds the monitor's address, where there is one for this browser.

        Django's own asks for every model's rights on every page, for a side bar that we do not have.
        """
        return {
            "site_title": self.site_title, "site_header": self.site_header, "site_url": self.site_url,
            "has_permission": self.has_permission(request), "available_apps": (), "is_popup": False,
            "is_nav_sidebar_enabled": False, "flower_url": _with_slash(settings.FLOWER_URL) or _local_flower(request),
        }  # fmt: skip

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """The harbour."""
        context = {**self._harbour(request), "title": self.index_title, "subtitle": None, **(extra_context or {})}
        request.current_app = self.name  # type: ignore[attr-defined] # Django's own way to say it
        return TemplateResponse(request, self.index_template or "moorage/harbour.html", context)

    def harbour_parts(self, request: HttpRequest) -> HttpResponse:
        """The live parts of the index alone, for ``console.js``."""
        response = TemplateResponse(request, "moorage/harbour_parts.html", self._harbour(request))
        response["Cache-Control"] = "no-store"
        return response

    def records(self, request: HttpRequest) -> HttpResponse:
        """Every kind of row, by room: users, tokens, leases, the journal."""
        context = {**self.each_context(request), "title": "All records", "app_list": self.get_app_list(request)}
        return TemplateResponse(request, "moorage/records.html", context)

    def _harbour(self, request: HttpRequest) -> dict[str, Any]:
        from config.console import harbour  # models, likewise: after the apps are ready

        return {**self.each_context(request), "harbour": harbour.look(now=timezone.now())}


def _with_slash(url: str) -> str:
    return url if not url or url.endswith("/") else f"{url}/"


def _local_flower(request: HttpRequest) -> str:
    """Flower listens on loopback: only a browser that came to us over loopback reaches it there."""
    host, _ = split_domain_port(request.get_host())
    return f"http://{host}:{settings.FLOWER_PORT}/" if host in {"127.0.0.1", "localhost"} else ""
