"""Who may use agents of a template, and for what: as its ``allowed_users`` and ``capabilities`` say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from events.faults import Fault, FaultClass


class UserNotAllowed(Fault):
    """The template names who may use its agents, and not this user."""

    fault_class = FaultClass.CONFIGURATION
    code = "template.user_not_allowed"
    http_status = 403
    remedy = "Choose another template, or ask whoever keeps this one to name you in `allowed_users`."


class CapabilityNotOffered(Fault):
    """The template says what its agents may be asked to do, and this is not among it."""

    fault_class = FaultClass.CONFIGURATION
    code = "template.capability_not_offered"
    http_status = 400


def check_capabilities(spec: Mapping[str, Any], wanted: Iterable[str], *, template: str, pointer: str) -> None:
    """Raises CapabilityNotOffered for what the template does not list."""
    offered = spec.get("capabilities")
    if offered is not None and (beyond := sorted(set(wanted) - set(offered))):
        may = f"It may be asked for {', '.join(sorted(offered))}." if offered else "It may be asked for nothing."
        raise CapabilityNotOffered(
            f"agents of the template {template!r} may not be asked for {', '.join(beyond)}",
            remedy=f"{may} Choose another template, or ask whoever keeps this one to list it under `capabilities`.",
            pointer=pointer,
        )


def check(spec: Mapping[str, Any], *, template: str, user: Any) -> None:
    """Raises UserNotAllowed. It holds for staff as well, who may change the template; nobody is nobody's user."""
    allowed = spec.get("allowed_users") or ()
    if allowed and (user is None or user.get_username() not in allowed):
        who = "nobody" if user is None else user.get_username()
        raise UserNotAllowed(f"{who} may not use agents of the template {template!r}", pointer="/template")
