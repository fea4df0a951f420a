"""Hosts that are on fire, and the berth that it comes from: what is measured says so, no guess."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from agents.models import Agent
from resources import samples
from resources.host_map import weight_of
from resources.models import Host
from resources.samples import Point

BUSY, FULL = 0.9, 0.95  # of all processors, for a minute; of all memory, now
FOR = timedelta(minutes=1)
_FRESH = timedelta(minutes=2)
_MATTERS = 0.2  # a berth that uses less of its host is not what sets it on fire


@dataclass(frozen=True, slots=True)
class Fire:
    """A host that has nothing left, in words, and the agent that uses most of it; None where it is no berth."""

    host: Host
    words: str
    agent: Agent | None
    used: Point | None


def of(known: Sequence[Host], measured: Mapping[UUID, Sequence[Point]], *, now: datetime) -> list[Fire]:
    """The hosts on fire, by no query where there is none, else by two for all of them."""
    hot = [(host, words) for host in known if (words := _words(host, measured.get(host.pk, ()), now=now))]
    if not hot:
        return []
    used = samples.of_berths(now=now)
    rows = Agent.objects.filter(host__in=[host for host, _ in hot], state__in=Agent.LIVE).defer("resolved")
    return [
        Fire(host, words, *_culprit(host, [row for row in rows if row.host_id == host.pk], used)) for host, words in hot
    ]


def _words(host: Host, points: Sequence[Point], *, now: datetime) -> str:
    cores, memory_mb = host.facts.get("cores") or 0, host.facts.get("memory_total_mb") or 0
    lately = [point for point in points if now - point.at <= _FRESH]
    if not lately:
        return ""
    busy = [point for point in lately if cores and (point.cpu_millis or 0) >= BUSY * cores * 1000]
    if len(busy) == len(lately) and lately[-1].at - lately[0].at >= FOR:
        return f"its processors have been busy for a minute ({(busy[-1].cpu_millis or 0) / 1000:.2f} of {cores} cores)"
    if memory_mb and (lately[-1].memory_mb or 0) >= FULL * memory_mb:
        return f"its memory is full ({lately[-1].memory_mb:,} of {memory_mb:,} MB)"
    return ""


def _culprit(host: Host, agents: Iterable[Agent], used: Mapping[str, Point]) -> tuple[Agent | None, Point | None]:
    heaviest = max(agents, key=lambda agent: weight_of(used.get(agent.owner), host), default=None)
    point = used.get(heaviest.owner) if heaviest else None
    return (heaviest, point) if weight_of(point, host)[0] >= _MATTERS else (None, None)
