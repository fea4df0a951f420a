"""Templates in the console: written, resolved with who set each value, related, versioned, worn, and worked on.

What changes anything is a POST with a CSRF token that calls one door of this room; a fault becomes a message.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from events.faults import Fault
from events.operator_pages import told
from templates_app import active, admin_forms, admin_parts, changes, devcontainers, drafts, publish, relatives, wearers
from templates_app import states as said
from templates_app.faults import TemplateFault
from templates_app.models import Draft, Version
from templates_app.resolve import Resolved, resolve
from templates_app.schema import matches, template_schema

TABS = {
    "resolved": "Resolved", "source": "Source", "parents": "Parents", "versions": "Versions",
    "dependents": "Dependents", "agents": "Agents",
}  # fmt: skip
_FRESH = (
    "apiVersion: moorage/v1\nkind: Template\nname: {name}\nversion: 1.0.0\nextends: {extends}\n"
    'description: ""\nspec: {{}}\n'
)


def urls(site: AdminSite) -> list[URLPattern]:
    """The pages, behind the site's own login: staff only."""

    def view(function: Callable[..., HttpResponse], allow: Callable[..., Any]) -> Callable[..., Any]:
        return site.admin_view(allow(partial(function, site=site)))

    form = require_http_methods(["GET", "HEAD", "POST"])
    return [
        path("templates/", view(listing, require_safe), name="templates"),
        path("templates/-/new/", view(new, form), name="template_new"),
        path("templates/<str:name>/", view(page, require_safe), name="template"),
        path("templates/<str:name>/draft/", view(draft, form), name="template_draft"),
        path("templates/<str:name>/do/<slug:verb>/", view(do, require_POST), name="template_do"),
        path("templates/<str:name>/<slug:tab>/", view(page, require_safe), name="template_tab"),
    ]


def listing(request: HttpRequest, *, site: AdminSite) -> HttpResponse:
    """All templates by name with their badges, and those that cannot be used, with every error's place."""
    found, states = active.templates(), said.states()
    known = {*found.documents, *found.broken}
    context = {
        **site.each_context(request),
        "title": "Templates",
        "templates": [(found.documents[name], states.get(name)) for name in sorted(found.documents)],
        "broken": [(name, list(map(str, fault.errors[:20]))) for name, fault in sorted(found.broken.items())],
        "drafts": [row for row in Draft.objects.all()[:200] if row.name not in known],
        "activation": active.number(),
    }
    return TemplateResponse(request, "moorage/templates.html", context)


def page(request: HttpRequest, name: str, tab: str = "resolved", *, site: AdminSite) -> HttpResponse:
    """One tab of one template."""
    found = active.templates()
    state = said.states().get(name)
    if tab not in TABS or (name not in found and state is None):
        raise Http404("there is no such template, or no such tab")
    context: dict[str, Any] = {
        **site.each_context(request), "title": name, "name": name, "tab": tab, "tabs": TABS, "state": state,
        "refused": list(map(str, _refusal(state))), "document": found.documents.get(name),
    }  # fmt: skip
    try:
        context |= _TAB[tab](request, name, found.documents if name in found.documents else found)
    except Fault as fault:
        context["fault"] = fault
    return TemplateResponse(request, "moorage/template.html", context)


def draft(request: HttpRequest, name: str, *, site: AdminSite) -> HttpResponse:
    """The text that is worked on: save it, check it, put it into force, or discard it."""
    if not matches(template_schema()["properties"]["name"]["pattern"], name):
        raise Http404("no template can have this name")
    row = Draft.objects.filter(name=name).first()
    if request.method != "POST":
        text = row.text if row else _text(name)
        form = admin_forms.DraftForm(initial={"text": text, "revision": row.revision if row else 0})
        return _draft_page(request, name, site, form=form, row=row)
    if "discard" in request.POST:
        drafts.discard(name)
        messages.success(request, f"The draft of {name} is gone.")
        return redirect("admin:templates")
    form = admin_forms.DraftForm(request.POST)
    if not form.is_valid():
        return _draft_page(request, name, site, form=form, row=row)
    text = form.cleaned_data["text"].replace("\r\n", "\n")  # browsers send lines so
    try:
        row = drafts.save(name, text, actor=_actor(request), revision=form.cleaned_data["revision"])
    except Fault as fault:
        form.add_error(None, told(fault))
        return _draft_page(request, name, site, form=form, row=row)
    fresh = admin_forms.DraftForm(initial={"text": text, "revision": row.revision})
    return _saved(request, name, site, form=fresh, row=row)


def new(request: HttpRequest, *, site: AdminSite) -> HttpResponse:
    """A draft of a new template."""
    form = admin_forms.NewForm(request.POST or None, label_suffix="")
    if request.method == "POST" and form.is_valid():
        name, extends, text = (form.cleaned_data[field] for field in ("name", "extends", "devcontainer"))
        try:
            if text.strip():
                made = devcontainers.convert(text, name=name, extends=extends)
                name, text = made.name, made.text
            else:
                text = _FRESH.format(name=name, extends=extends)
            drafts.save(name, text, actor=_actor(request), revision=0)
        except Fault as fault:
            field = {"/name": "name", "/text": "devcontainer"}.get(fault.pointer)
            form.add_error(field, told(fault))
        else:
            return redirect("admin:template_draft", name=name)
    context = {**site.each_context(request), "title": "New template", "form": form}
    return TemplateResponse(request, "moorage/template_new.html", context)


def do(request: HttpRequest, name: str, verb: str, *, site: AdminSite) -> HttpResponse:
    """Deprecate, restore, or put an earlier version into force."""
    if verb not in _VERBS:
        raise Http404("there is no such verb")
    try:
        messages.success(request, _VERBS[verb](request, name))
    except Fault as fault:
        messages.error(request, told(fault))
    return redirect("admin:template_tab", name=name, tab="versions")


def _draft_page(
    request: HttpRequest, name: str, site: AdminSite, *, form: Any, row: Draft | None, **more: Any
) -> HttpResponse:
    form.label_suffix = ""
    context = {
        **site.each_context(request), "title": f"Draft of {name}", "name": name, "form": form, "draft": row,
        "in_force": name in active.templates().documents, **more,
    }  # fmt: skip
    return TemplateResponse(request, "moorage/template_draft.html", context)


def _saved(request: HttpRequest, name: str, site: AdminSite, *, form: Any, row: Draft) -> HttpResponse:
    """What comes after saving: nothing, the verdict, or the page of what is now in force."""
    if "publish" in request.POST:
        try:
            document = drafts.publish_draft(name, actor=_actor(request))
        except Fault as fault:
            return _draft_page(request, name, site, form=form, row=row, errors=_errors(fault))
        messages.success(request, f"{name} {document.version} is in force.")
        return redirect("admin:template", name=name)
    try:
        _, resolved = publish.check(row.text, name=name)
    except Fault as fault:
        return _draft_page(request, name, site, form=form, row=row, errors=_errors(fault))
    return _draft_page(
        request, name, site, form=form, row=row, sound=True, resolved=resolved, differences=_news(name, resolved)
    )


def _news(name: str, resolved: Resolved) -> list[admin_parts.DifferenceRow]:
    """What a template would change; nothing for one that is not in force."""
    documents = active.templates().documents
    old = resolve(name, documents).preview if name in documents else resolved.preview
    return admin_parts.rows(changes.diff(old, resolved.preview))


def _errors(fault: Fault) -> list[str]:
    return [str(error) for error in fault.errors[:100]] if isinstance(fault, TemplateFault) else [told(fault)]


def _refusal(state: said.State | None) -> tuple[Any, ...]:
    fault = active.refusal(state.refused) if state else None
    return fault.errors[:20] if fault else ()


def _text(name: str) -> str:
    """What a draft starts from: the text in force, else an empty template."""
    known = active.templates().documents
    return active.text_of(name) if name in known else _FRESH.format(name=name, extends="base")


def _actor(request: HttpRequest) -> str:
    return f"user:{request.user}"


def _resolved_tab(request: HttpRequest, name: str, documents: Any) -> dict[str, Any]:
    resolved = resolve(name, documents)
    asked = request.GET.get("path", "")[:300]
    return {
        "resolved": resolved, "path": asked, "values": admin_parts.values(resolved, path=asked),
        "lines": admin_parts.spec_lines(resolved),
    }  # fmt: skip


def _source_tab(request: HttpRequest, name: str, documents: Any) -> dict[str, Any]:
    return {"text": active.text_of(name)}


def _parents_tab(request: HttpRequest, name: str, documents: Any) -> dict[str, Any]:
    layers = resolve(name, documents).layers
    return {"drawing": relatives.drawing(name, documents), "layers": layers, "box": (relatives.WIDTH, relatives.HEIGHT)}


def _versions_tab(request: HttpRequest, name: str, documents: Any) -> dict[str, Any]:
    current = active.row(name)
    compared = request.GET.get("compare", "")
    context: dict[str, Any] = {
        "versions": Version.objects.filter(name=name)[:200], "form": admin_forms.DeprecationForm(label_suffix=""),
        "current": current.current_id if current else None,
    }  # fmt: skip
    if compared:
        title, old = said.named(f"{name}@{compared[:64]}")
        context |= {
            "compared": title,
            "differences": admin_parts.rows(changes.diff(old.preview, resolve(name, documents).preview)),
        }
    return context


def _dependents_tab(request: HttpRequest, name: str, documents: Any) -> dict[str, Any]:
    return {"heirs": relatives.heirs(name, documents)}


def _agents_tab(request: HttpRequest, name: str, documents: Any) -> dict[str, Any]:
    found = wearers.of(name, user=request.user)
    return {"wearers": [(wearer, admin_parts.rows(wearer.differences)) for wearer in found]}


_TAB = {
    "resolved": _resolved_tab, "source": _source_tab, "parents": _parents_tab, "versions": _versions_tab,
    "dependents": _dependents_tab, "agents": _agents_tab,
}  # fmt: skip


def _deprecate(request: HttpRequest, name: str) -> str:
    form = admin_forms.DeprecationForm(request.POST)
    if not form.is_valid():
        raise publish.TemplateReplaced("a reason has at most 300 characters, a name at most 63")
    publish.deprecate(name, actor=_actor(request), **form.cleaned_data)
    return f"{name} is deprecated: it works on, and every list says so."


def _restore(request: HttpRequest, name: str) -> str:
    publish.restore(name, actor=_actor(request))
    return f"{name} is not deprecated any more."


def _return_to(request: HttpRequest, name: str) -> str:
    document = publish.return_to(request.POST.get("digest", "")[:64], name=name, actor=_actor(request))
    return f"{name} {document.version} is in force again."


_VERBS: dict[str, Callable[[HttpRequest, str], str]] = {
    "deprecate": _deprecate, "restore": _restore, "return": _return_to,
}  # fmt: skip
