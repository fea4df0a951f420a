"""What was spent, read from the ledger: by run, agent, project, day or model."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import Count, Q, Sum

from agents.gateway.models import ModelCall
from agents.gateway.money import said, usd

FIELDS = {"run": "run_id", "agent": "agent_id", "project": "project_id", "day": "day", "model": "model"}
_STATES = ModelCall.State


@dataclass(frozen=True, slots=True)
class Spend:
    """Sums over calls. ``held_nanos`` is what calls in flight may still cost; ``replays`` were paid for once."""

    key: str
    calls: int = 0
    failed_calls: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost_nanos: int = 0
    replays: int = 0

    @property
    def usd(self) -> float:
        return usd(self.cost_nanos)

    @property
    def said(self) -> str:
        return said(self.cost_nanos)


def of_run(run_id: uuid.UUID) -> Spend:
    """One run's spend."""
    return next(iter(_grouped("run_id", ModelCall.objects.filter(run_id=run_id))), Spend(str(run_id)))


def by(field: str, *, projects: Collection[uuid.UUID] | None, since: date, limit: int = 200) -> list[Spend]:
    """Spend since a day, grouped; the dearest first, days newest first. ``projects`` None is all."""
    rows = ModelCall.objects.filter(day__gte=since)
    if projects is not None:
        rows = rows.filter(project_id__in=projects)
    found = _grouped(FIELDS[field], rows.exclude(**{FIELDS[field]: None}) if field != "day" else rows)
    found.sort(key=lambda spend: spend.key if field == "day" else spend.cost_nanos, reverse=True)
    return found[:limit]


def _grouped(field: str, rows: Any) -> list[Spend]:
    grouped = rows.order_by().values(field).annotate(
        made=Count("id", filter=~Q(state=_STATES.FAILED)), failed=Count("id", filter=Q(state=_STATES.FAILED)),
        tokens_in=Sum("input_tokens"), tokens_cached=Sum("cached_tokens"), tokens_out=Sum("output_tokens"),
        cost=Sum("cost_nanos"), again=Sum("replays"),
    )  # fmt: skip
    return [
        Spend(str(row[field]), row["made"], row["failed"], row["tokens_in"], row["tokens_cached"], row["tokens_out"],
              row["cost"], row["again"])
        for row in grouped
    ]  # fmt: skip
