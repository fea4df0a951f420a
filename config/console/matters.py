"""What needs somebody: why, since when, the remedy, and the verb that settles it. The gravest first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.dateparse import parse_datetime

from agents import health as agents_health
from agents.models import Agent
from config import health
from config.console import burning
from events.models import Event
from events.plain_text import ago, plain
from operations.coding.claims import WORKER_LOST
from operations.models import Operation
from operations.snapshots import attention
from resources import fleet, hosts
from resources.models import Host

FAILED_LATELY = timedelta(days=7)
LOST_LATELY = timedelta(minutes=15)
SHOWN = 16


@dataclass(frozen=True, slots=True)
class Matter:
    """One thing that needs somebody. ``impact`` says what a verb that takes something away will do."""

    kind: str
    title: str
    why: str
    remedy: str = ""
    since: str = ""
    link: str = ""
    verb: str = ""
    verb_link: str = ""
    impact: str = ""


@dataclass(frozen=True, slots=True)
class Matters:
    """The first of them, and how many there are in all."""

    first: tuple[Matter, ...]
    number: int


def of(
    *,
    pause: fleet.Pause | None,
    parts: Iterable[health.Part],
    known: Sequence[Host],
    fires: Sequence[burning.Fire],
    lost_workers: int,
    asking: int,
    broken: int,
    now: datetime,
) -> Matters:
    """By two queries, and two more where workers were lost; as many operations and agents are read as are shown.

    ``asking`` and ``broken`` say how many operations need somebody, and how many agents are in error, in all;
    ``lost_workers`` how many stages lost theirs lately.
    """
    whole = [*_of_fleet(pause, now=now), *_of_parts(parts, known), *_of_hosts(known, now=now), *_of_fires(fires)]
    whole += _of_lost_workers(now=now) if lost_workers else ()
    operations, agents = list(_of_operations(now=now)), list(_of_agents(now=now))
    number = len(whole) + max(asking, len(operations)) + max(broken, len(agents))
    return Matters(tuple([*whole, *operations, *agents][:SHOWN]), number)


def needing(*, now: datetime) -> QuerySet[Operation]:
    """Operations that ask for a person, or failed lately."""
    # A delivered one asks for its pull request.
    asks = Q(status__in=[Operation.Status.WAITING, Operation.Status.SUCCEEDED], attention__isnull=False)
    failed = Q(status=Operation.Status.FAILED, completed_at__gte=now - FAILED_LATELY)
    return Operation.objects.filter(asks | failed)


def _of_fleet(pause: fleet.Pause | None, *, now: datetime) -> Iterable[Matter]:
    if pause is not None:
        who = pause.by.removeprefix("user:")
        yield Matter(
            "paused", "The fleet is paused", f"{plain(pause.reason)} (by {plain(who)})",
            "Nothing new begins. The release lets everything go on as it was.", ago(pause.since, now=now),
            reverse("admin:fleet"), "release", reverse("admin:fleet_release"),
        )  # fmt: skip


def _of_parts(parts: Iterable[health.Part], known: Sequence[Host]) -> Iterable[Matter]:
    for part in parts:
        if part.ok or (part.name == "hosts" and known):  # lost hosts have lines of their own
            continue
        link = reverse("admin:events_undelivered_changelist") if part.name == "outbox" else ""
        yield Matter("part", part.name.capitalize(), part.detail, part.remedy, "", link)


def _of_hosts(known: Sequence[Host], *, now: datetime) -> Iterable[Matter]:
    for host in known:
        if hosts.verdict(host, now=now) is hosts.Verdict.LOST:
            drain = "" if host.draining_since else "drain"
            yield Matter(
                "lost", f"Host {host.name}", "its worker does not answer",
                "Start its worker again, or drain it: its agents are placed elsewhere.",
                f"heard {ago(host.heartbeat_at, now=now)}", _page("resources_host", host.pk), drain,
                reverse("admin:resources_host_do", args=[host.pk, drain]) if drain else "",
                "No new berth is placed on it.",
            )  # fmt: skip


def _of_fires(fires: Iterable[burning.Fire]) -> Iterable[Matter]:
    for fire in fires:
        title, page = f"Host {fire.host.name} is on fire", _page("resources_host", fire.host.pk)
        if fire.agent is None or fire.used is None:
            why = f"{fire.words}, and no berth uses much of it"
            yield Matter("hot", title, why, "Look at the machine itself: it is something beside the berths.", "", page)
            continue
        name = plain(fire.agent.name)
        uses = f"{(fire.used.cpu_millis or 0) / 1000:.2f} cores and {fire.used.memory_mb or 0:,} MB"
        yield Matter(
            "hot", title, f"{fire.words}; most of it is {name} with {uses}", "", "", page, f"stop {name}",
            reverse("admin:agents_agent_do", args=[fire.agent.pk, "stop"]),
            f"What runs in {name} ends, and nothing else; uncommitted work is kept first.",
        )  # fmt: skip


def lost_workers(*, now: datetime) -> QuerySet[Event]:
    """Stages that lost their worker lately."""
    return Event.objects.filter(kind=WORKER_LOST, created_at__gte=now - LOST_LATELY)


def _of_lost_workers(*, now: datetime) -> Iterable[Matter]:
    events = list(lost_workers(now=now).order_by("-id")[:SHOWN])
    rows = Operation.objects.filter(pk__in=[event.topic.partition(".")[2] for event in events], completed_at=None)
    under_way = {row.topic: row for row in rows.select_related("project").defer("metadata", "result", "answers")}
    for event in events:
        if (row := under_way.get(event.topic)) is None:
            continue  # it has ended since, well or not, and says so itself
        yield Matter(
            "lost", plain(f"{row.project.name}: {row.title}"), plain(event.reason),
            "The stage begins again by itself. Where it happens again, look at the host's memory and its kernel log.",
            ago(event.created_at, now=now), _page("operations_operation", row.pk),
        )  # fmt: skip


def _of_operations(*, now: datetime) -> Iterable[Matter]:
    # What is long and not shown stays in the database.
    rows = needing(now=now).select_related("project").defer("metadata", "result", "answers")
    for row in rows.order_by("-status", "-created_at")[:SHOWN]:
        about = attention(row)
        since = parse_datetime(about["since"]) if about.get("since") else None
        verb = {"error": "retry", "approval_required": "approve"}.get(about["kind"], "")
        yield Matter(
            about["kind"], plain(f"{row.project.name}: {row.title}"), plain(about["reason"] or "no reason was given"),
            plain(str((row.error or {}).get("remedy", ""))), ago(since, now=now) if since else "",
            _page("operations_operation", row.pk), verb,
            reverse("admin:operations_operation_do", args=[row.pk, verb]) if verb else "",
        )  # fmt: skip


def _of_agents(*, now: datetime) -> Iterable[Matter]:
    troubled = Agent.objects.filter(Q(state=Agent.State.ERROR) | agents_health.stuck(now=now))
    for agent in troubled.defer("resolved").order_by("-state_since")[:SHOWN]:
        page, title = _page("agents_agent", agent.pk), plain(f"Agent {agent.name}")
        if agent.state == Agent.State.ERROR:
            error = agent.error or {}
            yield Matter(
                "error", title, plain(str(error.get("detail", "it broke"))), plain(str(error.get("remedy", ""))),
                ago(agent.state_since, now=now), page, "retry",
                reverse("admin:agents_agent_do", args=[agent.pk, "retry"]),
            )  # fmt: skip
        else:
            minutes = int(agents_health.STUCK.total_seconds() // 60)
            yield Matter(
                "stuck", title, f"a stage runs in it, but nothing came out of it for {minutes} minutes",
                "Look at its terminal, or stop it.", "", page, "stop",
                reverse("admin:agents_agent_do", args=[agent.pk, "stop"]),
                "What runs in it ends; uncommitted work is kept first.",
            )  # fmt: skip


def _page(name: str, key: UUID) -> str:
    return reverse(f"admin:{name}_change", args=[key])
