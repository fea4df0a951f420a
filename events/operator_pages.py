"""What the rooms' console pages share: rows to read, room verbs by POST, faults as messages.

A page never edits a row. What changes something is a *verb*: a method that calls one door of its room and says what
it did. Verbs are reached by POST with a CSRF token only, one URL each; a :class:`Fault` becomes a message with its
remedy. For many rows at once a verb is foreseen first: what it would do to each, and for which it would be refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.views.decorators.http import require_POST, require_safe

from events.faults import Fault
from events.plain_text import ago, plain

Verb = Callable[[Any, HttpRequest, Any], str]  # (admin, request, object) → what was done, in words


MOST_AT_ONCE = 500  # rows of one bulk action


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a bulk action did to one row, or would do; ``refused``: why not."""

    key: str
    name: str
    link: str
    words: str
    refused: bool


def badge(value: object, *, topic: str = "", field: str = "") -> SafeString:
    """A state as text with the icon and colour of its kind; follows ``field`` of ``topic`` where one is given."""
    if not topic:
        return format_html('<span class="badge" data-value="{0}">{0}</span>', value)
    return format_html(
        '<span class="badge" data-live-topic="{0}" data-live-field="{0}.{1}" data-value="{2}">{2}</span>',
        topic, field, value,
    )  # fmt: skip


def following(value: object, *, topic: str, field: str) -> SafeString:
    """A word that follows ``field`` of ``topic``."""
    return format_html(
        '<span data-live-topic="{0}" data-live-field="{0}.{1}" data-value="{2}">{2}</span>', topic, field, value
    )


def moment(when: datetime | None) -> SafeString | str:
    """A moment as its distance from now, with the exact time to look at."""
    if when is None:
        return "—"
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        when.isoformat(), f"{when:%Y-%m-%d %H:%M:%S} UTC", ago(when, now=timezone.now()),
    )  # fmt: skip


def told(fault: Fault) -> str:
    """A fault for people: what is wrong, and the way on."""
    return capfirst(plain(f"{fault.detail.rstrip('.')}. {fault.remedy_text}".strip()))


def _asked(_page: Any, _request: HttpRequest, _obj: Any) -> str:
    return "will be asked to"


class ReadOnly(admin.ModelAdmin):
    """Rows that staff may read and nobody may add, change or delete here: the rooms' doors do that."""

    list_per_page = 50
    show_full_result_count = False
    list_title: ClassVar[str] = ""  # the plural of its name, where nothing is given
    add_words: ClassVar[str] = "Add"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        words = {
            "title": self.list_title or str(self.opts.verbose_name_plural).capitalize(),
            "add_words": self.add_words,
        }
        return super().changelist_view(request, {**words, **(extra_context or {})})

    def action_checkbox(self, obj: Any) -> SafeString:
        # Django's own names the row by its raw text.
        attributes = {"class": "action-select", "aria-label": f"Select {plain(str(obj))}"}
        return forms.CheckboxInput(attributes, lambda _value: False).render(ACTION_CHECKBOX_NAME, str(obj.pk))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Staff see everything, here as in the API (operations.policy, agents.visibility).
        return bool(request.user.is_active and getattr(request.user, "is_staff", False))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class OperatorPage(ReadOnly):
    """A page per row, made of ``page_template``, with verbs; its parts are served apart for live refreshes.

    ``verbs`` is the closed table of what may be asked for: the name in the URL and the method that does it.
    """

    page_template: ClassVar[str]
    parts_template: ClassVar[str] = ""
    verbs: ClassVar[Mapping[str, Verb]] = {}
    foresights: ClassVar[Mapping[str, Verb]] = {}  # what a verb would do, in words, or the fault that it would meet

    def page_context(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        """What the templates show of the object."""
        raise TypeError(f"{type(self).__name__} shows nothing")

    def get_urls(self) -> list[URLPattern]:
        name, wrap = f"{self.opts.app_label}_{self.opts.model_name}", self.admin_site.admin_view
        mine = [
            path("<uuid:object_id>/parts/", wrap(require_safe(self.parts_view)), name=f"{name}_parts"),
            path("<uuid:object_id>/do/<slug:verb>/", wrap(require_POST(self.verb_view)), name=f"{name}_do"),
        ]
        return [*mine, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method not in {"GET", "HEAD"}:
            raise PermissionDenied  # state is never a form field: see verbs
        obj = self.shown(request, object_id)
        title = {"title": plain(str(obj)), "subtitle": None}
        context = {**self.base_context(request), **title, **self.page_context(request, obj)}
        return TemplateResponse(request, self.page_template, context)

    def parts_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """The live parts of the page alone: an HTML fragment for ``console.js``."""
        if not self.parts_template:
            raise Http404
        obj = self.shown(request, str(object_id))
        context = {**self.base_context(request), **self.page_context(request, obj)}
        response = TemplateResponse(request, self.parts_template, context)
        response["Cache-Control"] = "no-store"
        return response

    def verb_view(self, request: HttpRequest, object_id: UUID, verb: str) -> HttpResponse:
        """Do one verb and come back to the page that says what happened."""
        if verb not in self.verbs:
            raise Http404
        obj = self.shown(request, str(object_id))
        self.attempt(request, verb, obj)
        return redirect(self.address(obj))

    def attempt(self, request: HttpRequest, verb: str, obj: Any) -> None:
        """Call the verb once; what it did, or the fault with its remedy, becomes a message."""
        try:
            done = self.verbs[verb](self, request, obj)
        except Fault as fault:
            self.message_user(request, told(fault), messages.ERROR)
        else:
            self.message_user(request, done, messages.SUCCESS)

    def attempt_each(self, request: HttpRequest, verb: str, rows: QuerySet[Any]) -> HttpResponse:
        """A bulk action in two steps: what it would do to each row; then, confirmed, the verb once for each."""
        confirmed = request.POST.get("confirmed") == verb
        chosen = list(rows[:MOST_AT_ONCE])
        step = self.verbs[verb] if confirmed else self.foresights.get(verb, _asked)
        outcomes = [self._outcome(step, request, obj) for obj in chosen]
        action = request.POST.get("action", "")
        _, _, words = self.get_actions(request)[action] or (None, "", verb)
        context = {
            **self.base_context(request), "title": words, "verb": verb, "action": action, "done": confirmed,
            "outcomes": outcomes, "possible": sum(not outcome.refused for outcome in outcomes),
            "left_out": rows.count() - len(chosen),
        }  # fmt: skip
        return TemplateResponse(request, "moorage/bulk.html", context)

    def _outcome(self, step: Verb, request: HttpRequest, obj: Any) -> Outcome:
        try:
            words, refused = step(self, request, obj), False
        except Fault as fault:
            words, refused = told(fault), True
        return Outcome(str(obj.pk), plain(str(obj)), self.address(obj), words, refused)

    def form_view(
        self, request: HttpRequest, form: forms.Form, verb: Callable[[dict[str, Any]], Model], **context: Any
    ) -> HttpResponse:
        """A form whose valid data goes to one room verb; a fault becomes an error at the field it points to."""
        form.label_suffix = ""
        if request.method == "POST" and form.is_valid():
            try:
                made = verb(form.cleaned_data)
            except Fault as fault:
                field = fault.pointer.strip("/").partition("/")[0]
                form.add_error(field if field in form.fields else None, told(fault))
            else:
                return redirect(self.address(made))
        return TemplateResponse(request, "moorage/form.html", {**self.base_context(request), "form": form, **context})

    def shown(self, request: HttpRequest, object_id: str) -> Any:
        """The object, for those who may see it; 404 and 403 for others."""
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            raise Http404(f"no {self.opts.verbose_name} has this id")
        if not self.has_view_permission(request, obj):
            raise PermissionDenied
        return obj

    def base_context(self, request: HttpRequest) -> dict[str, Any]:
        """What every page of ours gives its template."""
        return {**self.admin_site.each_context(request), "opts": self.opts, "now": timezone.now()}

    def address(self, obj: Any) -> str:
        """The page of an object of any registered kind."""
        opts = obj._meta
        return reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[obj.pk])
