"""What an engine is told when its pull request comes back: what failed or was said, as untrusted text. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.roles.prompts import Trust, prose, removed
from operations.coding.forges.protocol import Check, Comment
from operations.coding.reactions import Round
from operations.models import PullRequest, Rework

MOST_LOGS = 3
TOLD_CHARACTERS = 20_000

REMEDIES = {
    Rework.Cause.CHECKS: "Mend what the checks show, on the code as it is now.",
    Rework.Cause.REVIEW: "Change the code so that the reviewers' comments are met.",
    Rework.Cause.CONFLICT: "Put the change on the new base branch.",
    Rework.Cause.PERSON: "Do what is asked, on the code as it is now.",
}


def of(decision: Round, row: PullRequest, *, logs: Mapping[str, str]) -> dict[str, Any]:
    """The fault document of a round: like any other that sends work back, with the trust of each text beside it.

    One that a person asked for has what is the matter ``besides``, each with the trust of its own.
    """
    if decision.cause is Rework.Cause.CHECKS:
        return _failed(decision, row, logs)
    if decision.cause is Rework.Cause.REVIEW:
        return _said(decision, row)
    if decision.cause is Rework.Cause.CONFLICT:
        detail = f"pull request #{row.number} cannot be merged into {row.base_branch} as that is now"
        return _document("base.moved", detail, decision.cause, {})
    besides = [_failed(decision, row, logs)] if decision.checks else []
    besides += [_said(decision, row)] if decision.comments else []
    facts = {"trust": Trust.REQUESTER.value, "wanted": decision.words or "(no further words)"}
    detail = f"a person asks for another round on pull request #{row.number}"
    return {**_document("person.asked", detail, decision.cause, facts), "besides": besides}


def _failed(decision: Round, row: PullRequest, logs: Mapping[str, str]) -> dict[str, Any]:
    names = ", ".join(check.name for check in decision.checks[:5])
    detail = f"{len(decision.checks)} checks of pull request #{row.number} failed: {names}"
    facts = {"trust": Trust.TOOL.value, "checks": _checks(decision.checks, logs)}
    return _document("checks.failed", detail, Rework.Cause.CHECKS, facts)


def _said(decision: Round, row: PullRequest) -> dict[str, Any]:
    detail = f"{len(decision.comments)} comments on pull request #{row.number}"
    facts = {
        "trust": Trust.REVIEWER.value, "comments": _comments(decision.comments), **_removed(decision.comments)
    }  # fmt: skip
    return _document("review.changes_requested", detail, Rework.Cause.REVIEW, facts)


def _document(code: str, detail: str, cause: Rework.Cause, facts: Mapping[str, str]) -> dict[str, Any]:
    return {"code": code, "class": "permanent", "detail": detail, "remedy": REMEDIES[cause], "facts": dict(facts)}


def _checks(checks: tuple[Check, ...], logs: Mapping[str, str]) -> str:
    texts = []
    for check in checks[:MOST_LOGS]:
        said = logs.get(check.name) or check.summary or "(it says nothing more)"
        texts.append(f"--- {check.name}\n{said}")
    return "\n".join(texts)[:TOLD_CHARACTERS]


def _comments(comments: tuple[Comment, ...]) -> str:
    texts = []
    for comment in comments:
        place = f" on {comment.place}" if comment.place else ""
        texts.append(f"--- {comment.author}{place}\n{prose(comment.body)}")
    return "\n".join(texts)[:TOLD_CHARACTERS]


def _removed(comments: tuple[Comment, ...]) -> dict[str, str]:
    taken = sorted({words for comment in comments for words in removed(comment.body)})
    return {"removed": "; ".join(taken)} if taken else {}
