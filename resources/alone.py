"""One at a time on this machine, by a name: whoever makes, mounts or removes something keeps the others out."""

from __future__ import annotations

import fcntl
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCKS = 64  # files, each for every so many names: they are never removed, so nobody can hold a removed one


@contextmanager
def alone(locks: Path, name: str) -> Iterator[None]:
    """Nobody else on this machine has the same name meanwhile; ``locks`` is a directory. Does not nest."""
    locks.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (locks / str(zlib.crc32(name.encode()) % _LOCKS)).open("ab") as lock:  # a killed holder lets go of it
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)  # a pool child that was forked meanwhile has the file open too
