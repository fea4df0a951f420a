"""What a berth reads as /etc/passwd: its own user has a name there, which databases, ssh and others insist on.

A leased user id stands in nobody's list. The file lies on the host, out of the inhabitant's reach, one per user id.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from django.conf import settings

from resources.sandboxes.protocol import SandboxFailed

INSIDE = "/etc/passwd"
NAME = "agent"
_HOME = "/tmp"  # noqa: S108 — inside the berth; HOME says better


def file_for(*, uid: int, gid: int) -> Path:
    """The host's file for this user, made where it is not there yet."""
    place = Path(settings.DATA) / "run" / "passwd" / f"{uid}-{gid}"
    wanted = _text(uid, gid)
    try:
        if not place.is_file() or place.read_text("ascii") != wanted:
            place.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # sockets of the service lie there, too
            place.parent.mkdir(exist_ok=True)
            fresh = place.with_name(f".{place.name}.{secrets.token_hex(8)}")  # commands may start at the same moment
            fresh.write_text(wanted, "ascii")
            fresh.chmod(0o644)
            fresh.replace(place)
    except OSError as error:
        raise SandboxFailed(f"The berth's list of users cannot be written: {error.strerror}.") from error
    return place


def _text(uid: int, gid: int) -> str:
    others = {0: "root:x:0:0::/root", 65534: "nobody:x:65534:65534::/nonexistent"}
    lines = [f"{entry}:/usr/sbin/nologin" for number, entry in others.items() if number != uid]
    return "\n".join([*lines, f"{NAME}:x:{uid}:{gid}::{_HOME}:/bin/sh"]) + "\n"
