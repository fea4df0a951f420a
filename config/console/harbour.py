"""The harbour: what the console's first page says. Read in a fixed number of queries, however much there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.conf import settings
from django.urls import reverse

from agents.gateway import money
from agents.models import Agent
from config import health
from config.console import burning, matters, tallies
from config.console.matters import Matter
from config.console.tallies import HOUR, Tallies
from events.plain_text import ago, plain, span
from operations import history
from operations.models import Operation
from operations.snapshots import blocked_by
from resources import breakers, charts, fleet, hosts, samples
from resources.charts import Charts, Figure
from resources.host_map import Bar, bars
from resources.models import Host, Orphan
from resources.reasons import in_words
from resources.samples import Point

SHOWN = 8  # rows of one list; what is beyond stands behind its link
REASONS_OF = 24  # those next in line; more would say nothing more
HISTORY = timedelta(minutes=30)
_POINTS = 60


@dataclass(frozen=True, slots=True)
class HostLine:
    """A host with its bars and its charts; its worker is heard when it is."""

    host: Host
    verdict: str
    heard: str
    bars: tuple[Bar, ...]
    charts: Charts


@dataclass(frozen=True, slots=True)
class Waiting:
    """An operation that waits, why, and its place in the line for a berth."""

    operation: Operation
    why: tuple[str, ...]
    waited: str
    position: int | None


@dataclass(frozen=True, slots=True)
class Queue:
    """The queue: how many wait and since when the oldest, why those next in line wait, and the first of them."""

    waiting: int
    running: int
    oldest: str
    reasons: tuple[tuple[str, int], ...]
    first: tuple[Waiting, ...]


@dataclass(frozen=True, slots=True)
class OperationLine:
    """One of the last operations."""

    operation: Operation
    title: str
    when: str
    took: str


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are in one state, and where they are listed."""

    label: str
    number: int
    link: str


@dataclass(frozen=True, slots=True)
class Harbour:
    """The whole page."""

    matters: tuple[Matter, ...]
    more_matters: int
    operations: tuple[Count, ...]
    agents: tuple[Count, ...]
    orphans: tuple[Count, ...]
    open_pull_requests: int
    spent_today: str
    calls_today: int
    hosts: tuple[HostLine, ...]
    queue: Queue
    hour: Charts
    latest: tuple[OperationLine, ...]
    parts: tuple[health.Part, ...]
    breakers: tuple[breakers.Breaker, ...]


def look(*, now: datetime) -> Harbour:
    """The state of everything now."""
    known = list(Host.objects.all())
    told = tallies.take(now=now)
    pause = fleet.paused() if told.of("paused").number else None
    seen = health.Seen(known, told.of("undelivered").number, told.of("late").number, told.of("sweep").since)
    parts = health.parts(seen, now=now)
    measured = samples.of_hosts(since=now - HISTORY, most=_POINTS)
    needing = matters.of(
        pause=pause, parts=parts, known=known, fires=burning.of(known, measured, now=now),
        lost_workers=told.of("lost workers").number, asking=told.of("needing").number,
        broken=told.of("agents", Agent.State.ERROR).number, now=now,
    )  # fmt: skip
    return Harbour(
        matters=needing.first,
        more_matters=needing.number - len(needing.first),
        operations=_counts(told, "operations", Operation.Status.choices, "operations_operation", "status"),
        agents=_counts(told, "agents", Agent.State.choices, "agents_agent", "state"),
        orphans=tuple(one for one in _orphans(told) if one.number),
        open_pull_requests=told.of("pull requests", "open").number,
        spent_today=money.said(told.of("spent").number),
        calls_today=told.of("calls").number,
        hosts=tuple(_host_lines(known, measured, now=now)),
        queue=_queue(told, now=now),
        hour=_hour(told, now=now),
        latest=tuple(_latest(now=now)),
        parts=tuple(parts),
        breakers=tuple(one for one in breakers.known() if one.position is not breakers.Position.CLOSED),
    )


def _counts(told: Tallies, what: str, choices: Iterable[tuple[str, Any]], page: str, field: str) -> tuple[Count, ...]:
    listing = reverse(f"admin:{page}_changelist")
    return tuple(Count(value, told.of(what, value).number, f"{listing}?{field}__exact={value}") for value, _ in choices)


def _orphans(told: Tallies) -> Iterable[Count]:
    choices = [(value.value, value.label) for value in Orphan.OPEN]
    found = _counts(told, "orphans", choices, "resources_orphan", "fate")
    return (Count(words, one.number, one.link) for one, (_, words) in zip(found, choices, strict=True))


# --- hosts, the queue, the last operations ------------------------------------------------------------------------


def _host_lines(
    known: Sequence[Host], measured: Mapping[UUID, Sequence[Point]], *, now: datetime
) -> Iterable[HostLine]:
    used, since = hosts.usages(), now - HISTORY
    for host in known:
        tops = ((host.facts.get("cores") or 0) * 1000, host.facts.get("memory_total_mb") or 0)
        drawn = charts.draw(
            measured.get(host.pk, ()), since=since, until=now, tops=tops,
            period_s=max(settings.SAMPLE_S, HISTORY.seconds / _POINTS),
        )  # fmt: skip
        verdict = hosts.verdict(host, now=now).value
        yield HostLine(
            host, verdict, ago(host.heartbeat_at, now=now), bars(host, used.get(host.pk, hosts.UNUSED)), drawn
        )


def _queue(told: Tallies, *, now: datetime) -> Queue:
    waiting = told.of("operations", Operation.Status.QUEUED, Operation.Status.WAITING)
    first = list(_next_in_line(now=now)) if waiting.number else []
    reasons = Counter(str(reason.get("kind", "unknown")) for _, why in first for reason in why)
    return Queue(
        waiting.number, told.of("operations", Operation.Status.RUNNING).number,
        span(now - waiting.since) if waiting.since else "",
        tuple((kind.replace("_", " "), number) for kind, number in reasons.most_common(5)),
        tuple(_waiting([row for row, _ in first], now=now))[:SHOWN],
    )  # fmt: skip


_WORK = (
    Figure("Waiting", attrgetter("waiting"), str),
    Figure(
        "Oldest waits", attrgetter("oldest_s"), lambda seconds: span(timedelta(seconds=seconds)) if seconds else "none"
    ),
    Figure("Spent today", attrgetter("spent_nanos"), money.said),
    Figure("Succeeded", attrgetter("succeeded"), str, summed=True),
    Figure("Failed", attrgetter("failed"), str, summed=True),
    Figure("Running", attrgetter("running"), str, drawn=False),
)


@dataclass(frozen=True, slots=True)
class _AsOfNow:
    """What is so now, at the end of what was noted."""

    at: datetime
    waiting: int
    running: int
    oldest_s: int
    spent_nanos: int
    succeeded: int
    failed: int


def _hour(told: Tallies, *, now: datetime) -> Charts:
    """Queue, spend and outcomes of the last hour, as noted once a minute, and as they are now."""
    since, noted = now - HOUR, history.since(now - HOUR)
    waiting = told.of("operations", Operation.Status.QUEUED, Operation.Status.WAITING)
    last = _AsOfNow(
        now, waiting.number, told.of("operations", Operation.Status.RUNNING).number,
        int((now - waiting.since).total_seconds()) if waiting.since else 0, told.of("spent").number,
        max(0, told.of("ended", Operation.Status.SUCCEEDED).number - sum(minute.succeeded for minute in noted)),
        max(0, told.of("ended", Operation.Status.FAILED).number - sum(minute.failed for minute in noted)),
    )  # fmt: skip
    points: list[charts.Moment] = [*noted, last] if noted else []
    return charts.draw(points, since=since, until=now, period_s=history.EVERY.total_seconds(), figures=_WORK)


def _next_in_line(*, now: datetime) -> Iterable[tuple[Operation, list[dict[str, Any]]]]:
    states = [Operation.Status.QUEUED, Operation.Status.WAITING]
    rows = Operation.objects.filter(status__in=states).select_related("project", "agent")
    slim = rows.defer("metadata", "result", "answers", "agent__resolved")
    return ((row, blocked_by(row)) for row in slim.order_by("-priority", "created_at")[:REASONS_OF])


def _waiting(rows: Sequence[Operation], *, now: datetime) -> Iterable[Waiting]:
    # The place in the line as agents.placement counts it, for all at once: by priority, then by age.
    in_line = [row.agent for row in rows if row.agent and row.agent.state == "spawning" and not row.agent.host_id]
    in_line.sort(key=lambda agent: (-agent.priority, agent.created_at))
    places = {agent.pk: number for number, agent in enumerate(in_line, start=1)}
    for row in rows:
        why = tuple(plain(in_words(reason)) for reason in blocked_by(row))
        yield Waiting(row, why, span(now - row.created_at), places.get(row.agent_id) if row.agent_id else None)


def _latest(*, now: datetime) -> Iterable[OperationLine]:
    rows = Operation.objects.select_related("project").defer("metadata", "result", "answers")
    for row in rows.order_by("-created_at")[:SHOWN]:
        ended = row.completed_at or now
        yield OperationLine(row, plain(row.title), ago(row.created_at, now=now), span(ended - row.created_at))
