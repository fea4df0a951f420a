"""Replies that were paid for: an attempt that begins again asks the same questions and gets the same answers.

Only attempts of one lineage share replies, and within an attempt each reply is served once: a question that is asked
twice on purpose is asked twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection
from django.db.models import F, Q

from agents.gateway.models import ModelCall, RunToken

_TRIES = 5
_ANY = "SELECT 1 FROM agents_modelcall WHERE lineage = %s AND digest = %s LIMIT 1"


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply as it came."""

    body: bytes
    content_type: str


def take(token: RunToken, *, digest: str) -> Reply | None:
    """The next reply to this request that an earlier attempt paid for; None when there is none left."""
    with connection.cursor() as cursor:  # nearly always there is none, and then this is all that is asked
        cursor.execute(_ANY, [token.lineage, digest])
        if cursor.fetchone() is None:
            return None
    paid = ModelCall.objects.filter(
        Q(replayed_for=None) | ~Q(replayed_for=token.pk), lineage=token.lineage, digest=digest,
        state=ModelCall.State.SETTLED, reply__isnull=False, error="",
    ).exclude(token=token).order_by("created_at", "id")  # fmt: skip
    for _ in range(_TRIES):
        found = paid.first()
        if found is None:
            return None
        unchanged = ModelCall.objects.filter(pk=found.pk, replayed_for=found.replayed_for)
        if unchanged.update(replayed_for=token.pk, replays=F("replays") + 1):
            return Reply(bytes(found.reply or b""), found.reply_type)
    return None
