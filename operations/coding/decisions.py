"""What a person decides about a delivered pull request: another round, it is mine now, close it, look again.

A door writes the decision into the row and asks for a look at once. The look, which reads the forge first, does it.
"""

from __future__ import annotations

import uuid
from enum import StrEnum
from typing import Any

from django.db import transaction

from agents import admittance
from agents.outfits import outfit
from events.journal import record
from operations import faults, policy
from operations.coding import rounds
from operations.coding.recovery import GO_ON_FROM_LAST
from operations.models import Operation, PullRequest
from operations.submit import LONGEST_ANSWER, load


class Decided(StrEnum):
    """What the next look is to do."""

    ROUND = "round"
    LEAVE = "leave"
    CLOSE = "close"


_WORDS = {
    Decided.ROUND: "asked for another round",
    Decided.LEAVE: "takes it from here",
    Decided.CLOSE: "wants it closed",
}


def another_round(*, by: Any, operation_id: uuid.UUID | str, text: str = "") -> Operation:
    """The engine has another go, with these words and all that is the matter now; the count of rounds begins anew.

    Raises NotPossibleNow without an open pull request, while it is worked on, and for engines that would do the same.
    """
    if len(text) > LONGEST_ANSWER or "\0" in text:
        raise faults.AnswerRefused(f"at most {LONGEST_ANSWER} characters, and no NUL", pointer="/text")
    operation = policy.operation(by, operation_id)
    admittance.check(outfit(operation.template).spec, template=operation.template, user=by)
    if operation.engine_kind not in GO_ON_FROM_LAST:
        raise faults.NotPossibleNow(
            f"the engine {operation.engine_kind} would do the very same again",
            remedy="Ask for a new operation, take it over yourself, or close it.",
        )
    return _decide(by, operation.pk, Decided.ROUND, text=text.strip())


def leave(*, by: Any, operation_id: uuid.UUID | str) -> Operation:
    """Its pull request is the person's now: it is watched, and nothing is done about it, until a round is asked for."""
    return _decide(by, operation_id, Decided.LEAVE)


def close(*, by: Any, operation_id: uuid.UUID | str) -> Operation:
    """Close its pull request without merging it. The branch stays; a round under way ends without pushing."""
    return _decide(by, operation_id, Decided.CLOSE)


def look(*, by: Any, operation_id: uuid.UUID | str) -> Operation:
    """Read its pull request at the forge now, whatever its state: a closed one may have been opened again."""
    visible = policy.operation(by, operation_id)
    with transaction.atomic():
        operation = load(visible.pk)
        row = _newest(operation)
        if row is None or row.state == PullRequest.State.MERGED:
            raise faults.NotPossibleNow("it has no pull request that could change")
        _hint(operation, row, by=by, reason="look")
    return operation


def possible(operation: Operation) -> dict[str, bool]:
    """Which of the decisions make sense now."""
    row = _newest(operation)
    is_open = row is not None and row.state == PullRequest.State.OPEN
    delivered = is_open and rounds.may_begin(operation)
    return {
        "another_round": delivered and operation.engine_kind in GO_ON_FROM_LAST,
        "leave": delivered and row is not None and not left_to(row),
        "close": is_open,
        "look": row is not None and row.state != PullRequest.State.MERGED,
    }


def words(row: PullRequest) -> str | None:
    """What a person said who wants another round; None where nobody does."""
    return _of(row, Decided.ROUND).get("text")


def left_to(row: PullRequest) -> str:
    """Whoever said that it is theirs; empty where nobody did."""
    return _of(row, Decided.LEAVE).get("by", "")


def is_to_close(row: PullRequest) -> bool:
    """Whether a person wants it closed."""
    return bool(_of(row, Decided.CLOSE))


def _of(row: PullRequest, decided: Decided) -> dict[str, str]:
    kept: dict[str, str] = row.decided or {}
    return kept if kept.get("do") == decided else {}


def _decide(by: Any, operation_id: uuid.UUID | str, decided: Decided, *, text: str = "") -> Operation:
    visible = policy.operation(by, operation_id)
    with transaction.atomic():
        operation = load(visible.pk)
        row = _newest(operation)
        if row is None or row.state != PullRequest.State.OPEN:
            raise faults.NotPossibleNow("it has no open pull request")
        if decided is not Decided.CLOSE and not rounds.may_begin(operation):
            raise faults.NotPossibleNow(
                f"the operation is {operation.status}", remedy="Wait for it, cancel it, or retry it."
            )
        row.decided = {"do": decided.value, "by": str(by), "text": text}
        row.note = f"{by} {_WORDS[decided]}: as soon as the forge was read"[:500]
        row.save(update_fields=["decided", "note"])
        _hint(operation, row, by=by, reason=decided.value)
    return operation


def _hint(operation: Operation, row: PullRequest, *, by: Any, reason: str) -> None:
    record("operation.pull_request_hinted", operation, actor=f"user:{by}", reason=reason,
           pull_request_id=str(row.pk))  # fmt: skip


def _newest(operation: Operation) -> PullRequest | None:
    return PullRequest.objects.filter(operation_id=operation.pk).order_by("-created_at").first()
