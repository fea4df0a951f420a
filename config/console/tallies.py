"""How many there are of everything, and since when the oldest: one query, whatever their number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Aggregate, Count, DateTimeField, F, Max, Min, QuerySet, Sum, Value
from django.db.models.functions import Cast

from agents.gateway.models import Account, Scope
from agents.models import Agent
from config.console.matters import lost_workers, needing
from config.health import LATE, SWEEP
from events.models import Undelivered
from operations.models import Operation, PullRequest
from resources.models import FleetPause, Orphan, Tick


@dataclass(frozen=True, slots=True)
class Tally:
    """A number, and the moment of the oldest that it counts (of a duty: when it is due next)."""

    number: int = 0
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Tallies:
    """Tallies by what is counted and by its value: operations by status, agents by state, and so on."""

    found: Mapping[tuple[str, str], Tally]

    def of(self, what: str, *values: str) -> Tally:
        """One value, or several as one; what there is none of is a tally too."""
        tallies = [self.found.get((what, value), Tally()) for value in values or ("",)]
        since = min((one.since for one in tallies if one.since), default=None)
        return Tally(sum(one.number for one in tallies), since)


HOUR = timedelta(hours=1)
_NOTHING, _EACH = Value(""), Count("*")
_NO_TIME = Max(Cast(Value(None), DateTimeField()))


def take(*, now: datetime) -> Tallies:
    """Everything, now."""
    late = Undelivered.objects.filter(event__created_at__lt=now - LATE)
    spent = Account.objects.filter(scope=Scope.DAY, key="", period=now.date().isoformat())
    first, *others = (
        _group(Operation.objects.all(), "operations", F("status"), since=Min("created_at")),
        _group(Operation.objects.filter(completed_at__gt=now - HOUR), "ended", F("status"), since=Min("completed_at")),
        _group(Agent.objects.all(), "agents", F("state"), since=Min("state_since")),
        _group(PullRequest.objects.all(), "pull requests", F("state"), since=Min("created_at")),
        _group(Orphan.objects.filter(ended_at=None), "orphans", F("fate"), since=Min("first_seen_at")),
        _group(Undelivered.objects.all(), "undelivered", since=Min("event__created_at")),
        _group(needing(now=now), "needing", since=Min("created_at")),
        _group(late, "late", since=Min("event__created_at")),
        _group(Tick.objects.filter(name=SWEEP), "sweep", since=Max("due_at")),
        _group(lost_workers(now=now), "lost workers", since=Min("created_at")),
        _group(FleetPause.objects.all(), "paused", since=Min("since")),
        _group(spent, "spent", number=Sum("spent_nanos"), since=_NO_TIME),
        _group(spent, "calls", number=Sum("calls"), since=_NO_TIME),
    )
    rows = first.union(*others, all=True)
    return Tallies({(what, value): Tally(int(number or 0), since) for what, value, number, since in rows})


def _group(
    rows: QuerySet[Any], what: str, value: Any = _NOTHING, *, number: Aggregate = _EACH, since: Aggregate
) -> QuerySet[Any, Any]:
    return rows.order_by().values_list(Value(what), value).annotate(number=number, since=since)
