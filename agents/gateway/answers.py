"""The gateway's own answers, in the error form of each provider, so that its clients understand them."""

from __future__ import annotations

import json
import math
from typing import Any

from events.faults import Fault

FIELD = "moorage"  # where the fault itself stands in the provider's error form
AGAIN = frozenset({429, 503})  # the statuses that a client may try again
_ANTHROPICS_KINDS = {
    401: "authentication_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error",
    408: "timeout_error", 413: "request_too_large", 429: "rate_limit_error", 503: "overloaded_error",
    504: "timeout_error",
}  # fmt: skip


def error_body(path: str, fault: Fault) -> bytes:
    """The fault as the dialect of this path writes errors."""
    ours = fault.as_dict()
    document: dict[str, Any]
    if path.startswith("/anthropic/"):
        kind = _ANTHROPICS_KINDS.get(fault.http_status, "invalid_request_error")
        document = {"type": "error", "error": {"type": kind, "message": fault.detail, FIELD: ours}}
    elif path.startswith("/ollama/api/"):
        document = {"error": json.dumps({FIELD: ours})}  # its clients keep one string
    else:
        error = {"message": fault.detail, "type": "moorage", "param": None, "code": fault.code, FIELD: ours}
        document = {"error": error}
    return json.dumps(document).encode()


def error_event(path: str, fault: Fault) -> bytes:
    """The same within a stream that has begun; nothing comes after it."""
    body = error_body(path, fault)
    return body + b"\n" if path.startswith("/ollama/api/") else b"event: error\ndata: " + body + b"\n\n"


def error_headers(fault: Fault) -> list[tuple[str, str]]:
    """Its headers: when to come again, and for the providers' libraries whether to."""
    headers = [("content-type", "application/json")]
    if fault.http_status not in AGAIN:
        headers.append(("x-should-retry", "false"))
    elif (wait_s := fault.facts.get("retry_after_s") or fault.facts.get("next_try_in_s")) is not None:
        headers.append(("retry-after", str(max(1, math.ceil(wait_s)))))
    return headers


def fault_in(body: Any) -> dict[str, Any] | None:
    """The fault document within an error body that a client library gives; None when the provider itself spoke."""
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except ValueError:
            return None
    if not isinstance(body, dict):
        return None
    found = body.get(FIELD)
    if isinstance(found, dict):
        return found
    return fault_in(body.get("error")) if body.get("error") else None
