"""Deliveries of a forge's webhook: verified, taken once, and turned into hints. An event proves nothing by itself.

What a delivery says about a pull request is not believed: it only says which of ours to look at, and when it came is of
no matter. So deliveries may come late, twice, in any order or not at all.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q

from events.faults import Fault, FaultClass
from events.journal import record
from operations.models import Delivery, PullRequest

KEPT = timedelta(days=14)  # GitHub offers deliveries again for three days
BODY_BYTES = 2_000_000
MOST_HINTS = 50  # pull requests that one delivery is about
FORGE = "github"

_TOLD = frozenset(
    {
        "pull_request",
        "pull_request_review",
        "pull_request_review_comment",
        "issue_comment",
        "check_run",
        "check_suite",
        "status",
        "push",
    }
)
_DELIVERY = re.compile(r"[A-Za-z0-9-]{8,80}")
_EVENT = re.compile(r"[a-z_]{1,60}")
_COMMIT = re.compile(r"[0-9a-f]{40}")


class WebhooksOff(Fault):
    """No secret is set: nobody can prove that a delivery is the forge's."""

    fault_class = FaultClass.CONFIGURATION
    code = "webhook.not_configured"
    http_status = 404
    remedy = "Set MOORAGE_GITHUB_WEBHOOK_SECRET, and the same secret at the forge."


class BadSignature(Fault):
    """The body was not signed with our secret."""

    code = "webhook.bad_signature"
    http_status = 401
    remedy = "Give the webhook at the forge the secret that MOORAGE_GITHUB_WEBHOOK_SECRET holds."


class BadDelivery(Fault):
    """It is signed, and still no delivery that we can read."""

    code = "webhook.malformed"
    http_status = 400
    remedy = "Set the webhook's content type to application/json."


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a delivery. A duplicate was taken before."""

    delivery_id: str
    duplicate: bool
    hinted: int = 0


def take(*, body: bytes, signature: str, event: str, delivery_id: str, now: datetime) -> Taken:
    """Take one delivery: check its signature in constant time, keep its id, hint at what it concerns."""
    _verify(body, signature)
    if not _DELIVERY.fullmatch(delivery_id) or not _EVENT.fullmatch(event):
        raise BadDelivery("the headers X-GitHub-Delivery and X-GitHub-Event are missing or malformed")
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise BadDelivery("the body is not JSON") from None
    if not isinstance(said, dict):
        raise BadDelivery("the body is not a JSON object")
    rows = _concerned(event, said)
    try:
        with transaction.atomic():
            Delivery.objects.create(
                forge=FORGE, delivery_id=delivery_id, event=event, hinted=len(rows), received_at=now
            )
            # A push to a base branch may concern very many: they are looked at within the polling allowance.
            PullRequest.objects.filter(_based_on(event, said), look_due_at__gt=now).update(look_due_at=now)
            for row in rows:
                record("operation.pull_request_hinted", row.operation, actor=f"forge:{FORGE}", reason=event,
                       pull_request_id=str(row.pk))  # fmt: skip
    except IntegrityError:
        return Taken(delivery_id, duplicate=True)
    return Taken(delivery_id, duplicate=False, hinted=len(rows))


def forget(*, now: datetime) -> int:
    """Drop the ids of deliveries that the forge does not offer again any more."""
    dropped, _ = Delivery.objects.filter(received_at__lt=now - KEPT).delete()
    return dropped


def _verify(body: bytes, signature: str) -> None:
    secret = settings.GITHUB_WEBHOOK_SECRET
    if not secret:
        raise WebhooksOff("this installation takes no webhooks")
    expected = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
        raise BadSignature("the signature in X-Hub-Signature-256 is not ours")


def _concerned(event: str, said: Mapping[str, Any]) -> list[PullRequest]:
    """Those of ours that a delivery may be about, in its repository only."""
    address = _object(said, "repository").get("html_url")
    if event not in _TOLD or not isinstance(address, str) or not 0 < len(address) <= 400:
        return []
    about = Q(number__in=_numbers(said)) | Q(head_commit__in=_commits(said))
    if event == "push":
        about = Q(head_branch=_branch(said))
    ours = PullRequest.objects.filter(about, forge=FORGE, url__istartswith=f"{address}/pull/")
    return list(ours.exclude(state=PullRequest.State.MERGED).select_related("operation")[:MOST_HINTS])


def _based_on(event: str, said: Mapping[str, Any]) -> Q:
    """The open ones that go to the branch that was pushed to; none for any other event."""
    address, branch = _object(said, "repository").get("html_url"), _branch(said)
    if event != "push" or not branch or not isinstance(address, str) or not 0 < len(address) <= 400:
        return Q(pk__in=[])
    open_here = Q(forge=FORGE, state=PullRequest.State.OPEN, url__istartswith=f"{address}/pull/")
    return open_here & Q(base_branch=branch)


def _branch(said: Mapping[str, Any]) -> str:
    ref = said.get("ref")
    return ref.removeprefix("refs/heads/")[:200] if isinstance(ref, str) else ""


def _numbers(said: Mapping[str, Any]) -> list[int]:
    pulls = [said.get("pull_request"), said.get("issue"), *_listed(said, "check_run"), *_listed(said, "check_suite")]
    numbers = [pull.get("number") for pull in pulls if isinstance(pull, dict)]
    return [number for number in numbers if isinstance(number, int) and 0 < number < 2**31][:MOST_HINTS]


def _listed(said: Mapping[str, Any], name: str) -> Iterable[Any]:
    pulls = _object(said, name).get("pull_requests")
    return pulls if isinstance(pulls, list) else []


def _commits(said: Mapping[str, Any]) -> list[str]:
    """Checks of branches in forks name no pull request, and statuses never do."""
    found = [said.get("sha"), _object(said, "check_run").get("head_sha"), _object(said, "check_suite").get("head_sha")]
    return [commit for commit in found if isinstance(commit, str) and _COMMIT.fullmatch(commit)]


def _object(said: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = said.get(name)
    return value if isinstance(value, dict) else {}
