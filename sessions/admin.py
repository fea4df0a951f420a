"""Terminals in the console: which there are, whose, and why they ended. Reading them is another page's work."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from events.operator_pages import ReadOnly, badge, moment
from events.plain_text import plain
from sessions.models import SessionHost, Terminal


@admin.register(Terminal)
class TerminalAdmin(ReadOnly):
    """Shared terminals, newest first."""

    list_display = ("name", "status", "agent", "created_by", "opened", "ending")
    list_filter = ("state",)
    list_select_related = ("agent", "created_by")
    search_fields = ("title", "agent__name")

    @admin.display(description="terminal")
    def name(self, terminal: Terminal) -> str:
        return plain(str(terminal))

    @admin.display(description="state", ordering="state")
    def status(self, terminal: Terminal) -> SafeString:
        return badge(terminal.state)

    @admin.display(description="opened", ordering="created_at")
    def opened(self, terminal: Terminal) -> SafeString | str:
        return moment(terminal.created_at)

    @admin.display(description="why it ended")
    def ending(self, terminal: Terminal) -> str:
        return plain(terminal.reason) or "—"


@admin.register(SessionHost)
class SessionHostAdmin(ReadOnly):
    """The daemons that own the PTYs."""

    list_display = ("host", "heard", "epoch")
    list_select_related = ("host",)

    @admin.display(description="last heard", ordering="heartbeat_at")
    def heard(self, daemon: SessionHost) -> SafeString | str:
        return moment(daemon.heartbeat_at)
