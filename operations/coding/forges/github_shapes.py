"""GitHub's JSON as ours. Pure; what is missing or odd becomes something harmless."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from operations.coding.forges.logs import masked
from operations.coding.forges.protocol import Check, CheckState, Comment, ForgeUnavailable, Seen

SUMMARY_CHARACTERS, COMMENT_CHARACTERS = 1_500, 4_000
SPOKEN = frozenset({"CHANGES_REQUESTED", "COMMENTED"})  # reviews that say something
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}")
_JOB = re.compile(r"/(?:actions/)?runs/\d+/job/(\d+)")
_NOT_SAID = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]*`|^[ ]{0,3}>.*?$|<!--.*?(?:-->|\Z)", re.S | re.M)
_ADDRESSED = re.compile(r"(?<![\w/@.-])[@/]moorage(?![\w/-])", re.I)

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


def pull(said: Mapping[str, Any]) -> Seen:
    """The pull request itself, without checks and comments."""
    head, base = str(said["head"]["sha"]), said["base"]
    if not _COMMIT.fullmatch(head):
        raise ForgeUnavailable("the forge names a head that is no commit")
    merged = bool(said.get("merged"))
    name = str((base.get("repo") or {}).get("full_name") or "")
    return Seen(
        state="merged" if merged else "closed" if said.get("state") == "closed" else "open",
        head_commit=head,
        base_branch=str(base["ref"])[:200],
        conflicts=said.get("mergeable") is False,
        merged_commit=(str(said.get("merge_commit_sha") or "") if merged else "")[:64],
        repository=name if _REPOSITORY.fullmatch(name) else "",
        url=link(str(said.get("html_url") or "")),
    )


def run(said: Mapping[str, Any]) -> Check:
    """A check run."""
    done = said.get("status") == "completed"
    state = _CONCLUSIONS.get(str(said.get("conclusion")), CheckState.NEUTRAL) if done else CheckState.PENDING
    output = said.get("output") if isinstance(said.get("output"), dict) else {}
    summary = "\n".join(str(output.get(part) or "") for part in ("title", "summary")).strip() if output else ""
    url = str(said.get("details_url") or said.get("html_url") or "")
    job = _JOB.search(urlsplit(url).path)
    source = f"job:{job[1]}" if job else "run"
    return Check(_words(said.get("name"), 200), state, link(url), masked(summary, limit=SUMMARY_CHARACTERS), source)


def status(said: Mapping[str, Any]) -> Check:
    """A status of the older kind."""
    state = _STATUSES.get(str(said.get("state")), CheckState.NEUTRAL)
    summary = masked(str(said.get("description") or ""), limit=SUMMARY_CHARACTERS)
    return Check(_words(said.get("context"), 200), state, link(str(said.get("target_url") or "")), summary, "status")


def review(said: Mapping[str, Any]) -> Comment:
    """What a review says as a whole."""
    return _comment("review", said, at=said.get("submitted_at"), vetoes=said.get("state") == "CHANGES_REQUESTED")


def remark(said: Mapping[str, Any], vetoing: Collection[str]) -> Comment:
    """A comment on a line; ``vetoing`` are the numbers of the reviews that request changes."""
    line = said.get("line") or said.get("original_line") or ""
    return _comment(
        "comment", said, place=f"{_words(said.get('path'), 300)}:{line}".rstrip(":"),
        vetoes=str(said.get("pull_request_review_id")) in vetoing,
    )  # fmt: skip


def talk(said: Mapping[str, Any]) -> Comment:
    """A comment in the conversation."""
    return _comment("talk", said)


def is_addressed(said: Mapping[str, Any]) -> bool:
    """Whether somebody speaks to us: @moorage or /moorage, outside of quotes, code and comments of HTML."""
    return bool(_ADDRESSED.search(_NOT_SAID.sub("", str(said.get("body") or "")[:65_536])))


def is_bot(said: Mapping[str, Any]) -> bool:
    """Whether a program wrote it."""
    user = said.get("user")
    return isinstance(user, dict) and (user.get("type") == "Bot" or str(user.get("login")).endswith("[bot]"))


def link(url: str) -> str:
    """The address of a page; empty for any other."""
    return url[:500] if urlsplit(url).scheme in {"http", "https"} else ""


def _comment(kind: str, said: Mapping[str, Any], *, at: Any = None, place: str = "", vetoes: bool = False) -> Comment:
    user, body = said.get("user"), str(said.get("body") or "")
    return Comment(
        id=f"{kind}-{said.get('id')}",
        author=_words(user.get("login"), 60) if isinstance(user, dict) else "",
        may_write=False,
        body=masked(body, limit=COMMENT_CHARACTERS),
        place=place,
        created_at=str(at or said.get("updated_at") or said.get("created_at") or "")[:30],
        vetoes=vetoes,
        version=hashlib.sha256(body.encode("utf-8", "replace")).hexdigest()[:12],
    )


def _words(value: object, limit: int) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in str(value or "")).split())[:limit]
