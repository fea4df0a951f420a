"""Pull requests at GitHub, or at what speaks its REST dialect. Never doubled, whatever the network does."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import requests
from github import Auth, Github
from github.GithubException import (
    BadCredentialsException,
    GithubException,
    IncompletableObject,
    RateLimitExceededException,
)
from github.PullRequest import PullRequest
from github.Repository import Repository

from events.faults import Fault
from operations.coding.forges.protocol import (
    ForgeAuth,
    ForgeRateLimited,
    ForgeRejected,
    ForgeUnavailable,
    OpenedPullRequest,
    PullRequestDraft,
)
from operations.coding.git_faults import redact

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

    def open_or_adopt(self, request: PullRequestDraft) -> OpenedPullRequest:
        """Open the pull request, or adopt the open one of the same head and base.

        1. look the head up; 2. create; 3. where creating ended in "already exists", an error of the server or
        silence, it may be there all the same: look again before anything is reported.
        """
        if not _REPOSITORY.fullmatch(request.repository):
            raise ForgeRejected(f"{request.repository[:120]!r} is no owner/name", pointer="/repository_url")
        with self._connection() as github:
            with _faults("Looking for the pull request"):
                repository = github.get_repo(request.repository)
                found = _open_for_head(repository, request)
            if found is not None:
                return _as_opened(found, adopted=True)
            try:
                with _faults("Opening the pull request"):
                    return _as_opened(_create(repository, request), adopted=False)
            except (ForgeRejected, ForgeUnavailable) as fault:
                return self._after_all(repository, request, fault)

    @contextmanager
    def _connection(self) -> Iterator[Github]:
        if not self._token:
            raise ForgeAuth("No token is configured for the forge")
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

    def _after_all(self, repository: Repository, request: PullRequestDraft, fault: Fault) -> OpenedPullRequest:
        for pause in self._look_again_s:
            time.sleep(pause)
            try:
                with _faults("Looking for the pull request"):
                    found = _open_for_head(repository, request)
            except ForgeUnavailable:
                continue
            if found is not None:
                return _as_opened(found, adopted=True)
            if isinstance(fault, ForgeRejected) and not fault.facts.get("exists"):
                break
        raise fault


def _open_for_head(repository: Repository, request: PullRequestDraft) -> PullRequest | None:
    owner = request.repository.partition("/")[0]
    pulls = repository.get_pulls(state="open", head=f"{owner}:{request.head_branch}", base=request.base_branch)
    for pull in pulls:
        # A server that ignores the filter must not hand us somebody else's pull request.
        if pull.head.ref == request.head_branch and pull.base.ref == request.base_branch:
            return pull
    return None


def _create(repository: Repository, request: PullRequestDraft) -> PullRequest:
    title = " ".join(request.title.split()) or request.head_branch
    return repository.create_pull(
        base=request.base_branch,
        head=request.head_branch,
        title=title if len(title) <= _TITLE_LIMIT else title[: _TITLE_LIMIT - 1] + "…",
        body=request.body if len(request.body) <= _BODY_LIMIT else request.body[: _BODY_LIMIT - 1] + "…",
        maintainer_can_modify=True,
    )


def _as_opened(pull: PullRequest, *, adopted: bool) -> OpenedPullRequest:
    url = str(pull.html_url or "")
    if urlsplit(url).scheme not in {"http", "https"}:  # it becomes a link on our screens
        raise ForgeUnavailable("The forge answered with a pull request without an address")
    return OpenedPullRequest(int(pull.number), url, str(pull.state), str(pull.title), adopted)


@contextmanager
def _faults(doing: str) -> Iterator[None]:
    """PyGithub's and requests' errors as ours, without tokens in their texts."""
    try:
        yield
    except requests.RequestException as error:
        raise ForgeUnavailable(f"{doing}: {redact(type(error).__name__)}, no answer from the forge") from None
    except GithubException as error:
        raise _as_fault(error, doing) from None
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        # What is no GitHub at all answers 200 with anything; PyGithub then trips over it.
        raise ForgeUnavailable(f"{doing}: the answer is not GitHub's ({type(error).__name__})") from None


def _as_fault(error: GithubException, doing: str) -> Fault:
    headers = {str(k).lower(): str(v) for k, v in (error.headers or {}).items()}
    words = redact(_message(error), limit=600)
    detail = f"{doing}: {error.status} {words}".strip()
    limited = isinstance(error, RateLimitExceededException) or headers.get("x-ratelimit-remaining") == "0"
    if error.status == 429 or (error.status == 403 and (limited or "retry-after" in headers)):
        return ForgeRateLimited(detail, retry_after_s=_wait_s(headers))
    if isinstance(error, BadCredentialsException) or error.status in {401, 403}:
        return ForgeAuth(detail)
    if error.status == 404:
        return ForgeAuth(f"{doing}: 404, there is no such repository, or the token may not see it")
    if error.status >= 500 or error.status in {0, 408} or isinstance(error, IncompletableObject):
        return ForgeUnavailable(detail)
    return ForgeRejected(detail, exists="already exists" in words.lower())


def _message(error: GithubException) -> str:
    data = error.data
    if not isinstance(data, dict):
        return str(data)[:600]
    errors = data.get("errors")
    more = [str(e.get("message") or e.get("code") or "") if isinstance(e, dict) else str(e) for e in errors or []]
    return ". ".join(part for part in (str(data.get("message", "")), *more) if part)


def _wait_s(headers: dict[str, str]) -> int | None:
    if headers.get("retry-after", "").isdigit():
        return min(int(headers["retry-after"]), 3600)
    if headers.get("x-ratelimit-reset", "").isdigit():
        return max(0, min(int(headers["x-ratelimit-reset"]) - int(time.time()), 3600))
    return None
