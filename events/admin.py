"""The journal and the outbox in the console: for reading only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from events.models import Event, Undelivered


class ReadOnly(admin.ModelAdmin):
    """What happened cannot be added, changed or removed, by anyone."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Event)
class EventAdmin(ReadOnly):
    list_display = ["created_at", "topic", "seq", "kind", "actor", "reason"]
    search_fields = [
        "=topic",
        "=kind",
        "=actor",
    ]  # exact: the journal is long, and these have indexes or are rare
    date_hierarchy = "created_at"
    show_full_result_count = False
    list_per_page = 50


@admin.register(Undelivered)
class UndeliveredAdmin(ReadOnly):
    list_display = ["event", "attempts", "next_attempt_at"]
    list_select_related = ["event"]
    ordering = ["next_attempt_at"]
    list_per_page = 50
