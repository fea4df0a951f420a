"""Whether the session host of a machine can be counted on now: derived from its heartbeat, never stored."""

from __future__ import annotations

from datetime import datetime, timedelta

from resources.models import Host
from sessions.faults import SessionHostAway
from sessions.models import SessionHost

BEAT_S = 3.0
AWAY_AFTER = timedelta(seconds=15)


def alive(session_host: SessionHost, *, now: datetime) -> bool:
    """Whether it has beaten lately."""
    return now - session_host.heartbeat_at <= AWAY_AFTER


def session_host_of(host: Host | None, *, now: datetime) -> SessionHost:
    """The living session host of a machine. Raises SessionHostAway with what is known of it."""
    row = None if host is None else SessionHost.objects.filter(host=host).first()
    if host is None or row is None:
        raise SessionHostAway(f"no session host runs on {host.name if host else 'its host'}")
    if not alive(row, now=now):
        seen = f"{row.heartbeat_at:%Y-%m-%d %H:%M:%S} UTC"
        raise SessionHostAway(f"the session host of {host.name} was last seen at {seen}")
    return row
