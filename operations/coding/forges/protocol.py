"""The one shape of a forge, and what can go wrong with one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

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


@dataclass(frozen=True, slots=True)
class OpenedPullRequest:
    """What the forge has. ``adopted``: it was there already, opened by an earlier attempt of ours."""

    number: int
    url: str
    state: str  # "open", "closed" or "merged"
    title: str
    adopted: bool


class Forge(Protocol):
    """A place that keeps pull requests."""

    name: str

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
