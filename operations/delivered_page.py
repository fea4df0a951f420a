"""Delivered pull requests as screens and the API show them: state, checks, rounds, and why nothing is done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from events.plain_text import plain
from operations.coding import reactions
from operations.coding.forges.protocol import Check, Seen
from operations.models import Operation, PullRequest, Rework


@dataclass(frozen=True, slots=True)
class Round:
    """One round, and what it was about."""

    number: int
    cause: str
    cause_label: str
    about: str
    began_at: datetime


@dataclass(frozen=True, slots=True)
class Delivered:
    """One pull request. ``ignored`` counts comments of people who may not write."""

    number: int
    url: str
    title: str
    forge: str
    state: str
    conflicts: bool
    checks: tuple[Check, ...]
    rounds: tuple[Round, ...]
    ignored: int
    note: str
    looked_at: datetime | None
    look_due_at: datetime | None


def of(operation: Operation) -> list[Delivered]:
    """Those of one operation, the newest first."""
    rows = PullRequest.objects.filter(operation_id=operation.pk).prefetch_related("reworks")
    return [_delivered(row) for row in rows]


def _delivered(row: PullRequest) -> Delivered:
    seen = Seen.from_dict(row.seen, etags={})
    return Delivered(
        number=row.number,
        url=_link(row.url),
        title=plain(row.title),
        forge=row.forge,
        state=str(row.state),
        conflicts=bool(seen and seen.conflicts),
        checks=tuple(replace(check, url=_link(check.url)) for check in seen.checks) if seen else (),
        rounds=tuple(_round(rework) for rework in row.reworks.all()),
        ignored=reactions.ignored_comments(seen) if seen else 0,
        note=plain(row.note),
        looked_at=row.looked_at,
        look_due_at=row.look_due_at,
    )


def _link(url: str) -> str:
    """Nothing for an address that a forge made up to be something else than a page."""
    return url if url.startswith(("/admin/", "https://", "http://")) else ""


def _round(rework: Rework) -> Round:
    about = plain(str(rework.fault.get("detail", "")))
    return Round(rework.number, str(rework.cause), rework.get_cause_display(), about, rework.created_at)
