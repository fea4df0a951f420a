"""What a terminal shows now, read from the session host that owns it."""

from __future__ import annotations

from django.utils import timezone

from sessions import presence
from sessions.faults import TerminalNotOpen
from sessions.host import client
from sessions.models import Terminal
from sessions.plain_text import plain

SHOWN_BYTES = 32_768


def snapshot(terminal: Terminal) -> str:
    """The last bytes as plain text; for a short while also those of a terminal that has ended.

    Raises TerminalNotOpen, and SessionHostAway where its daemon cannot be reached from here.
    """
    if terminal.state in {Terminal.State.OPENING, Terminal.State.LOST}:
        raise TerminalNotOpen(f"the terminal is {terminal.state}" + (f": {terminal.reason}" if terminal.reason else ""))
    session_host = presence.session_host_of(terminal.agent.host, now=timezone.now())
    tail = client.tail(session_host.socket, terminal.pk, limit=SHOWN_BYTES, epoch=session_host.epoch)
    return plain(tail.data, complete=tail.offset == 0)
