"""Empty data for the demo: what an earlier one left goes, also what it left mounted."""

from __future__ import annotations

import shutil
from pathlib import Path

from config.demo.show import DemoFailed
from config.supervisor import LOCK
from resources import workspaces

MARK = ".moorage-demo"  # only a directory that holds it is ever cleared
_STAYS = frozenset({MARK, "run", "secrets"})  # the lock that we hold, and the key that this process runs with


def mark(data: Path) -> None:
    """Make the directory ours. Raises DemoFailed for one that somebody else filled."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (data / MARK).exists() and any(data.iterdir()):
        raise DemoFailed(f"{data} is not the demo's. Move it away, or set MOORAGE_DATA to another directory.")
    (data / MARK).touch()


def clear(data: Path) -> None:
    """Remove what is there; the caller holds the lock of the data directory, which is that of the settings.

    Raises DemoFailed with what resists.
    """
    if not (data / MARK).exists():
        raise DemoFailed(f"{data} is not the demo's. Move it away, or set MOORAGE_DATA to another directory.")
    try:
        for name in workspaces.names():  # first, and by their own room: they may be mounted
            workspaces.remove(workspaces.place_of(name))
        for entry in [*data.iterdir(), *(data / "run").iterdir()]:
            if entry.name in _STAYS or entry.name == LOCK:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
    except OSError as error:
        where = error.filename or data
        raise DemoFailed(
            f"{where} of an earlier demo cannot be removed: {error.strerror}. Remove {data} as the user who ran it."
        ) from error
