"""What models cost, and what it bought."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from agents.gateway import spend
from agents.gateway.spend import Spend
from operations import policy
from operations.models import Operation

GROUPS = tuple(spend.FIELDS)


@dataclass(frozen=True, slots=True)
class Bought:
    """One group's spend with what came of it: ended operations by status, and their pull requests."""

    spend: Spend
    title: str
    outcomes: dict[str, int]
    pull_requests: tuple[str, ...]


def by(group: str, *, user: Any, since: date) -> list[Bought]:
    """The spend that a user may see: staff all of it, others that of their projects."""
    projects = None if user.is_staff else list(policy.visible_projects(user).values_list("pk", flat=True))
    found = spend.by(group, projects=projects, since=since)
    fields = {"run": "pk", "agent": "agent_id", "project": "project_id"}
    if group not in fields:
        return [Bought(row, row.key, {}, ()) for row in found]
    wanted = {f"{fields[group]}__in": [row.key for row in found]}
    operations = policy.visible_operations(user).filter(**wanted).prefetch_related("pull_requests")
    grouped: dict[str, list[Operation]] = {}
    for operation in operations[:2000]:
        grouped.setdefault(str(getattr(operation, fields[group])), []).append(operation)
    return [_bought(row, grouped.get(row.key, []), group) for row in found]


def _bought(row: Spend, operations: Sequence[Operation], group: str) -> Bought:
    first = operations[0] if operations else None
    titles = {
        "run": first.title if first else "", "project": first.project.name if first else "",
        "agent": first.agent.name if first and first.agent else "",
    }  # fmt: skip
    urls = [request.url for operation in operations for request in operation.pull_requests.all()]
    outcomes = Counter(str(operation.status) for operation in operations)
    return Bought(row, titles[group] or row.key, dict(outcomes), tuple(urls[:20]))
