"""SQLite's files are the service's own: they hold sessions, hashes of passwords and tokens, and everybody's texts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

_OTHERS = 0o077


def keep_private(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    """On each new connection: nobody else reads the database, nor the files that SQLite keeps beside it.

    SQLite makes a file as the umask has it, and those beside it like the first. Another user's file is left alone.
    """
    if connection.vendor != "sqlite":
        return
    for suffix in ("", "-wal", "-shm"):
        file = Path(f"{connection.settings_dict['NAME']}{suffix}")
        try:
            status = file.stat()
            if status.st_mode & _OTHERS and status.st_uid == os.geteuid():
                file.chmod(status.st_mode & ~_OTHERS & 0o7777)
        except FileNotFoundError:  # in memory, or closed by the last other connection just now
            continue
