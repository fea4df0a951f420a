"""Reading a pull request at GitHub: by conditional requests, so that one where nothing happens costs little."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from github.Requester import Requester

from operations.coding.forges import github_shapes as shapes
from operations.coding.forges.protocol import Check, CheckState, Comment, ForgeUnavailable, Known, Seen

PAGE, MOST_PAGES = 100, 10  # entries of a listing that one request answers; GitHub gives no more
MOST_CHECKS, MOST_COMMENTS = 300, 300  # kept
MOST_QUESTIONS = 10  # about people, in one look: the others' turn comes with the next
_COMMENTS = ("reviews", "remarks", "talk")

Listing = list[Mapping[str, Any]]


@dataclass
class Reading:
    """One look: what was asked, what was answered, and what it cost."""

    requester: Requester
    known: Known
    etags: dict[str, str] = field(default_factory=dict)
    calls: int = 0
    _may_write: dict[str, bool] = field(default_factory=dict)
    _renamed: str = ""

    def look(self) -> Seen:
        """The pull request, then the checks of its head, then what was said where that can be new."""
        before = self.known.seen
        self.etags = dict(before.etags) if before else {}
        said = self._get(self._pull, "pull")
        pull = before if said is None and before is not None else shapes.pull((said or _NOTHING).body)
        self._renamed = pull.repository
        moved = before is None or pull.head_commit != before.head_commit
        if moved:  # what was kept is about another commit
            self.etags = {
                tag: held for tag, held in self.etags.items() if tag.partition("/")[0] in {"pull", *_COMMENTS}
            }
        checks = self._checks(pull.head_commit, () if moved or before is None else before.checks)
        comments = before.comments if before else ()
        if self.known.thorough or said is not None:
            comments = self._comments(comments)
        return replace(pull, checks=checks, comments=comments, etags=self.etags, calls=self.calls)

    @property
    def _repository(self) -> str:
        return f"/repos/{self._renamed or self.known.name}"

    @property
    def _pull(self) -> str:
        return f"{self._repository}/pulls/{self.known.number}"

    def _checks(self, head: str, before: tuple[Check, ...]) -> tuple[Check, ...]:
        """Both dialects of checks. A routine look asks only the one that has spoken for this commit."""
        statuses = [check for check in before if check.source == "status"]
        runs = [check for check in before if check.source != "status"]
        quick = not self.known.thorough and bool(before)
        commit = f"{self._repository}/commits/{head}"
        if not quick or runs:
            listed = self._listing(f"{commit}/check-runs", "runs", inside="check_runs")
            runs = runs if listed is None else [shapes.run(said) for said in listed]
        if not quick or statuses:
            listed = self._listing(f"{commit}/status", "statuses", inside="statuses")
            statuses = statuses if listed is None else [shapes.status(said) for said in listed]
        telling = sorted([*runs, *statuses], key=lambda check: check.state is not CheckState.FAILED)
        return tuple(telling[:MOST_CHECKS])

    def _comments(self, before: tuple[Comment, ...]) -> tuple[Comment, ...]:
        """Reviews, comments on lines, and what speaks to us in the conversation. Unchanged ones are as they were."""
        reviews = self._listing(f"{self._pull}/reviews", "reviews")
        vetoing = {said.id.removeprefix("review-") for said in before if said.vetoes and said.id.startswith("review-")}
        if reviews is not None:
            vetoing = {str(said.get("id")) for said in reviews if said.get("state") == "CHANGES_REQUESTED"}
            reviews = [said for said in reviews if said.get("state") in shapes.SPOKEN]
        remarks = self._listing(f"{self._pull}/comments", "remarks")
        talk = self._listing(f"{self._repository}/issues/{self.known.number}/comments", "talk")
        if talk is not None:
            talk = [said for said in talk if shapes.is_addressed(said)]
        found = [
            *self._said("review", "reviews", reviews, before, shapes.review),
            *self._said("comment", "remarks", remarks, before, lambda said: shapes.remark(said, vetoing)),
            *self._said("talk", "talk", talk, before, shapes.talk),
        ]
        found.sort(key=lambda comment: (comment.created_at, comment.id))
        return tuple(found[-MOST_COMMENTS:])

    def _said(
        self, kind: str, tag: str, listed: Listing | None, before: tuple[Comment, ...],
        shape: Callable[[Mapping[str, Any]], Comment],
    ) -> list[Comment]:  # fmt: skip
        """Comments of one kind, each with whether its author may write. What others say is counted and kept nowhere."""
        known = {comment.key: comment for comment in before if comment.id.startswith(f"{kind}-")}
        if listed is None:
            return list(known.values())
        found = []
        for said in listed:
            comment = shape(said)
            if comment.key in known:
                found.append(known[comment.key])
            elif comment.is_in(self.known.handled):
                found.append(replace(comment, may_write=True))
            elif shapes.is_bot(said):
                found.append(replace(comment, body=""))
            elif (may_write := self._writes(comment.author)) is None:
                self.etags = {held: etag for held, etag in self.etags.items() if not held.startswith(f"{tag}/")}
            else:
                found.append(replace(comment, may_write=may_write, body=comment.body if may_write else ""))
        return found

    def _writes(self, author: str) -> bool | None:
        """Whether the forge lets this person push; None where enough was asked. Whom it does not know may not."""
        if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})", author):
            return False
        if author not in self._may_write:
            if len(self._may_write) >= MOST_QUESTIONS:
                return None
            said = self._get(f"{self._repository}/collaborators/{quote(author)}/permission", missing_is_fine=True)
            body = said.body if said else {}
            self._may_write[author] = isinstance(body, dict) and body.get("permission") in {"admin", "write"}
        return self._may_write[author]

    def _listing(self, path: str, tag: str, *, inside: str = "") -> Listing | None:
        """All entries of a listing, the oldest first; None where no page of it changed since it was read.

        Where one did, all pages are read: what was said may have been taken back.
        """
        held = sum(name.startswith(f"{tag}/") for name in self.etags)
        changed: dict[int, _Answer] = {}
        for number in range(1, held + 1):
            if (answer := self._get(f"{path}?per_page={PAGE}&page={number}", f"{tag}/{number}")) is not None:
                changed[number] = answer
                break
        if held and not changed:
            return None
        self.etags = {name: etag for name, etag in self.etags.items() if not name.startswith(f"{tag}/")} | {
            f"{tag}/{number}": answer.etag for number, answer in changed.items() if answer.etag
        }
        entries: Listing = []
        for number in range(1, MOST_PAGES + 1):
            page = changed.get(number) or self._get(f"{path}?per_page={PAGE}&page={number}", f"{tag}/{number}")
            listed = _listed(page.body if page else [], inside)
            entries += listed
            if page is None or not (page.more or len(listed) == PAGE):
                break
        return entries

    def _get(self, path: str, tag: str = "", *, missing_is_fine: bool = False) -> _Answer | None:
        """The answer; None for "as you know it"."""
        headers = {"If-None-Match": self.etags[tag]} if tag in self.etags else {}
        self.calls += 1
        status, said, body = self.requester.requestJson("GET", path, headers=headers)
        if status == 304:
            return None
        if status == 404 and missing_is_fine:
            return _NOTHING
        if status >= 300:
            raise self.requester.createException(status, said, _json(body) if body else {})
        etag = str(said.get("etag") or "")[:200]
        if tag and etag:
            self.etags[tag] = etag
        return _Answer(_json(body), etag, more='rel="next"' in str(said.get("link") or ""))


@dataclass(frozen=True, slots=True)
class _Answer:
    body: Any
    etag: str = ""
    more: bool = False  # another page follows


_NOTHING = _Answer({})


def _json(body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        raise ForgeUnavailable("the forge's answer is not JSON") from None


def _listed(said: Any, inside: str) -> Listing:
    found = said.get(inside) if inside and isinstance(said, dict) else said
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
