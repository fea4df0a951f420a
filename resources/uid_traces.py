"""What this machine still has of a user id: processes that run as it, and directories of berths that are its own.

The ledger says who may be what; only the machine says who still is.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from resources import workspaces
from resources.volumes import berths as volumes


def found(among: range) -> Mapping[int, str]:
    """Of these user ids, those that somebody or something still is, with what it is in words. By looking, now.

    Empty where the service is not root: then it lends none, and cannot see everybody's processes.
    """
    if os.geteuid() != 0:
        return {}
    running, owned = _processes(among), _directories(among)
    return {uid: _words(running[uid], owned[uid]) for uid in sorted({*running, *owned})}


def _processes(among: range) -> Counter[int]:
    """How many run as each, in whatever name space, whoever is above them; one that has ended counts no more."""
    count, wanted = Counter[int](), set(among)
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            with open(f"/proc/{entry.name}/status", "rb") as stream:
                said = stream.read(4096)
        except (FileNotFoundError, ProcessLookupError):
            continue
        # Real, effective, saved and for files: any of them lets it act as that user.
        uids = set(map(int, _field(said, b"Uid"))) & wanted
        if uids and _field(said, b"State")[0] not in (b"Z", b"X"):
            count.update(uids)
    return count


def _field(said: bytes, name: bytes) -> list[bytes]:
    return said.partition(b"\n" + name + b":")[2].partition(b"\n")[0].split()


def _directories(among: range) -> Counter[int]:
    """How many workspaces and volumes belong to each: what is in them goes with them."""
    count: Counter[int] = Counter()
    for place in _places():
        try:
            owner = place.lstat().st_uid
        except FileNotFoundError:
            continue
        if owner in among:
            count[owner] += 1
    return count


def _places() -> Iterator[Path]:
    yield from map(workspaces.place_of, workspaces.names())
    yield from volumes.places()


def _words(processes: int, directories: int) -> str:
    parts = []
    if processes:
        parts.append("1 process runs" if processes == 1 else f"{processes} processes run")
    if directories:
        parts.append("1 directory is its own" if directories == 1 else f"{directories} directories are its own")
    return ", ".join(parts)
