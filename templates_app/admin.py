"""Templates in the console: a list, and one as written and as resolved, with who set each value. Files, not rows."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_safe

from events.faults import Fault
from templates_app import library
from templates_app.documents import shown
from templates_app.resolve import resolve


def urls(site: AdminSite) -> list[URLPattern]:
    """The two pages, behind the site's own login."""
    wrap = site.admin_view
    return [
        path("templates/", wrap(require_safe(partial(listing, site=site))), name="templates"),
        path("templates/<str:name>/", wrap(require_safe(partial(page, site=site))), name="template"),
    ]


def listing(request: HttpRequest, *, site: AdminSite) -> HttpResponse:
    """All templates by name, and the files that cannot be used, with every error's place."""
    found = library.load(settings.TEMPLATE_DIRECTORIES)
    context = {
        **site.each_context(request),
        "title": "Templates",
        "templates": [found[name] for name in sorted(found.documents)],
        "broken": [(name, [error.as_dict() for error in fault.errors]) for name, fault in sorted(found.broken.items())],
        "directories": [directory.name for directory in settings.TEMPLATE_DIRECTORIES],
    }
    return TemplateResponse(request, "moorage/templates.html", context)


def page(request: HttpRequest, name: str, *, site: AdminSite) -> HttpResponse:
    """One template: what it says, what it resolves to (secrets masked), and where each value comes from."""
    found = library.load(settings.TEMPLATE_DIRECTORIES)
    if name not in found.documents and name not in found.broken:
        raise Http404("there is no such template")
    context: dict[str, Any] = {**site.each_context(request), "title": name, "name": name}
    try:
        resolved = resolve(name, found)
    except Fault as fault:
        context["fault"] = fault
    else:
        context |= {
            "document": found[name],
            "resolved": resolved,
            "spec": json.dumps(resolved.preview, indent=2, ensure_ascii=False, default=str),
            "values": [(shown(entry.path), entry) for entry in resolved.provenance],
        }
    return TemplateResponse(request, "moorage/template.html", context)
