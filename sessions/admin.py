"""Terminals in the console: the live screen, its plain text, who may be at it, and why it ended."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from csp.constants import NONCE
from csp.decorators import csp_update
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST, require_safe

from events import journal
from events.faults import Fault
from events.operator_pages import OperatorPage, ReadOnly, badge, moment, told
from events.plain_text import plain
from sessions import lifecycle, peek, sharing, visibility
from sessions.models import Recording, SessionHost, Terminal

_TABS = 12
_EVENTS = 30


@admin.register(Terminal)
class TerminalAdmin(OperatorPage):
    """Shared terminals, newest first."""

    list_display = ("name", "status", "agent", "created_by", "opened", "ending")
    list_filter = ("state", "kind")
    list_select_related = ("agent", "created_by")
    search_fields = ("title", "agent__name")
    page_template = "moorage/terminal.html"
    parts_template = "moorage/terminal_parts.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Terminal]:
        return visibility.terminals(request.user)

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        mine = [
            path("open/<uuid:agent_id>/", wrap(require_POST(self.open_view)), name="terminals_terminal_open"),
            path("<uuid:object_id>/text/", wrap(require_safe(self.text_view)), name="terminals_terminal_text"),
            path(
                "<uuid:object_id>/recording/",
                wrap(require_safe(self.recording_view)),
                name="terminals_terminal_recording",
            ),
        ]
        return [*mine, *super().get_urls()]

    # xterm.js writes style elements: on its pages they carry the nonce, and nothing else inline is obeyed.
    @method_decorator(csp_update({"style-src": [NONCE]}))
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().change_view(request, object_id, form_url, extra_context)

    def page_context(self, request: HttpRequest, obj: Terminal) -> dict[str, Any]:
        cursor = journal.head(obj.topic)
        others = visibility.terminals(request.user).filter(agent=obj.agent, state__in=Terminal.OPEN).exclude(pk=obj.pk)
        return {
            "terminal": obj,
            "open_states": Terminal.OPEN,
            "tabs": sorted([obj, *others[:_TABS]], key=lambda each: each.created_at),
            "record": Recording.objects.filter(terminal=obj).first(),
            "guests": obj.guests.select_related("user"),
            "cursor": cursor,
            "transitions": journal.replay(obj.topic, after=max(0, cursor - _EVENTS))[::-1],
        }

    def text_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """What it shows as plain text, for telephones, screen readers and browsers without scripts."""
        terminal = self.shown(request, str(object_id))
        title = f"{plain(str(terminal))} as text"
        context = {**self.base_context(request), "terminal": terminal, "title": title}
        try:
            context["text"] = peek.snapshot(terminal)
        except Fault as fault:
            context["fault"] = fault
        response = TemplateResponse(request, "moorage/terminal_text.html", context)
        response["Cache-Control"] = "no-store"
        return response

    @method_decorator(csp_update({"style-src": [NONCE]}))
    def recording_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """What was recorded of it, to play."""
        terminal = self.shown(request, str(object_id))
        record = Recording.objects.filter(terminal=terminal).first()
        if record is None:
            raise Http404("nothing was recorded of this terminal")
        title = f"Recording of {plain(str(terminal))}"
        context = {**self.base_context(request), "terminal": terminal, "record": record, "title": title}
        return TemplateResponse(request, "moorage/terminal_recording.html", context)

    def open_view(self, request: HttpRequest, agent_id: UUID) -> HttpResponse:
        """Ask for a terminal in the agent's berth, and go to it; or back to the agent with the reason why not."""
        try:
            watch = "watch" in request.POST
            title = "" if watch else f"{request.user}, {timezone.now():%H:%M}"
            kind = Terminal.Kind.WATCH if watch else Terminal.Kind.SHELL
            terminal = lifecycle.request_open(agent_id=agent_id, by=request.user, title=title, kind=kind)
        except Fault as fault:
            self.message_user(request, told(fault), messages.ERROR)
            return redirect("admin:agents_agent_change", agent_id)
        return redirect(self.address(terminal))

    def close(self, request: HttpRequest, terminal: Terminal) -> str:
        """End it."""
        visibility.check_owner(request.user, terminal)
        lifecycle.close(terminal.pk, actor=f"user:{request.user}", reason="closed in the console")
        ended = "the work goes on" if terminal.kind == Terminal.Kind.WATCH else "its programs are ended"
        return f"{plain(str(terminal))} is closed; {ended}."

    def share(self, request: HttpRequest, terminal: Terminal) -> str:
        """Let somebody in."""
        who, may_type = request.POST.get("user", "").strip(), "may_type" in request.POST
        sharing.share(terminal.pk, user=who, may_type=may_type, by=request.user)
        return f"{plain(who)} may {'type' if may_type else 'watch'} from now on."

    def unshare(self, request: HttpRequest, terminal: Terminal) -> str:
        """Take it back."""
        who = request.POST.get("user", "")
        sharing.unshare(terminal.pk, user=who, by=request.user)
        return f"{plain(who)} is taken off within a second."

    def hand_over(self, request: HttpRequest, terminal: Terminal) -> str:
        """Make it somebody else's."""
        who = request.POST.get("user", "").strip()
        sharing.hand_over(terminal.pk, user=who, by=request.user)
        return f"It is {plain(who)}'s from now on."

    verbs = {"close": close, "share": share, "unshare": unshare, "hand-over": hand_over}

    @admin.display(description="terminal")
    def name(self, terminal: Terminal) -> str:
        return plain(str(terminal))

    @admin.display(description="state", ordering="state")
    def status(self, terminal: Terminal) -> SafeString:
        return badge(terminal.state, topic=terminal.topic, field="state")

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
