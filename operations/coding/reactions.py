"""What to do about what a forge shows of a pull request: a round, a person, or nothing. Pure.

Read :func:`decide` as a table of contents: the first that applies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from operations.coding.forges.protocol import Check, CheckState, Comment, Seen
from operations.coding.wishes import Reaction
from operations.models import Rework

QUIET = timedelta(seconds=60)  # a reviewer who still writes is not interrupted
CONFLICT_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Situation:
    """A pull request as our row has it, beside what was just seen of it."""

    ours: str  # the commit that we pushed last
    base_branch: str
    rounds: Sequence[str]  # causes of the rounds so far
    busy: bool  # the operation is at work (a round, or not yet delivered)
    ended_well: bool  # its last work was delivered
    reworkable: bool  # the engine can go on from what it left
    engine: str
    handled: Collection[str]
    checks_failed: Reaction
    changes_requested: Reaction
    troubled_since: datetime | None


@dataclass(frozen=True, slots=True)
class Nothing:
    """All is well, or it is not ours to do anything. ``note`` says why, where somebody might wonder."""

    note: str = ""
    look_in_s: float | None = None  # sooner than by itself


@dataclass(frozen=True, slots=True)
class Round:
    """The engine is to have another go."""

    cause: Rework.Cause
    checks: tuple[Check, ...] = ()
    comments: tuple[Comment, ...] = ()


@dataclass(frozen=True, slots=True)
class Person:
    """A person is needed, now or (``in_s``) if it is still so then."""

    reason: str
    in_s: float = 0.0


Decision = Nothing | Round | Person


def decide(seen: Seen, situation: Situation, *, now: datetime) -> Decision:
    """The way on with an open pull request."""
    if situation.busy:
        return Nothing("work on it is under way", look_in_s=30.0)
    if not situation.ended_well:
        return Nothing("its last round did not succeed: that is a matter of its operation")
    if seen.head_commit != situation.ours:
        return Nothing("somebody else pushed to the branch: Moorage leaves it alone from here on")
    if seen.base_branch != situation.base_branch:
        return Nothing(f"somebody gave it another base branch, {seen.base_branch}: Moorage leaves it alone")
    if seen.conflicts:
        return _conflict(situation)
    if failed := [check for check in seen.checks if check.state is CheckState.FAILED]:
        return _checks(failed, seen, situation, now)
    if new := new_comments(seen, situation.handled):
        return _review(new, situation, now)
    if any(check.state is CheckState.WAITS for check in seen.checks):
        return Nothing("a check waits for a person at the forge")
    return Nothing()


def new_comments(seen: Seen, handled: Collection[str]) -> list[Comment]:
    """What people with write access said and no round was about yet."""
    return [comment for comment in seen.comments if comment.may_write and comment.body and comment.id not in handled]


def ignored_comments(seen: Seen) -> int:
    """How many others said something: they are recorded, and never reach an engine."""
    return sum(not comment.may_write for comment in seen.comments)


def _conflict(situation: Situation) -> Decision:
    if Counter(situation.rounds)[Rework.Cause.CONFLICT] >= CONFLICT_ROUNDS:
        return Person(f"It conflicts with its base branch after {CONFLICT_ROUNDS} rebases.")
    return Round(Rework.Cause.CONFLICT)  # for every engine: the first go needs none


def _checks(failed: list[Check], seen: Seen, situation: Situation, now: datetime) -> Decision:
    names = ", ".join(check.name for check in failed[:5]) + (" and more" if len(failed) > 5 else "")
    if any(check.state is CheckState.PENDING for check in seen.checks):
        return Nothing(f"failed so far: {names}; the other checks are waited for")
    tried = Counter(situation.rounds)[Rework.Cause.CHECKS]
    if situation.reworkable and tried < situation.checks_failed.retries:
        return Round(Rework.Cause.CHECKS, checks=tuple(failed))
    return _person(f"Checks fail: {names}.", situation, tried, situation.checks_failed, now)


def _review(new: list[Comment], situation: Situation, now: datetime) -> Decision:
    newest = max((when for comment in new if (when := _time(comment.created_at))), default=now - QUIET)
    if now - newest < QUIET:
        wait_s = (newest + QUIET - now).total_seconds()
        return Nothing(f"{len(new)} new review comments; waits whether there are more", look_in_s=min(wait_s, 60.0))
    tried = Counter(situation.rounds)[Rework.Cause.REVIEW]
    if situation.reworkable and tried < situation.changes_requested.retries:
        return Round(Rework.Cause.REVIEW, comments=tuple(new))
    words = f"{len(new)} review comments by {', '.join(sorted({comment.author for comment in new})[:5])}."
    return _person(words, situation, tried, situation.changes_requested, now)


def _person(words: str, situation: Situation, tried: int, reaction: Reaction, now: datetime) -> Person:
    why = f"after {tried} round{'s' if tried != 1 else ''}"
    if not situation.reworkable:
        why = f"and the engine {situation.engine} would do the very same again"
    since = situation.troubled_since or now
    left_s = (since + timedelta(seconds=reaction.escalate_after_s) - now).total_seconds()
    return Person(f"{words[:-1]}, {why}.", in_s=max(0.0, left_s))


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo else None
