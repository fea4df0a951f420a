"""The fleet: its breaker, and who uses most, with the buttons that end or keep them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone

from agents.models import Agent
from config.console import tallies
from events.faults import Fault
from events.operator_pages import told
from events.plain_text import ago, plain
from operations.models import Operation
from resources import fleet, samples
from resources.host_map import weight_of
from resources.samples import Point

SHOWN = 100


@dataclass(frozen=True, slots=True)
class Consumer:
    """One agent that is not gone, and what its berth was measured to use; ``measured`` is None where nobody could."""

    agent: Agent
    measured: Point | None
    since: str


def page(request: HttpRequest, *, site: AdminSite) -> HttpResponse:
    """The breaker with what moving it means, and the agents, whoever uses most first."""
    now = timezone.now()
    counted = tallies.take(now=now)
    pause = fleet.paused()
    status = Operation.Status
    context = {
        **site.each_context(request), "title": "Fleet", "subtitle": None, "pause": pause,
        "paused_since": ago(pause.since, now=now) if pause else "",
        "paused_by": plain(pause.by.removeprefix("user:")) if pause else "",
        "under_way": counted.of("operations", status.RUNNING).number,
        "waiting": counted.of("operations", status.QUEUED, status.WAITING).number,
        "spawning": counted.of("agents", Agent.State.SPAWNING).number,
        "consumers": consumers(now=now)[:SHOWN],
    }  # fmt: skip
    return TemplateResponse(request, "moorage/fleet.html", context)


def consumers(*, now: datetime) -> Sequence[Consumer]:
    """Every agent that is not gone: whoever uses most of its host first, then the newest."""
    measured = samples.of_berths(now=now)
    rows = Agent.objects.exclude(state=Agent.State.STOPPED).select_related("host").defer("resolved")
    found = [Consumer(agent, measured.get(agent.owner), ago(agent.state_since, now=now)) for agent in rows]
    return sorted(found, key=lambda one: weight_of(one.measured, one.agent.host), reverse=True)


def pause(request: HttpRequest) -> HttpResponse:
    """Begin nothing new."""
    try:
        fleet.pause(actor=f"user:{request.user}", reason=request.POST.get("reason", ""), now=timezone.now())
    except Fault as fault:
        messages.error(request, told(fault))
    else:
        messages.success(request, "The fleet is paused: nothing begins, and what runs is set aside at its next step.")
    return redirect("admin:fleet")


def release(request: HttpRequest) -> HttpResponse:
    """Let everything go on."""
    if fleet.release(actor=f"user:{request.user}", reason=request.POST.get("reason", "asked in the console")):
        messages.success(request, "The fleet is released: what waited goes on within seconds, as it was.")
    else:
        messages.info(request, "The fleet was not paused.")
    return redirect("admin:fleet")
