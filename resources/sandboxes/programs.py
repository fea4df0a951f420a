"""What the programs of a sandbox come from, by content: for whoever asks whether a result would still be the same."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from resources.sandboxes.protocol import Reference, Tier

# What is installed on this host, as its package manager writes it down.
_LISTS = (Path("/var/lib/dpkg/status"), Path("/lib/apk/db/installed"), Path("/var/lib/rpm/rpmdb.sqlite"))


def digest(reference: Reference, *, lists: Sequence[Path] = _LISTS) -> str:
    """The id of the container's image, or a digest of what is installed on this host; empty where nobody can tell."""
    if reference.get("tier") == Tier.CONTAINER:
        return str(reference.get("image_id", ""))
    installed = next((path for path in lists if path.is_file()), None)
    if installed is None:
        return ""
    return hashlib.sha256(installed.read_bytes() + sys.version.encode()).hexdigest()
