"""What to do about what a forge shows of a pull request: a round, a person, or nothing. Pure.

Read :func:`decide` as a table of contents: the first that applies.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from operations.coding.forges.protocol import Check, CheckState, Comment, Seen
from operations.coding.wishes import Reaction, Reactions
from operations.models import Rework

QUIET = timedelta(seconds=60)  # a reviewer who still writes is not interrupted


@dataclass(frozen=True, slots=True)
class Situation:
    """A pull request as our row has it, beside what was just seen of it."""

    ours: str  # the commit that we pushed last
    base_branch: str
    rounds: Sequence[tuple[str, str]]  # cause of each so far, and the commit that it was about
    busy: bool  # the operation is at work (a round, or not yet delivered)
    ended_well: bool  # its last work was delivered
    reworkable: bool  # the engine can go on from what it left
    engine: str
    handled: Collection[str]
    reactions: Reactions
    troubled_since: datetime | None
    asked: str | None = None  # a person wants another round, with these words
    left_to: str = ""  # whoever said that it is theirs now

    @property
    def tried(self) -> list[str]:
        """Causes of the rounds since a person last had a say."""
        causes = [cause for cause, _ in self.rounds]
        by_person = [at for at, cause in enumerate(causes) if cause == Rework.Cause.PERSON]
        return [] if self.asked is not None else causes[by_person[-1] + 1 :] if by_person else causes


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
    words: str = ""  # of the person who asked for it


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
    if situation.left_to:
        return Nothing(f"{situation.left_to} takes care of it: Moorage leaves it alone")
    failed = tuple(check for check in seen.checks if check.state is CheckState.FAILED)
    new = tuple(new_comments(seen, situation.handled))
    if seen.conflicts:
        return _conflict(situation, now)
    if situation.asked is not None:
        return Round(Rework.Cause.PERSON, checks=failed, comments=new, words=situation.asked)
    if failed:
        return _checks(failed, seen, situation, now)
    if new:
        return _review(new, situation, now)
    if any(check.state is CheckState.WAITS for check in seen.checks):
        return Nothing("a check waits for a person at the forge")
    return Nothing()


def new_comments(seen: Seen, handled: Collection[str]) -> list[Comment]:
    """What people with write access said and no round was about yet."""
    return [comment for comment in seen.comments if comment.may_write and comment.body and not comment.is_in(handled)]


def ignored_comments(seen: Seen) -> int:
    """How many others said something: they are recorded, and never reach an engine."""
    return sum(not comment.may_write for comment in seen.comments)


def _conflict(situation: Situation, now: datetime) -> Decision:
    words, reaction = "It conflicts with its base branch", Reaction(situation.reactions.rounds)
    return _round_or_person(Round(Rework.Cause.CONFLICT), words, situation, reaction, now)


def _checks(failed: tuple[Check, ...], seen: Seen, situation: Situation, now: datetime) -> Decision:
    names = ", ".join(check.name for check in failed[:5]) + (" and more" if len(failed) > 5 else "")
    if any(check.state is CheckState.PENDING for check in seen.checks):
        return Nothing(f"failed so far: {names}; the other checks are waited for")
    once_more = Round(Rework.Cause.CHECKS, checks=failed)
    return _round_or_person(once_more, f"Checks fail: {names}", situation, situation.reactions.checks_failed, now)


def _review(new: tuple[Comment, ...], situation: Situation, now: datetime) -> Decision:
    newest = max((when for comment in new if (when := _time(comment.created_at))), default=now - QUIET)
    if now - newest < QUIET:
        wait_s = (newest + QUIET - now).total_seconds()
        return Nothing(f"{len(new)} new comments; waits whether there are more", look_in_s=min(wait_s, 60.0))
    words = f"{len(new)} comments by {', '.join(sorted({comment.author for comment in new})[:5])}"
    once_more = Round(Rework.Cause.REVIEW, comments=new)
    return _round_or_person(once_more, words, situation, situation.reactions.changes_requested, now)


def _round_or_person(once_more: Round, words: str, situation: Situation, reaction: Reaction, now: datetime) -> Decision:
    """The round, while the template's are not used up; then a person, in the template's time."""
    cause, tried = once_more.cause, situation.tried
    if not situation.reworkable and cause is not Rework.Cause.CONFLICT:  # the first go at a conflict needs no engine
        why = f"and the engine {situation.engine} would do the very same again"
    elif (cause, situation.ours) in situation.rounds:
        why = "and the round about it was ended before it delivered anything"
    elif len(tried) >= situation.reactions.rounds or tried.count(cause) >= reaction.retries:
        why = f"after {len(tried)} round{'s' if len(tried) != 1 else ''}"
    else:
        return once_more
    since = situation.troubled_since or now
    left_s = (since + timedelta(seconds=reaction.escalate_after_s) - now).total_seconds()
    return Person(f"{words}, {why}.", in_s=max(0.0, left_s))


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo else None
