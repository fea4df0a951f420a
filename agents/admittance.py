"""Who may use agents of a template: whom its ``allowed_users`` names, and everybody where it names nobody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from events.faults import Fault, FaultClass


class UserNotAllowed(Fault):
    """The template names who may use its agents, and not this user."""

    fault_class = FaultClass.CONFIGURATION
    code = "template.user_not_allowed"
    http_status = 403
    remedy = "Choose another template, or ask whoever keeps this one to name you in `allowed_users`."


def check(spec: Mapping[str, Any], *, template: str, user: Any) -> None:
    """Raises UserNotAllowed. It holds for staff as well, who may change the template; nobody is nobody's user."""
    allowed = spec.get("allowed_users") or ()
    if allowed and (user is None or user.get_username() not in allowed):
        who = "nobody" if user is None else user.get_username()
        raise UserNotAllowed(f"{who} may not use agents of the template {template!r}", pointer="/template")
