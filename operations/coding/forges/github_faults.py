"""PyGithub's and requests' errors as faults of ours."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from github.GithubException import (
    BadCredentialsException,
    GithubException,
    IncompletableObject,
    RateLimitExceededException,
)

from events.faults import Fault
from operations.coding.forges.protocol import ForgeAuth, ForgeRateLimited, ForgeRejected, ForgeUnavailable
from operations.coding.git_faults import redact


@contextmanager
def faults(doing: str) -> Iterator[None]:
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
    words = redact(message(error), limit=600)
    detail = f"{doing}: {error.status} {words}".strip()
    limited = isinstance(error, RateLimitExceededException) or headers.get("x-ratelimit-remaining") == "0"
    limited = limited or "abuse detection" in words.lower()
    if error.status == 429 or (error.status == 403 and (limited or "retry-after" in headers)):
        return ForgeRateLimited(detail, retry_after_s=_wait_s(headers))
    if isinstance(error, BadCredentialsException) or error.status in {401, 403}:
        return ForgeAuth(detail)
    if error.status == 404:
        return ForgeAuth(f"{doing}: 404, there is no such repository, or the token may not see it")
    if error.status >= 500 or error.status in {0, 408} or isinstance(error, IncompletableObject):
        return ForgeUnavailable(detail)
    return ForgeRejected(detail, exists="already exists" in words.lower())


def message(error: GithubException) -> str:
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
