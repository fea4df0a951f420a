"""Agents in the console: the facts with their ages, the berth, how it came to this, stop and retry."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from agents import health, lifecycle, outfit_changes, placement, visibility
from agents.models import Agent
from events import journal
from events.operator_pages import OperatorPage, badge, moment
from events.plain_text import ago, plain
from resources.models import Lease
from resources.reasons import in_words


@admin.register(Agent)
class AgentAdmin(OperatorPage):
    """Who works here."""

    list_display = ("name", "status", "template", "host", "tier_used", "since", "why")
    list_filter = ("state", "template", "host")
    list_select_related = ("host",)
    search_fields = ("name", "id")
    actions = ("stop_selected", "retry_selected")
    page_template = "moorage/agent.html"
    parts_template = "moorage/agent_parts.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Agent]:
        return visibility.agents(request.user)

    def page_context(self, request: HttpRequest, obj: Agent) -> dict[str, Any]:
        now, cursor = timezone.now(), journal.head(obj.topic)
        facts = health.facts_of(obj)
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
            "resolved": plain(json.dumps(obj.resolved, indent=2, ensure_ascii=False)),
            "operations": obj.operations.select_related("project")[:20],  # type: ignore[attr-defined] # a room above
            "terminals": obj.terminals.select_related("created_by")[:10],  # type: ignore[attr-defined] # likewise
            "can_stop": obj.state not in {Agent.State.STOPPING, Agent.State.STOPPED},
            "can_retry": obj.state == Agent.State.ERROR,
        }

    def stop(self, request: HttpRequest, agent: Agent) -> str:
        """Ask it to leave."""
        lifecycle.request_stop(agent.pk, actor=f"user:{request.user}", reason="asked in the console")
        return f"{agent.name} is asked to leave; uncommitted work is kept safe first."

    def retry(self, request: HttpRequest, agent: Agent) -> str:
        """The way out of error."""
        lifecycle.retry(agent.pk, actor=f"user:{request.user}", reason="asked in the console")
        return f"{agent.name} is placed anew."

    verbs = {"stop": stop, "retry": retry}

    @admin.action(description="Stop selected agents")
    def stop_selected(self, request: HttpRequest, queryset: QuerySet[Agent]) -> None:
        """Each with its own result."""
        self.attempt_each(request, "stop", queryset)

    @admin.action(description="Retry selected agents")
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[Agent]) -> None:
        """Each with its own result."""
        self.attempt_each(request, "retry", queryset)

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
