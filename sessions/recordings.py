"""What was recorded of a terminal, to be replayed or kept."""

from __future__ import annotations

from django.conf import settings

from sessions.faults import NoRecording
from sessions.host.recorder import path_of
from sessions.models import Recording, Terminal


def read(terminal: Terminal) -> bytes:
    """The asciicast of a terminal, whole lines only. Raises NoRecording with the reason."""
    row = Recording.objects.filter(terminal=terminal).first()
    if row is None:
        why = "is not recorded" if terminal.recording == Terminal.Recorded.NONE else "has no recording"
        raise NoRecording(f"this terminal {why}")
    try:
        content = path_of(settings.DATA, terminal.pk).read_bytes()
    except FileNotFoundError:
        where = terminal.agent.host.name if terminal.agent.host else "its machine"
        raise NoRecording(f"the recording is not kept any more, or lies on {where}") from None
    return content[: content.rfind(b"\n") + 1]
