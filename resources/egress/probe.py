"""Whether this host's proxy serves the berths that may reach out: asked by knocking at their sockets."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from resources.egress import berths
from resources.models import Lease
from resources.sandboxes.way_out import SOCKET

_KNOCK_S = 1.0
_MOST = 20


@dataclass(frozen=True, slots=True)
class Served:
    """How many berths of this host may reach out, how many of those find nobody, and that in words."""

    berths: int
    unserved: int
    detail: str


def probe(host_name: str) -> Served:
    """Knock at the berths that are open; those still being made are not asked."""
    held = Lease.objects.filter(host__name=host_name, kind=Lease.Kind.EGRESS, state=Lease.State.HELD)
    keys = list(held.order_by("-created_at").values_list("key", flat=True)[:_MOST])
    silent = [key for key in keys if not _answers(key)]
    if not keys:
        return Served(0, 0, "no berth may reach out")
    if silent:
        return Served(len(keys), len(silent), f"{len(silent)} of {len(keys)} berths that may reach out find no proxy")
    return Served(len(keys), 0, f"serves {len(keys)} berths")


def _answers(key: str) -> bool:
    try:
        directory = os.open(berths.root() / key, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        with socket.socket(socket.AF_UNIX) as knock:
            knock.settimeout(_KNOCK_S)
            # Through the descriptor: the path itself may be longer than a socket's may be.
            knock.connect(f"/proc/self/fd/{directory}/{SOCKET}")
    except OSError:
        return False
    finally:
        os.close(directory)
    return True
