"""Why something waits, in words: the structured reasons of admission and of the rooms above, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Of each resource: how its amounts end, how many of them make one of what people count in, and what that is called.
_UNITS = {"memory": ("_mb", 1, "MB of memory"), "disk": ("_mb", 1, "MB of disk"), "cpu": ("_millis", 1000, "cores")}


def in_words(reason: Mapping[str, Any]) -> str:
    """One sentence; an unknown kind is named with all that it says."""
    kind, host = str(reason.get("kind", "unknown")), reason.get("host", "a host")
    if kind == "slots":
        return f"{host} has no free berth"
    for unit, per, words in (_UNITS[kind],) if kind in _UNITS else ():
        if f"needs{unit}" in reason:
            free, needs = _amount(reason.get(f"free{unit}"), per), _amount(reason[f"needs{unit}"], per)
            most = reason.get(f"of{unit}")
            if isinstance(most, int) and most < reason[f"needs{unit}"]:
                return f"it needs {needs} {words}, and {host} lends no more than {_amount(most, per)} in all"
            return f"it needs {needs} {words}, and {host} has {free} free"
    if kind == "quota":
        return _quota(reason)
    if kind == "ports" and "needs" in reason:
        return f"it needs {reason['needs']} ports, and {host} has {reason.get('free')} free"
    if kind == "uids":
        return f"{host} has no user id to lend: of {reason.get('of')} some are lent, others rest until they are clean"
    known = {
        "host_lost": f"{host} is lost since {_clock(reason.get('since'))}",
        "host_draining": f"{host} takes no new berths since {_clock(reason.get('since'))}",
        "isolation": f"{host} cannot isolate as strongly as its template asks ({reason.get('needs')})",
        "retry_pause": f"pauses before {reason.get('strategy') or 'a retry'} until {_clock(reason.get('until'))}",
        "agent_spawning": "its agent is being placed",
        "agent_running": "its berth is open; a worker is about to go on",
        "agent_stopping": "its agent is leaving",
    }
    if kind == "fleet_paused":
        return f"the fleet is paused since {_clock(reason.get('since'))}: {reason.get('detail')}"
    if kind in known:
        why = f": {reason['detail']}" if kind == "isolation" and reason.get("detail") else ""
        return known[kind] + why
    if detail := reason.get("detail"):
        return str(detail)
    rest = ", ".join(f"{name} {value}" for name, value in reason.items() if name != "kind")
    return f"{kind.replace('_', ' ')}{f' ({rest})' if rest else ''}"


_RESOURCES = {
    "slots": (1, "berths"),
    "memory_mb": (1, "MB of memory"),
    "cpu_millis": (1000, "cores"),
    "disk_mb": (1, "MB of disk"),
}


def _amount(value: object, per: int = 1) -> str:
    """``1,536``; of thousandths of a core ``0.5``."""
    return f"{round(value / per, 2):,.12g}" if isinstance(value, int) else str(value)


def _quota(reason: Mapping[str, Any]) -> str:
    per, words = _RESOURCES.get(str(reason.get("resource")), (1, str(reason.get("resource"))))
    whose = "its project" if reason.get("of") == "project" else "who asked for it"
    used, limit, needs = reason.get("used"), reason.get("limit"), reason.get("needs")
    if isinstance(needs, int) and isinstance(limit, int) and needs > limit:
        return f"it needs {_amount(needs, per)} {words}, above the {_amount(limit, per)} that {whose} may hold at all"
    return f"{whose} holds {_amount(used, per)} {words} of the {_amount(limit, per)} allowed"


def _clock(when: object) -> str:
    """The time of day of an ISO moment."""
    text = str(when or "")
    return f"{text[11:19]} UTC" if len(text) >= 19 else "unknown"
