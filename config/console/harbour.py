"""The harbour: what the console's first page says. Read in a fixed number of queries, however much there is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.urls import reverse
from django.utils.dateparse import parse_datetime

from agents.models import Agent
from config import health
from events.plain_text import ago, plain, span
from operations import figures
from operations.models import Operation, PullRequest
from operations.snapshots import attention, blocked_by
from resources import hosts
from resources.admin import Bar, bars
from resources.models import Host
from resources.reasons import in_words

SHOWN = 8  # rows of one list; what is beyond stands behind its link
_FAILED_LATELY = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Matter:
    """One thing that needs somebody: what, why, since when, its page, and the verb if one is enough."""

    kind: str
    title: str
    why: str
    remedy: str
    since: str
    link: str
    verb: str = ""
    verb_link: str = ""


@dataclass(frozen=True, slots=True)
class HostLine:
    """A host with its bars."""

    host: Host
    verdict: str
    heard: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """An operation that waits, why, and its place in the line for a berth."""

    operation: Operation
    why: tuple[str, ...]
    waited: str
    position: int | None


@dataclass(frozen=True, slots=True)
class OperationLine:
    """One of the last operations."""

    operation: Operation
    title: str
    when: str
    took: str


@dataclass(frozen=True, slots=True)
class Tally:
    """How many there are in one state, and where they are listed."""

    label: str
    number: int
    link: str


@dataclass(frozen=True, slots=True)
class Harbour:
    """The whole page."""

    matters: tuple[Matter, ...]
    more_matters: int
    operations: tuple[Tally, ...]
    agents: tuple[Tally, ...]
    open_pull_requests: int
    hosts: tuple[HostLine, ...]
    waiting: tuple[Waiting, ...]
    more_waiting: int
    latest: tuple[OperationLine, ...]
    parts: tuple[health.Part, ...]


def look(*, now: datetime) -> Harbour:
    """The state of everything now."""
    parts = health.parts()
    known = list(Host.objects.all())
    by_status = figures.by(Operation, "status")
    by_state = figures.by(Agent, "state")
    matters = [
        *_of_parts(parts, known, now=now),
        *_of_hosts(known, now=now),
        *_of_operations(now=now),
        *_of_agents(now=now),
    ]
    waiting = _waiting(now=now)
    return Harbour(
        matters=tuple(matters[: SHOWN * 2]),
        more_matters=max(0, len(matters) - SHOWN * 2),
        operations=_counts(by_status, Operation.Status.choices, "operations_operation", "status"),
        agents=_counts(by_state, Agent.State.choices, "agents_agent", "state"),
        open_pull_requests=PullRequest.objects.filter(state=PullRequest.State.OPEN).count(),
        hosts=tuple(_host_lines(known, now=now)),
        waiting=tuple(waiting[:SHOWN]),
        more_waiting=max(0, by_status.get("queued", 0) + by_status.get("waiting", 0) - len(waiting[:SHOWN])),
        latest=tuple(_latest(now=now)),
        parts=tuple(parts),
    )


def _counts(found: Mapping[str, int], choices: Iterable[tuple[str, Any]], page: str, field: str) -> tuple[Tally, ...]:
    listing = reverse(f"admin:{page}_changelist")
    return tuple(Tally(value, found.get(value, 0), f"{listing}?{field}__exact={value}") for value, _ in choices)


# --- what needs somebody, the gravest first ----------------------------------------------------------------------


def _of_parts(parts: Iterable[health.Part], known: list[Host], *, now: datetime) -> Iterable[Matter]:
    for part in parts:
        if part.ok or (part.name == "hosts" and known):  # lost hosts have lines of their own
            continue
        link = reverse("admin:events_undelivered_changelist") if part.name == "outbox" else ""
        yield Matter("part", part.name.capitalize(), part.detail, part.remedy, "", link)


def _of_hosts(known: list[Host], *, now: datetime) -> Iterable[Matter]:
    for host in known:
        if hosts.verdict(host, now=now) is hosts.Verdict.LOST:
            yield Matter(
                "lost", f"Host {host.name}", "its worker does not answer",
                "Start its worker again, or drain it: its agents are placed elsewhere.",
                f"heard {ago(host.heartbeat_at, now=now)}", _page("resources_host", host.pk),
            )  # fmt: skip


def _of_operations(*, now: datetime) -> Iterable[Matter]:
    # A delivered one asks for its pull request.
    asks = Q(status__in=[Operation.Status.WAITING, Operation.Status.SUCCEEDED], attention__isnull=False)
    failed = Q(status=Operation.Status.FAILED, completed_at__gte=now - _FAILED_LATELY)
    rows = Operation.objects.filter(asks | failed).select_related("project").order_by("-status", "-created_at")[:100]
    for row in rows:
        about = attention(row)
        since = parse_datetime(about["since"]) if about.get("since") else None
        page = _page("operations_operation", row.pk)
        verb = {"error": "retry", "approval_required": "approve"}.get(about["kind"], "")
        yield Matter(
            about["kind"], plain(f"{row.project.name}: {row.title}"), plain(about["reason"] or "no reason was given"),
            plain(str((row.error or {}).get("remedy", ""))), ago(since, now=now) if since else "", page,
            verb, reverse("admin:operations_operation_do", args=[row.pk, verb]) if verb else "",
        )  # fmt: skip


def _of_agents(*, now: datetime) -> Iterable[Matter]:
    for agent in Agent.objects.filter(state=Agent.State.ERROR)[:50]:
        error = agent.error or {}
        yield Matter(
            "error", plain(f"Agent {agent.name}"), plain(str(error.get("detail", "it broke"))),
            plain(str(error.get("remedy", ""))), ago(agent.state_since, now=now), _page("agents_agent", agent.pk),
            "retry", reverse("admin:agents_agent_do", args=[agent.pk, "retry"]),
        )  # fmt: skip


# --- hosts, the queue, the last operations ------------------------------------------------------------------------


def _host_lines(known: list[Host], *, now: datetime) -> Iterable[HostLine]:
    used = hosts.usages()
    for host in known:
        lines = bars(host, used.get(host.pk, hosts.UNUSED))
        yield HostLine(host, hosts.verdict(host, now=now).value, ago(host.heartbeat_at, now=now), lines)


def _waiting(*, now: datetime) -> list[Waiting]:
    states = [Operation.Status.QUEUED, Operation.Status.WAITING]
    rows = list(
        Operation.objects.filter(status__in=states)
        .select_related("project", "agent")
        .order_by("-priority", "created_at")[:200]
    )
    # The place in the line as agents.placement counts it, for all at once: by priority, then by age.
    in_line = [row.agent for row in rows if row.agent and row.agent.state == "spawning" and not row.agent.host_id]
    in_line.sort(key=lambda agent: (-agent.priority, agent.created_at))
    places = {agent.pk: number for number, agent in enumerate(in_line, start=1)}
    return [
        Waiting(
            row, tuple(plain(in_words(reason)) for reason in blocked_by(row)), span(now - row.created_at),
            places.get(row.agent_id) if row.agent_id else None,
        )
        for row in rows
    ]  # fmt: skip


def _latest(*, now: datetime) -> Iterable[OperationLine]:
    for row in Operation.objects.select_related("project").order_by("-created_at")[:SHOWN]:
        ended = row.completed_at or now
        yield OperationLine(row, plain(row.title), ago(row.created_at, now=now), span(ended - row.created_at))


def _page(name: str, key: UUID) -> str:
    return reverse(f"admin:{name}_change", args=[key])
