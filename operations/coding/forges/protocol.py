"""The one shape of a forge, and what can go wrong with one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from events.faults import Fault, FaultClass


@dataclass(frozen=True, slots=True)
class PullRequestDraft:
    """What is asked for: merge ``head_branch``, pushed already, into ``base_branch`` of ``repository``."""

    repository: str  # "owner/name"
    head_branch: str
    head_commit: str
    base_branch: str
    base_commit: str
    title: str
    body: str
    draft: bool = False
    labels: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()  # user names
    teams: tuple[str, ...] = ()  # slugs of the repository's organisation


@dataclass(frozen=True, slots=True)
class OpenedPullRequest:
    """What the forge has. ``adopted``: it was there already, opened by an earlier attempt of ours."""

    number: int
    url: str
    state: str  # "open", "closed" or "merged"
    title: str
    adopted: bool
    left_out: tuple[str, ...] = ()  # labels and reviewers that the forge refused, in its words


class CheckState(StrEnum):
    """What became of a check. A neutral one (skipped, cancelled by a person) says nothing either way."""

    PENDING = "pending"
    PASSED = "passed"
    FAILED = "failed"
    NEUTRAL = "neutral"
    WAITS = "waits"  # for a person at the forge


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a commit. ``source`` says in which of its dialects the forge told of it, and where its log is."""

    name: str
    state: CheckState
    url: str = ""
    summary: str = ""
    source: str = ""  # "job:<id>", "run" or "status" at GitHub, "local" at ours

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Check:
        """Of the row's JSON."""
        return cls(**{**kept, "state": CheckState(kept["state"])})


@dataclass(frozen=True, slots=True)
class Comment:
    """What somebody said in a review, on a line, or to us in the conversation.

    ``may_write``: the forge says that this person may push to the repository.
    """

    id: str
    author: str
    may_write: bool
    body: str
    place: str = ""  # path:line
    created_at: str = ""  # or edited; RFC 3339, UTC
    vetoes: bool = False  # it belongs to a review that requests changes
    version: str = ""  # of the text: one that was edited is another

    @property
    def key(self) -> str:
        """What it is known by once it was answered."""
        return f"{self.id}@{self.version}" if self.version else self.id

    def is_in(self, handled: Collection[str]) -> bool:
        """Whether it was answered as it stands now."""
        return self.key in handled or self.id in handled  # rows of before there were versions hold ids

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Comment:
        """Of the row's JSON."""
        return cls(**kept)


@dataclass(frozen=True, slots=True)
class Seen:
    """A pull request as the forge shows it now. What it did not tell again (304) is as it was known."""

    state: str  # "open", "closed" or "merged"
    head_commit: str
    base_branch: str
    conflicts: bool = False  # the forge cannot merge it; False also while it does not know yet
    merged_commit: str = ""
    checks: tuple[Check, ...] = ()
    comments: tuple[Comment, ...] = ()
    etags: Mapping[str, str] = field(default_factory=dict)
    calls: int = 0  # requests it took
    repository: str = ""  # owner/name as the forge says now: it may have been renamed
    url: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For the row; the etags are kept beside it."""
        kept = asdict(self)
        del kept["etags"], kept["calls"]
        return kept

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any], *, etags: Mapping[str, str]) -> Seen | None:
        """Of the row's JSON; None while it was never looked at."""
        if not kept:
            return None
        checks = tuple(map(Check.from_dict, kept.get("checks", ())))
        comments = tuple(map(Comment.from_dict, kept.get("comments", ())))
        return cls(**{**kept, "checks": checks, "comments": comments}, etags=dict(etags))


@dataclass(frozen=True, slots=True)
class Known:
    """What was seen last: a look asks only for what may have changed since."""

    number: int
    repository: str
    seen: Seen | None = None
    thorough: bool = True  # False: a routine look at one that was quiet, by as few requests as possible
    handled: Collection[str] = ()  # comments that were answered: nobody asks again who wrote them

    @property
    def name(self) -> str:
        """The repository as the forge called it last."""
        return (self.seen.repository if self.seen else "") or self.repository


class Forge(Protocol):
    """A place that keeps pull requests."""

    name: str

    @property
    def service(self) -> str:
        """What its requests count against, by address and credential; empty where a look costs nothing."""

    def look(self, known: Known) -> Seen:
        """Read the pull request."""

    def log_of(self, known: Known, check: Check) -> str:
        """The end of a failed check's log, trimmed to its failing step; empty where there is none to be had."""

    def redescribe(self, known: Known, *, body: str) -> OpenedPullRequest:
        """Give an open pull request a new body, after a round."""

    def close(self, known: Known) -> None:
        """Close an open pull request without merging it. Its branch stays."""

    def open_or_adopt(self, request: PullRequestDraft) -> OpenedPullRequest:
        """Open the pull request, or find the one that is open for this head already; never a second one."""


class ForgeAuth(Fault):
    """The forge does not know our token, or the token may not do this."""

    fault_class = FaultClass.CONFIGURATION
    code = "forge.auth"
    remedy = "Set MOORAGE_GITHUB_TOKEN to a token that may read the repository and write pull requests."


class ForgeUnavailable(Fault):
    """The forge did not answer, or answered with an error of its own."""

    fault_class = FaultClass.TRANSIENT
    code = "forge.unavailable"
    remedy = "It is tried again by itself."
    http_status = 503


class ForgeRateLimited(Fault):
    """The forge wants us to come back later; the fact ``retry_after_s`` says when, where it told us."""

    fault_class = FaultClass.TRANSIENT
    code = "forge.rate_limited"
    remedy = "It is tried again once the forge's limit is over."
    http_status = 503


class ForgeRejected(Fault):
    """The forge understood the request and refuses it."""

    code = "forge.rejected"
    remedy = "Look at the detail: the base branch, the difference, or a rule of the repository."
