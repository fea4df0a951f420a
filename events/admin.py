"""The journal and the outbox in the console: for reading only."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from events.models import Event, Undelivered
from events.operator_pages import ReadOnly, moment
from events.plain_text import plain


class Actor(admin.SimpleListFilter):
    """By what kind of actor: a list of every user's name would be a page of its own."""

    title = "actor"
    parameter_name = "by"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("user:", "People"), ("worker:", "Workers"), ("system", "System")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        known = {value for value, _ in self.lookup_choices}
        return queryset.filter(actor__startswith=self.value()) if self.value() in known else queryset


@admin.register(Event)
class EventAdmin(ReadOnly):
    """What happened, newest first."""

    list_display = ("when", "kind", "topic", "seq", "actor", "reason_text")
    list_display_links = ("kind",)
    list_filter = (Actor, "kind")
    # Exact: the journal is long, and these have indexes or are rare.
    search_fields = ("=topic", "=kind", "=actor")
    search_help_text = "A topic (operation.<id>), a kind (operation.failed) or an actor (user:ada), in full."
    date_hierarchy = "created_at"
    list_title = "Journal"
    fields = ("topic", "seq", "kind", "actor", "reason_text", "created_at", "payload")
    ordering = ("-id",)

    @admin.display(description="when", ordering="created_at")
    def when(self, event: Event) -> SafeString | str:
        return moment(event.created_at)

    @admin.display(description="reason")
    def reason_text(self, event: Event) -> str:
        return plain(event.reason) or "—"

    @admin.display(description="data")
    def payload(self, event: Event) -> SafeString:
        text = plain(json.dumps(event.data, indent=2, ensure_ascii=False, sort_keys=True))
        return format_html('<pre class="block">{}</pre>', text)


@admin.register(Undelivered)
class UndeliveredAdmin(ReadOnly):
    """Events that the bus or the live stream has not taken yet."""

    list_display = ("event", "attempts", "next_attempt_at")
    list_select_related = ("event",)
    ordering = ("next_attempt_at",)
