"""Webhook deliveries as GitHub signs and sends them, at our endpoint."""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from typing import Any

from rest_framework.test import APIClient

PATH = "/api/v1/webhooks/github/"
SECRET = "a webhook secret of the tests"


def signature(body: bytes, secret: str = SECRET) -> str:
    """As in X-Hub-Signature-256."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def deliver(
    event: str, said: dict[str, Any] | bytes, *, delivery: str = "", signed: str | None = None, **headers: str
) -> Any:
    """The answer to one delivery; without an id a fresh one."""
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    given = {
        "X-Hub-Signature-256": signature(body) if signed is None else signed,
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": delivery or str(uuid.uuid4()),
        **headers,
    }
    sent: Any = body  # generic() takes bytes, whatever its types say
    return APIClient().generic("POST", PATH, sent, content_type="application/json", headers=given)


def about(pull: dict[str, Any]) -> dict[str, Any]:
    """What every delivery about a pull request says of it."""
    return {
        "action": "whatever",
        "repository": {"html_url": pull["html_url"].rpartition("/pull/")[0], "full_name": "team/app"},
        "pull_request": {"number": pull["number"], "state": "a lie"},
    }
