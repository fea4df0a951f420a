"""When a terminal that nobody uses is ended, and how that is said before."""

from __future__ import annotations

from sessions.host.session import Session

_WARN_LEAST_S, _WARN_MOST_S, _WARN_SHARE = 2.5, 300.0, 0.2  # whoever looks comes once a second


def look(session: Session, *, limit_s: float) -> bool:
    """Warn, take the warning back, or end the session. True when a warning was just given."""
    if not limit_s:
        return False
    left_s = limit_s - session.idle_s
    if left_s <= 0:
        session.end(f"{_nothing_of(session)} for {span(limit_s)}")
    elif left_s > max(_WARN_LEAST_S, min(_WARN_MOST_S, limit_s * _WARN_SHARE)):
        if session.warning:
            session.warn("")
    elif not session.warning:
        session.warn(f"this terminal ends in {span(left_s)}: {_way_on(session)}")
        return True
    return False


def _nothing_of(session: Session) -> str:
    return "nothing was printed in it" if session.from_start else "nobody used it"


def _way_on(session: Session) -> str:
    """What keeps it; in one that only shows the work of an agent nobody types."""
    if session.from_start:
        return "the work prints nothing. Watch again at any time to see all of it"
    return "nobody uses it. Type anything to keep it"


def span(seconds: float) -> str:
    """A duration in words."""
    for unit, name in ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= unit:
            count = round(seconds / unit)
            return f"{count} {name}{'s' if count != 1 else ''}"
    return "a moment"
