"""Pull requests at GitHub, or at what speaks its REST dialect. Never doubled, whatever the network does."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import requests
from github import Auth, Github
from github.GithubException import GithubException
from github.PullRequest import PullRequest
from github.Repository import Repository

from events.faults import Fault
from operations.coding.forges.github_faults import faults, message
from operations.coding.forges.github_reading import Reading
from operations.coding.forges.logs import LOG_BYTES, failing_step
from operations.coding.forges.protocol import (
    Check,
    ForgeAuth,
    ForgeRateLimited,
    ForgeRejected,
    ForgeUnavailable,
    Known,
    OpenedPullRequest,
    PullRequestDraft,
    Seen,
)
from resources import breakers

_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}")
_TITLE_LIMIT = 250  # GitHub takes 256
_BODY_LIMIT = 60_000  # GitHub takes 65 536
_LOOK_AGAIN_S = (0.0, 0.5, 1.5)  # GitHub may list a pull request a moment after it made it


class GitHubForge:
    """GitHub at ``base_url`` (``https://api.github.com``, or ``https://<host>/api/v3``) with one token."""

    name = "github"

    def __init__(
        self,
        *,
        base_url: str,
        token: str,
        timeout_s: int = 20,
        look_again_s: tuple[float, ...] = _LOOK_AGAIN_S,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._token = token
        self._timeout_s = timeout_s
        self._look_again_s = look_again_s

    def __repr__(self) -> str:
        return f"GitHubForge({self._base_url})"

    @property
    def service(self) -> str:
        """The breaker's name: one for each address and credential, without either of them being readable."""
        credential = hashlib.sha256(self._token.encode()).hexdigest()[:6]
        return f"github {urlsplit(self._base_url).netloc} {credential}"

    def open_or_adopt(self, request: PullRequestDraft) -> OpenedPullRequest:
        """Open the pull request, or adopt the open one of the same head and base.

        1. look the head up; 2. create; 3. where creating ended in "already exists", an error of the server or
        silence, it may be there all the same: look again before anything is reported.
        """
        if not _REPOSITORY.fullmatch(request.repository):
            raise ForgeRejected(f"{request.repository[:120]!r} is no owner/name", pointer="/repository_url")
        with self._connection() as github:
            with faults("Looking for the pull request"):
                repository = github.get_repo(request.repository)
                found = _open_for_head(repository, request)
            if found is not None:
                return _dressed(found, request, adopted=True)
            try:
                with faults("Opening the pull request"):
                    made = _create(repository, request)
                    _as_opened(made, adopted=False)  # an answer that is none is no answer
            except (ForgeRejected, ForgeUnavailable) as fault:
                return _dressed(self._after_all(repository, request, fault), request, adopted=True)
            return _dressed(made, request, adopted=False)

    def look(self, known: Known) -> Seen:
        """Read it by conditional requests."""
        with self._connection() as github, faults("Looking at the pull request"):
            return Reading(github.requester, known).look()

    def redescribe(self, known: Known, *, body: str) -> OpenedPullRequest:
        """A new body; ForgeRejected where it is not there any more."""
        with self._connection() as github, faults("Describing the pull request anew"):
            pull = github.get_repo(known.name).get_pull(known.number)
            pull.edit(body=_fitting(body))
            return _as_opened(pull, adopted=True)

    def close(self, known: Known) -> None:
        """Close it; ForgeRejected where it was merged meanwhile."""
        with self._connection() as github, faults("Closing the pull request"):
            github.get_repo(known.name).get_pull(known.number).edit(state="closed")

    def log_of(self, known: Known, check: Check) -> str:
        """The failing step of an Actions job's log. The forge answers with an address elsewhere: without our token."""
        kind, _, job = check.source.partition(":")
        if kind != "job" or not job.isdecimal():
            return ""
        url = f"{self._base_url}/repos/{known.name}/actions/jobs/{job}/logs"
        with self._connection(), faults("Reading the log of a check"), requests.Session() as session:
            session.trust_env = False  # no .netrc: whoever is asked gets what is said here and nothing else
            answer = session.get(
                url, headers={"Authorization": f"Bearer {self._token}"}, allow_redirects=False, stream=True,
                timeout=self._timeout_s,
            )  # fmt: skip
            if answer.is_redirect:
                elsewhere = answer.headers.get("Location", "")
                if not self._may_follow(elsewhere):
                    raise ForgeUnavailable(
                        "Reading the log of a check: it is said to be at an address we do not follow"
                    )
                answer = session.get(elsewhere, allow_redirects=False, stream=True, timeout=self._timeout_s)
            if answer.status_code in {404, 410}:
                return ""  # over the forge's own time for logs
            if answer.status_code != 200:
                raise ForgeUnavailable(f"Reading the log of a check: {answer.status_code}")
            return failing_step(_end_of(answer, until=time.monotonic() + 3 * self._timeout_s))

    def _may_follow(self, url: str) -> bool:
        """https anywhere, or where the forge itself is."""
        there, here = urlsplit(url), urlsplit(self._base_url)
        return there.scheme == "https" or (there.scheme, there.netloc) == (here.scheme, here.netloc)

    @contextmanager
    def _connection(self) -> Iterator[Github]:
        if not self._token:
            raise ForgeAuth("No token is configured for the forge")
        try:
            with breakers.guard(self.service, failures=(ForgeUnavailable,)), self._client() as github:
                yield github
        except ForgeRateLimited as fault:
            breakers.rest(self.service, seconds=float(fault.facts.get("retry_after_s") or 60), reason=fault.detail)
            raise
        except breakers.ServiceResting as fault:
            raise ForgeRateLimited(fault.detail, retry_after_s=fault.facts["next_try_in_s"]) from None

    @contextmanager
    def _client(self) -> Iterator[Github]:
        # PyGithub would send a POST again after a 502: the second pull request is the one we never want.
        github = Github(
            base_url=self._base_url,
            auth=Auth.Token(self._token),
            timeout=self._timeout_s,
            retry=None,
            user_agent="moorage",
            per_page=30,
            seconds_between_requests=None,
            seconds_between_writes=None,
        )
        try:
            yield github
        finally:
            github.close()

    def _after_all(self, repository: Repository, request: PullRequestDraft, fault: Fault) -> PullRequest:
        for pause in self._look_again_s:
            time.sleep(pause)
            try:
                with faults("Looking for the pull request"):
                    found = _open_for_head(repository, request)
            except ForgeUnavailable:
                continue
            if found is not None:
                return found
            if isinstance(fault, ForgeRejected) and not fault.facts.get("exists"):
                break
        raise fault


def _open_for_head(repository: Repository, request: PullRequestDraft) -> PullRequest | None:
    owner = request.repository.partition("/")[0]
    pulls = repository.get_pulls(state="open", head=f"{owner}:{request.head_branch}", base=request.base_branch)
    for pull in pulls:
        # A server that ignores the filter must not hand us somebody else's pull request, be it of a fork.
        ours = pull.head.label.partition(":")[0] == pull.base.label.partition(":")[0]
        if ours and pull.head.ref == request.head_branch and pull.base.ref == request.base_branch:
            return pull
    return None


def _create(repository: Repository, request: PullRequestDraft) -> PullRequest:
    title = " ".join(request.title.split()) or request.head_branch

    def create(*, draft: bool) -> PullRequest:
        return repository.create_pull(
            base=request.base_branch, head=request.head_branch, body=_fitting(request.body), draft=draft,
            title=title if len(title) <= _TITLE_LIMIT else title[: _TITLE_LIMIT - 1] + "…", maintainer_can_modify=True,
        )  # fmt: skip

    try:
        return create(draft=request.draft)
    except GithubException as error:
        if not request.draft or error.status != 422 or "draft" not in message(error).lower():
            raise
        return create(draft=False)  # plans without drafts say so; a finished one is better than none


def _fitting(body: str) -> str:
    return body if len(body) <= _BODY_LIMIT else body[: _BODY_LIMIT - 1] + "…"


def _dressed(pull: PullRequest, request: PullRequestDraft, *, adopted: bool) -> OpenedPullRequest:
    """With its labels and reviewers. What the forge refuses of them is told, and no reason to be without it."""
    with faults("Reading the pull request"):
        opened = _as_opened(pull, adopted=adopted)
        if not (request.labels or request.reviewers or request.teams):
            return opened
        labels = [label for label in request.labels if label not in {known.name for known in pull.labels or ()}]
        asked = {user.login for user in pull.requested_reviewers or ()}
        people = [name for name in request.reviewers if name not in asked]
        teams = [name for name in request.teams if name not in {team.slug for team in pull.requested_teams or ()}]
    left_out = []
    for words, wanted, do in (
        ("labels", labels, lambda: pull.add_to_labels(*labels)),
        ("reviewers", [*people, *teams], lambda: pull.create_review_request(people, teams)),
    ):
        try:
            with faults(f"Giving the pull request its {words}"):
                if wanted:
                    do()
        except (ForgeAuth, ForgeRejected, ForgeUnavailable) as fault:
            left_out.append(f"{', '.join(wanted)}: {fault.detail}")
    return replace(opened, left_out=tuple(left_out))


def _end_of(answer: requests.Response, *, until: float) -> str:
    """The last bytes of a stream that may be long, slow or endless."""
    kept, total = bytearray(), 0
    for chunk in answer.iter_content(65_536):
        kept += chunk
        del kept[:-LOG_BYTES]
        total += len(chunk)
        if total > 16 * LOG_BYTES or time.monotonic() > until:
            break
    return kept.decode("utf-8", "replace")


def _as_opened(pull: PullRequest, *, adopted: bool) -> OpenedPullRequest:
    url = str(pull.html_url or "")
    if urlsplit(url).scheme not in {"http", "https"}:  # it becomes a link on our screens
        raise ForgeUnavailable("The forge answered with a pull request without an address")
    return OpenedPullRequest(int(pull.number), url, str(pull.state), str(pull.title), adopted)
