"""Reading a pull request at GitHub: by conditional requests, so that one where nothing happens costs little."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlsplit

from github.Requester import Requester

from operations.coding.forges.logs import masked
from operations.coding.forges.protocol import Check, CheckState, Comment, ForgeUnavailable, Known, Seen

MOST_CHECKS, MOST_COMMENTS = 60, 100
MOST_QUESTIONS = 10  # about people, in one look: the others' turn comes with the next
SUMMARY_CHARACTERS, COMMENT_CHARACTERS = 1_500, 4_000
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_JOB = re.compile(r"/(?:actions/)?runs/\d+/job/(\d+)")

_CONCLUSIONS = {
    "success": CheckState.PASSED,
    "failure": CheckState.FAILED,
    "timed_out": CheckState.FAILED,
    "startup_failure": CheckState.FAILED,
    "action_required": CheckState.WAITS,
}
_STATUSES = {
    "success": CheckState.PASSED,
    "failure": CheckState.FAILED,
    "error": CheckState.FAILED,
    "pending": CheckState.PENDING,
}


@dataclass
class Reading:
    """One look: what was asked, what was answered, and what it cost."""

    requester: Requester
    known: Known
    etags: dict[str, str] = field(default_factory=dict)
    calls: int = 0
    _may_write: dict[str, bool] = field(default_factory=dict)

    def look(self) -> Seen:
        """The pull request, then the checks of its head, then what reviewers said where that can be new."""
        before = self.known.seen
        self.etags = dict(before.etags) if before else {}
        pull = self._get(f"{self._pull}")
        if pull is None and before is not None:
            state, head, base = before.state, before.head_commit, before.base_branch
            conflicts, merged = before.conflicts, before.merged_commit
        else:
            state, head, base, conflicts, merged = _pull_facts(pull or {})
        moved = before is None or head != before.head_commit
        if moved:  # what was kept is about another commit
            self.etags = {name: tag for name, tag in self.etags.items() if name in {"pull", "reviews", "remarks"}}
        checks = self._checks(head, () if moved or before is None else before.checks)
        comments = before.comments if before else ()
        if self.known.thorough or pull is not None:
            comments = self._comments(comments)
        return Seen(
            state=state, head_commit=head, base_branch=base, conflicts=conflicts, merged_commit=merged, checks=checks,
            comments=comments, etags=self.etags, calls=self.calls,
        )  # fmt: skip

    @property
    def _repository(self) -> str:
        return f"/repos/{self.known.repository}"

    @property
    def _pull(self) -> str:
        return f"{self._repository}/pulls/{self.known.number}"

    def _checks(self, head: str, before: tuple[Check, ...]) -> tuple[Check, ...]:
        """Both dialects of checks. A routine look asks only the one that has spoken for this commit."""
        statuses = [check for check in before if check.source == "status"]
        runs = [check for check in before if check.source != "status"]
        quick = not self.known.thorough and bool(before)
        if not quick or runs:
            said = self._get(f"{self._repository}/commits/{head}/check-runs?per_page={MOST_CHECKS}", "runs")
            runs = runs if said is None else [_run(run) for run in _listed(said, "check_runs")]
        if not quick or statuses:
            said = self._get(f"{self._repository}/commits/{head}/status?per_page={MOST_CHECKS}", "statuses")
            statuses = statuses if said is None else [_status(status) for status in _listed(said, "statuses")]
        return tuple([*runs, *statuses][:MOST_CHECKS])

    def _comments(self, before: tuple[Comment, ...]) -> tuple[Comment, ...]:
        reviews = self._get(f"{self._pull}/reviews?per_page={MOST_COMMENTS}", "reviews")
        remarks = self._get(
            f"{self._pull}/comments?per_page={MOST_COMMENTS}&sort=created&direction=desc", "remarks"
        )  # fmt: skip
        kept = {comment.id: comment for comment in before}
        verdicts = {f"{review.get('id')}": str(review.get("state", "")) for review in _listed(reviews)}
        vetoing = {c.id.removeprefix("review-") for c in before if c.vetoes and c.id.startswith("review-")}
        vetoing |= {number for number, verdict in verdicts.items() if verdict == "CHANGES_REQUESTED"}
        new = [
            *(_review(review) for review in _listed(reviews) if str(review.get("state")) in _SPOKEN),
            *(_remark(remark, vetoing) for remark in _listed(remarks)),
        ]
        for comment in new:
            unasked = comment.author not in self._may_write
            if comment.id in kept or comment.id in self.known.handled or (unasked and self._asked_enough):
                continue
            may_write = self._writes(comment.author)
            # What others say is counted, and kept nowhere.
            kept[comment.id] = replace(comment, may_write=may_write, body=comment.body if may_write else "")
        ordered = sorted(kept.values(), key=lambda comment: (comment.created_at, comment.id))
        return tuple(ordered[-MOST_COMMENTS:])

    @property
    def _asked_enough(self) -> bool:
        return len(self._may_write) >= MOST_QUESTIONS

    def _writes(self, author: str) -> bool:
        """Whether the forge lets this person push. Whoever it does not know may not."""
        if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})", author):
            return False  # bots are called name[bot]
        if author not in self._may_write:
            said = self._get(f"{self._repository}/collaborators/{quote(author)}/permission", missing_is_fine=True)
            self._may_write[author] = isinstance(said, dict) and said.get("permission") in {"admin", "write"}
        return self._may_write[author]

    def _get(self, path: str, tag: str = "", *, missing_is_fine: bool = False) -> Any:
        """The answer; None for "as you know it"."""
        tag = tag or ("pull" if path == self._pull else "")
        headers = {"If-None-Match": self.etags[tag]} if tag in self.etags else {}
        self.calls += 1
        status, said_headers, body = self.requester.requestJson("GET", path, headers=headers)
        if status == 304:
            return None
        if status == 404 and missing_is_fine:
            return {}
        if status >= 300:
            raise self.requester.createException(status, said_headers, _json(body) if body else {})
        if tag and said_headers.get("etag"):
            self.etags[tag] = str(said_headers["etag"])[:200]
        return _json(body)


_SPOKEN = frozenset({"CHANGES_REQUESTED", "COMMENTED"})


def _json(body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        raise ForgeUnavailable("the forge's answer is not JSON") from None


def _listed(said: Any, name: str = "") -> Iterable[Mapping[str, Any]]:
    found = said.get(name) if name and isinstance(said, dict) else said
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _pull_facts(pull: Mapping[str, Any]) -> tuple[str, str, str, bool, str]:
    head, base = pull["head"]["sha"], pull["base"]["ref"]
    if not _COMMIT.fullmatch(str(head)):
        raise ForgeUnavailable("the forge names a head that is no commit")
    merged = bool(pull.get("merged"))
    state = "merged" if merged else "closed" if pull.get("state") == "closed" else "open"
    commit = str(pull.get("merge_commit_sha") or "") if merged else ""
    return state, str(head), str(base)[:200], pull.get("mergeable") is False, commit[:64]


def _run(run: Mapping[str, Any]) -> Check:
    done = run.get("status") == "completed"
    state = _CONCLUSIONS.get(str(run.get("conclusion")), CheckState.NEUTRAL) if done else CheckState.PENDING
    said = run.get("output") if isinstance(run.get("output"), dict) else {}
    summary = "\n".join(str(said.get(part) or "") for part in ("title", "summary")).strip() if said else ""
    url = str(run.get("details_url") or run.get("html_url") or "")
    job = _JOB.search(urlsplit(url).path)
    source = f"job:{job[1]}" if job else "run"
    return Check(_words(run.get("name"), 200), state, _link(url), masked(summary, limit=SUMMARY_CHARACTERS), source)


def _status(status: Mapping[str, Any]) -> Check:
    state = _STATUSES.get(str(status.get("state")), CheckState.NEUTRAL)
    summary = masked(str(status.get("description") or ""), limit=SUMMARY_CHARACTERS)
    return Check(
        _words(status.get("context"), 200), state, _link(str(status.get("target_url") or "")), summary, "status"
    )


def _review(review: Mapping[str, Any]) -> Comment:
    vetoes = review.get("state") == "CHANGES_REQUESTED"
    return Comment(
        f"review-{review.get('id')}", _author(review), may_write=False, body=_body(review), vetoes=vetoes,
        created_at=str(review.get("submitted_at") or "")[:30],
    )  # fmt: skip


def _remark(remark: Mapping[str, Any], vetoing: set[str]) -> Comment:
    line = remark.get("line") or remark.get("original_line") or ""
    return Comment(
        f"comment-{remark.get('id')}", _author(remark), may_write=False, body=_body(remark),
        place=f"{_words(remark.get('path'), 300)}:{line}".rstrip(":"),
        created_at=str(remark.get("created_at") or "")[:30],
        vetoes=str(remark.get("pull_request_review_id")) in vetoing,
    )  # fmt: skip


def _author(said: Mapping[str, Any]) -> str:
    user = said.get("user")
    return _words(user.get("login"), 60) if isinstance(user, dict) else ""


def _body(said: Mapping[str, Any]) -> str:
    return masked(str(said.get("body") or ""), limit=COMMENT_CHARACTERS)


def _words(value: object, limit: int) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in str(value or "")).split())[:limit]


def _link(url: str) -> str:
    return url[:500] if urlsplit(url).scheme in {"http", "https"} else ""
