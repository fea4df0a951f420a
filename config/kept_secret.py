"""A secret made once and kept in a file that only we can read."""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path


def kept_secret(path: Path) -> str:
    """The secret in ``path``, made now when there is none. Processes that ask at once agree on one."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(48))
        # A link of a finished file is all or nothing.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(fresh)
        fresh.unlink()
    return path.read_text().strip()
