"""Run tokens: issued to one run, for its models and its time; checked at each call; withdrawn with the run."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agents.gateway.faults import TokenRefused
from agents.gateway.models import RunToken

PREFIX = "mrt_"  # so that scanners for secrets know one when they see it
_BYTES = 32
# A statement: each call begins here, and the ORM takes longer to spell it than the database to answer it.
_FIND = "SELECT * FROM agents_runtoken WHERE digest = %s"


@dataclass(frozen=True, slots=True)
class Run:
    """Who calls, and on whose account. ``lineage`` is shared by attempts at the same work: they pay once."""

    run_id: uuid.UUID
    lineage: str
    agent_id: uuid.UUID | None = None
    project_id: uuid.UUID | None = None
    user: Any = None


def issue(run: Run, *, models: Sequence[str], now: datetime, ttl_s: float) -> str:
    """A new token for the labelled models. It is shown here once and kept nowhere."""
    token = PREFIX + secrets.token_urlsafe(_BYTES)
    RunToken.objects.create(
        digest=_digest(token), run_id=run.run_id, lineage=run.lineage, agent_id=run.agent_id, user=run.user,
        project_id=run.project_id, models_allowed=list(models), created_at=now,
        expires_at=now + timedelta(seconds=ttl_s),
    )  # fmt: skip
    return token


def find(token: str, *, now: datetime) -> RunToken:
    """The token's row. Raises :class:`TokenRefused`, which says no more than that."""
    found = next(iter(RunToken.objects.raw(_FIND, [_digest(token)])), None) if token.startswith(PREFIX) else None
    if found is None or found.revoked_at is not None:
        raise TokenRefused("This run token is not known, or was withdrawn.")
    if found.expires_at <= now:
        raise TokenRefused("This run token has expired.")
    return found


def revoke(run_id: uuid.UUID, *, now: datetime) -> None:
    """Withdraw all tokens of a run. Doing it twice changes nothing."""
    RunToken.objects.filter(run_id=run_id, revoked_at=None).update(revoked_at=now)


def withdraw(token: RunToken, *, now: datetime) -> None:
    """Withdraw one token. Doing it twice changes nothing."""
    RunToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now)


def note_refusal(token: RunToken, refusal: dict[str, Any] | None) -> None:
    """Keep what stood in the way of the last call; None once one was let through again."""
    if token.refused != refusal:
        RunToken.objects.filter(pk=token.pk).update(refused=refusal)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
