"""Agents in the console: the facts with their ages, the berth, how it came to this, stop and retry."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from agents import berth_volumes, foresight, health, idleness, lifecycle, outfit_changes, placement, tenure, visibility
from agents.models import Agent
from events import journal
from events.operator_pages import OperatorPage, badge, moment
from events.plain_text import ago, plain, span
from resources import charts, samples
from resources.models import Lease
from resources.reasons import in_words

HISTORY = timedelta(hours=1)
_MINUTES = 60  # of an extension, where nothing else is asked for


@admin.register(Agent)
class AgentAdmin(OperatorPage):
    """Who works here."""

    list_display = ("called", "status", "template", "host", "tier_used", "since", "why")
    list_filter = ("state", "template", "host")
    list_select_related = ("host",)
    search_fields = ("name", "id")
    actions = ("stop_selected", "retry_selected", "extend_selected")
    page_template = "moorage/agent.html"
    parts_template = "moorage/agent_parts.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Agent]:
        return visibility.agents(request.user)

    @admin.display(description="name", ordering="name")
    def called(self, agent: Agent) -> str:
        """Its name, which anybody may choose."""
        return plain(agent.name)

    def page_context(self, request: HttpRequest, obj: Agent) -> dict[str, Any]:
        now, cursor = timezone.now(), journal.head(obj.topic)
        facts = health.facts_of(obj)
        can_stop = obj.state not in {Agent.State.STOPPING, Agent.State.STOPPED}
        stops_at = idleness.stops_at(obj)
        return {
            "agent": obj,
            "outdated": outfit_changes.InForce().outdated(obj),
            "cursor": cursor,
            "health": health.judge(obj, facts, now=now),
            "facts": [(fact, ago(fact.observed_at, now=now), plain(fact.detail)) for fact in facts.values()],
            "leases": Lease.objects.filter(owner=obj.owner).order_by("state", "kind")[:60],
            "waits": [plain(in_words(reason)) for reason in obj.blocked_by],
            "position": placement.position(obj),
            "transitions": journal.replay(obj.topic, after=max(0, cursor - 40))[::-1],
            "resolved": plain(json.dumps(obj.resolved.get("spec", {}), indent=2, ensure_ascii=False)),
            "layers": obj.resolved.get("layers", []),
            "volumes": berth_volumes.shown(obj),
            "operations": obj.operations.select_related("project")[:20],  # type: ignore[attr-defined] # a room above
            "terminals": obj.terminals.select_related("created_by")[:10],  # type: ignore[attr-defined] # likewise
            "drawn": _charts(obj, now=now),
            "can_stop": can_stop,
            "stop_impact": foresight.stop(obj) if can_stop else "",
            "can_retry": obj.state == Agent.State.ERROR,
            "stops_at": stops_at,
            "stops_in": span(stops_at - now) if stops_at else "",
        }

    def stop(self, request: HttpRequest, agent: Agent) -> str:
        """Ask it to leave."""
        lifecycle.request_stop(agent.pk, actor=f"user:{request.user}", reason="asked in the console")
        return f"{plain(agent.name)} is asked to leave; uncommitted work is kept safe first."

    def retry(self, request: HttpRequest, agent: Agent) -> str:
        """The way out of error."""
        lifecycle.retry(agent.pk, actor=f"user:{request.user}", reason="asked in the console")
        return f"{plain(agent.name)} is placed anew."

    def extend(self, request: HttpRequest, agent: Agent) -> str:
        """Keep it though nobody works with it."""
        kept = tenure.extend(
            agent.pk, by=_asked_for(request), actor=f"user:{request.user}", reason="asked in the console",
            now=timezone.now(),
        )  # fmt: skip
        return f"{plain(agent.name)} is kept until {kept.keep_until:%d %b, %H:%M} UTC, though nobody works with it."

    def hand_over(self, request: HttpRequest, agent: Agent) -> str:
        """Make it somebody else's."""
        heir = request.POST.get("user", "").strip()
        tenure.hand_over(agent.pk, to=heir, actor=f"user:{request.user}", reason="asked in the console")
        return f"{plain(agent.name)} is {plain(heir)}'s now."

    verbs = {"stop": stop, "retry": retry, "extend": extend, "hand-over": hand_over}
    foresights = {
        "stop": lambda _page, _request, agent: foresight.stop(agent),
        "retry": lambda _page, _request, agent: foresight.retry(agent),
        "extend": lambda _page, request, agent: foresight.extend(agent, by=_asked_for(request), now=timezone.now()),
    }

    @admin.action(description="Stop selected agents")
    def stop_selected(self, request: HttpRequest, queryset: QuerySet[Agent]) -> HttpResponse:
        """Each with its own result."""
        return self.attempt_each(request, "stop", queryset)

    @admin.action(description="Retry selected agents")
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[Agent]) -> HttpResponse:
        """Each with its own result."""
        return self.attempt_each(request, "retry", queryset)

    @admin.action(description="Extend selected agents")
    def extend_selected(self, request: HttpRequest, queryset: QuerySet[Agent]) -> HttpResponse:
        """Each with its own result."""
        return self.attempt_each(request, "extend", queryset)

    @admin.display(description="state", ordering="state")
    def status(self, agent: Agent) -> SafeString:
        return badge(agent.state, topic=agent.topic, field="state")

    @admin.display(description="isolation", ordering="tier")
    def tier_used(self, agent: Agent) -> str:
        return agent.tier or "—"

    @admin.display(description="since", ordering="state_since")
    def since(self, agent: Agent) -> SafeString | str:
        return moment(agent.state_since)

    @admin.display(description="why")
    def why(self, agent: Agent) -> str:
        if agent.error:
            return plain(str(agent.error.get("detail", "")))[:160]
        return "; ".join(plain(in_words(reason)) for reason in agent.blocked_by)[:160] or "—"


def _asked_for(request: HttpRequest) -> timedelta:
    """The extension that a form asks for; nonsense is none, and refused as such."""
    minutes = request.POST.get("minutes", str(_MINUTES))
    return timedelta(minutes=int(minutes)) if minutes.isdecimal() and len(minutes) < 6 else timedelta(0)


def _charts(agent: Agent, *, now: datetime) -> charts.Charts:
    since = now - HISTORY
    taken = agent.resolved.get("taken") or {}
    return charts.draw(
        samples.history(owner=agent.owner, since=since), since=since, until=now, period_s=settings.SAMPLE_S,
        tops=(taken.get("cpu_millis", 0), taken.get("memory_mb", 0)),
    )  # fmt: skip
